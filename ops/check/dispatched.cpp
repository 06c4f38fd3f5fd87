// A row as programs call it: through dispatch and tape.
#include <iterator>

#include "core/tape.h"
#include "ops/check/checks.h"

namespace gesso::check {
namespace {

// Runs f on the tape with the trial's operands; its outputs, then the gradients of all operands that have one.
template <class F>
std::vector<Result> through_tape(const Trial& trial, const Tensors& in, F&& f) {
  std::vector<Result> results;
  Tape tape;
  Tensors targets;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (!has(trial.differentiable(), i)) continue;
    tape.watch(in[i]);
    targets.push_back(in[i]);
    names.push_back(fmt::format("gradient of operand {}", i));
  }
  const Tensors out = f(in);
  Tensors seeds, dy;
  for (std::size_t o = 0; o < out.size(); ++o) {
    if (!out[o]) continue;
    results.push_back({fmt::format("output {}", o), out[o]});
    if (!trial.dy()[o] || !tape.knows(out[o])) continue;
    seeds.push_back(out[o]);
    dy.push_back(trial.dy()[o]);
  }
  for (std::size_t i = 0; i < in.size(); ++i)
    if (has(trial.row().in_place, i) && in[i]) results.push_back({fmt::format("operand {}", i), in[i]});
  if (seeds.empty()) return results;
  const Tensors gradients = tape.backward(seeds, dy, targets);
  for (std::size_t i = 0; i < gradients.size(); ++i) results.push_back({names[i], gradients[i]});
  return results;
}

Tensors copies(const Tensors& tensors) {
  Tensors result;
  for (const Tensor& t : tensors)
    result.push_back(t ? Tensor::from_host_bytes(host_bytes(t), t.spec(), t.device()) : Tensor());
  return result;
}

void expect_equal(const Subject& subject, std::string_view kind, std::string_view who, const std::vector<Result>& got,
                  const std::vector<Result>& want, double tolerance, Report& report) {
  report.expect(kind, got.size() == want.size(), [&] {
    return subject.told(fmt::format("{}: {} results and gradients instead of {}", who, got.size(), want.size()));
  });
  for (std::size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    const bool good =
        tolerance == 0 ? same_bits(got[i].value, want[i].value) : distance(got[i].value, want[i].value) <= tolerance;
    report.expect(kind, good, [&] {
      return subject.told(
          fmt::format("{}: {} is off by {:.2e}", who, got[i].name, distance(got[i].value, want[i].value)));
    });
  }
}

}  // namespace

void check_dispatch(const Subject& subject, const Execution& run, DType floating, Report& report) {
  Trial trial(subject.row, subject.c, floating, run);
  const Tensors in = copies(trial.in());
  trial.run_all();
  const std::vector<Result> got =
      through_tape(trial, in, [&](const Tensors& x) { return dispatch_on(run.device, subject.row, trial.attrs(), x); });
  expect_equal(subject, kind::dispatch, fmt::format("dispatch on {}", run.device.name()), got, trial.everything(), 0,
               report);
}

void check_dispatch(const Subject& subject, Report& report) {
  check_dispatch(subject, subject.cpu(), DType::f32, report);
  check_dispatch(subject, subject.reference(), DType::f64, report);
}

void check_composition(const Subject& subject, Report& report) {
  const RowInfo& row = subject.row;
  const Trial trial(row, subject.c, DType::f64, subject.reference());
  const auto fused = through_tape(trial, copies(trial.in()), [&](const Tensors& x) {
    return dispatch_on(subject.reference().device, row, trial.attrs(), x);
  });
  const auto composed =
      through_tape(trial, copies(trial.in()), [&](const Tensors& x) { return row.composition(trial.attrs(), x); });
  const bool in_double = std::ranges::any_of(trial.specs(), [](const Spec& s) { return s.dtype == DType::f64; });
  expect_equal(subject, kind::composition, "against its composition", fused, composed, in_double ? 1e-10 : 1e-5,
               report);
}

}  // namespace gesso::check
