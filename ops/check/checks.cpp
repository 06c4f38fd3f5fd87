#include "ops/check/checks.h"

#include <algorithm>
#include <utility>

#include "core/isa.h"
#include "core/rng.h"
#include "ops/check/compare.h"

namespace gesso::check {
namespace {

std::int64_t shared_runs(const Pools& pools) { return pools.two.shared_runs() + pools.three.shared_runs(); }

}  // namespace

std::vector<Operands> unused_sets(Operands outputs) {
  std::vector<Operands> sets{0};
  const auto add = [&](Operands unused) {
    if ((outputs & ~unused) != 0 && std::ranges::find(sets, unused) == sets.end()) sets.push_back(unused);
  };
  for (std::size_t o = 0; o < 32; ++o) {
    if (!has(outputs, o)) continue;
    add(operands(o));
    add(outputs & ~operands(o));
  }
  return sets;
}

std::vector<CheckCase> cases_of(const RowInfo& row, const Options& options) {
  std::vector<CheckCase> cases;
  const auto add = [&](Case<Attributes> c) {
    cases.push_back({std::move(c), random_key(options.seed, Purpose::data, row.name, 1 + cases.size())});
  };
  for (Case<Attributes>& sample : row.samples()) add(std::move(sample));
  Random random(random_key(options.seed, Purpose::data, row.name));
  for (int i = 0; i < options.random_cases; ++i) {
    add(row.random_case(random));
    cases.back().of.name += fmt::format(" {}", i + 1);
  }
  return cases;
}

std::int64_t elements(const RowInfo& row, const CheckCase& c) {
  Specs specs;
  for (const Operand& operand : c.of.in) specs.push_back(spec_of(operand, DType::f32));
  std::int64_t sum = 0;
  for (const Spec& result : row.infer(c.of.attrs, specs)) sum += result.shape.count();
  for (const Spec& operand : specs) sum += operand.dtype == DType::none ? 0 : operand.shape.count();
  return sum;
}

Execution Subject::reference() const { return {device(DeviceKind::reference), pools.one, isa()}; }
Execution Subject::cpu() const { return {device(DeviceKind::cpu), pools.one, isa()}; }

std::string Subject::told(const std::string& what) const {
  std::string operands;
  for (const Operand& operand : c.of.in)
    operands += fmt::format("{}{}", operands.empty() ? "" : ", ", spec_of(operand, DType::f32).text());
  return fmt::format("{}, case '{}' ({}): {}; repeat with: gesso check --op {} --seed {} --cases {}", row.name,
                     c.of.name, operands, what, row.name, options.seed, options.random_cases);
}

void check_against_reference(const Subject& subject, const Execution& run, Report& report) {
  const std::string_view name = run.device.name();
  Trial exact(subject.row, subject.c, DType::f64, subject.reference());
  Trial fast(subject.row, subject.c, DType::f32, run);
  const double tolerance = subject.row.tolerance(fast.attrs(), fast.specs());
  exact.forward();
  fast.forward();
  const int failed_before = report.failed;
  compare(subject, kind::kernel, name, fast.results(), exact.results(), tolerance, report);
  // From wrong results backward says nothing, and wrong indices may lead it astray.
  if (report.failed == failed_before && has_gradients(fast))
    for (const Operands unused : unused_sets(fast.floating_outputs())) {
      const std::string who = fmt::format("{}{}", name, unused ? ", with an output unused" : "");
      exact.backward(~0u, unused);
      fast.backward(~0u, unused);
      const std::vector<Result> want = exact.gradients();
      compare(subject, kind::kernel, who, fast.gradients(), want, tolerance, report);
      compare_alone(subject, kind::kernel, who, fast, unused, want, tolerance, report);
    }
  expect_undamaged(subject, name, fast, report);
  expect_undamaged(subject, "reference", exact, report);
}

void check_kernel(const Subject& subject, Report& report) { check_against_reference(subject, subject.cpu(), report); }

void check_reference(const Subject& subject, Report& report) {
  const RowInfo& row = subject.row;
  Trial exact(row, subject.c, DType::f64, subject.reference());
  Trial again(row, subject.c, DType::f64, subject.reference(), {.fill = kOtherFill});
  Trial single(row, subject.c, DType::f32, subject.reference());
  // Naive loops in float round more than kernels do, and sums the more the longer they are.
  const double tolerance =
      4 * row.tolerance(single.attrs(), single.specs()) + 1e-5 + 1e-7 * static_cast<double>(elements(row, subject.c));
  const int failed_before = report.failed;
  const auto compare_both = [&](const auto& results) {
    compare_bits(subject, kind::repeat, "reference, run twice over other memory", (again.*results)(),
                 (exact.*results)(), report);
    compare(subject, kind::reference, "reference in f32", (single.*results)(), (exact.*results)(), tolerance, report);
  };
  for (Trial* trial : {&exact, &again, &single}) trial->forward();
  compare_both(&Trial::results);
  if (report.failed == failed_before && has_gradients(exact)) {
    for (Trial* trial : {&exact, &again, &single}) trial->backward(~0u);
    compare_both(&Trial::gradients);
    compare_alone(subject, kind::reference, "reference", exact, 0, exact.gradients(), 1e-12, report);
  }
  for (const Trial* trial : {&exact, &single}) expect_undamaged(subject, "reference", *trial, report);
}

void check_invariance(const Subject& subject, Report& report) {
  const RowInfo& row = subject.row;
  const Execution run = subject.cpu();
  Trial first(row, subject.c, DType::f32, run);
  first.run_all();
  const std::vector<Result> want = first.everything();
  const auto other = [&](const Execution& where, const Placement& placement) {
    Trial trial(row, subject.c, DType::f32, where, placement);
    trial.run_all();
    expect_undamaged(subject, "cpu", trial, report);
    return trial.everything();
  };
  for (ThreadPool* pool : {&subject.pools.two, &subject.pools.three})
    compare_bits(subject, kind::threads, fmt::format("{} threads against 1", pool->threads()),
                 other({run.device, *pool, run.isa}, {}), want, report);
  for (const std::int64_t offset : {1, 2, 3})
    compare_bits(subject, kind::views, "at offsets inside larger tensors", other(run, {.offset = offset}), want,
                 report);
  compare_bits(subject, kind::repeat, "run twice over other memory", other(run, {.fill = kOtherFill}), want, report);
  for (const Isa isa : supported_isas())
    if (isa != run.isa)
      compare(subject, kind::isa, fmt::format("{} against {}", name_of(isa), name_of(run.isa)),
              other({run.device, run.pool, isa}, {}), want, row.tolerance(first.attrs(), first.specs()), report);
}

void check_rejects(const RowInfo& row, Report& report) {
  for (const Reject<Attributes>& reject : row.rejects()) {
    Specs specs;
    for (const Operand& operand : reject.in) specs.push_back(spec_of(operand, DType::f32));
    std::string message = "nothing, it was accepted";
    try {
      (void)row.infer(reject.attrs, specs);
    } catch (const Error& error) {
      message = error.what();
    }
    for (const std::string& word : reject.words)
      report.expect(kind::rejects, message.find(word) != std::string::npos, [&] {
        return fmt::format("{}: bad operands must be refused with '{}', but the message is: {}", row.name, word,
                           message);
      });
  }
}

void check_known(const RowInfo& row, const Execution& run, DType floating, Report& report) {
  if (!row.known) return;
  for (const Known<Attributes>& known : row.known()) {
    std::vector<HostTensor> operands;
    for (const Values& x : known.in) operands.push_back(from_values(x, floating, !row.mixed_dtypes));
    Trial trial(row, known.attrs, operands, run);
    trial.forward();
    const std::vector<Result> got = trial.results();
    report.expect(kind::known, got.size() == known.out.size(), [&] {
      return fmt::format("{}, known '{}': {} results are given by hand, there are {}", row.name, known.name,
                         known.out.size(), got.size());
    });
    for (std::size_t i = 0; i < std::min(got.size(), known.out.size()); ++i) {
      const Values want{{known.out[i].spec.shape, got[i].value.dtype()}, known.out[i].values};
      const Tensor hand = Tensor::from_host_bytes(from_values(want, DType::none, false).bytes, want.spec, run.device);
      const double apart = distance(got[i].value, hand);
      // By hand means a few digits.
      report.expect(kind::known, apart <= 1e-6 + row.tolerance(known.attrs, trial.specs()), [&] {
        return fmt::format("{}, known '{}' ({}) on {}: {} is off by {:.2e} from the values by hand", row.name,
                           known.name, trial.shapes(), run.device.name(), got[i].name, apart);
      });
    }
    report.expect(kind::memory, trial.damage().empty(),
                  [&] { return fmt::format("{}, known '{}': {}", row.name, known.name, trial.damage()); });
  }
}

void check_declaration(const RowInfo& row, Report& report) {
  const auto expect = [&](bool good, std::string_view what) {
    report.expect(kind::declaration, good, [&] { return fmt::format("{}: {}", row.name, what); });
  };
  expect(!row.doc.empty(), "the row has no doc line");
  expect(!row.samples().empty(), "the row has no samples");
  if (row.differentiable != 0) return;
  expect(!row.not_differentiable.empty(), "the row has no gradient and gives no reason");
  expect(row.known && !row.known().empty(), "a row without a gradient needs results known by hand");
}

Report check_row(const RowInfo& row, const Options& options, Pools& pools) {
  const WatchedMemory reference_memory(device(DeviceKind::reference)), cpu_memory(device(DeviceKind::cpu));
  Report report;
  report.ops = 1;
  const std::vector<CheckCase> cases = cases_of(row, options);
  const std::int64_t shared_before = shared_runs(pools);
  Operands held = 0;
  for (const CheckCase& c : cases) {
    ++report.cases;
    const Subject subject{row, c, options, pools};
    guarded(subject, report, [&] {
      if (row.differentiable) held |= check_finite_differences(subject, report);
      check_kernel(subject, report);
      check_reference(subject, report);
      check_invariance(subject, report);
      check_dispatch(subject, report);
      if (row.composition) check_composition(subject, report);
    });
  }
  check_declaration(row, report);
  check_rejects(row, report);
  const Subject first{row, cases.front(), options, pools};
  guarded(first, report, [&] {
    check_known(row, first.reference(), DType::f64, report);
    check_known(row, first.reference(), DType::f32, report);
    check_known(row, first.cpu(), DType::f32, report);
  });
  report.expect(kind::declaration, held == row.differentiable, [&] {
    return fmt::format("{}: in no case is the gradient of operands {:#b} held against finite differences", row.name,
                       row.differentiable & ~held);
  });
  report.expect(kind::threads, shared_runs(pools) > shared_before, [&] {
    return fmt::format("{}: no case ran on two workers; the row needs a sample of more than one chunk", row.name);
  });
  return report;
}

Report check_rows(std::span<const RowInfo* const> rows, const Options& options) {
  Report all;
  Pools pools;
  for (const RowInfo* row : rows) all.add(check_row(*row, options, pools));
  return all;
}

}  // namespace gesso::check
