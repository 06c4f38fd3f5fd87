#include "tools/bench_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>

#include "core/isa.h"
#include "core/thread_pool.h"
#include "ops/check/trial.h"
#include "ops/conv2d.h"
#include "ops/op_list.h"
#include "tools/bench_device.h"

namespace gesso {
namespace {

using Call = std::function<void()>;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What all rows of a run are timed with.
struct Setup {
  explicit Setup(DeviceKind device) : run{gesso::device(device), thread_pool(), isa()}, bench(under_bench(run)) {
    if (device != DeviceKind::cpu) check = device_under_check(device);
  }
  Setup(const Setup&) = delete;
  Setup& operator=(const Setup&) = delete;

  const Execution run;
  const DeviceUnderBench bench;
  std::optional<check::DeviceUnderCheck> check;  // none on the CPU, which takes every case
};

struct Work {
  double flops = 0, bytes = 0;
};

// Seconds of each call, sorted; an empty call has none. Samples of the calls and of both ceilings in turn, so that a
// slow moment of the machine meets all of them.
template <std::size_t kCalls>
std::array<std::vector<double>, kCalls> time_calls(const Setup& setup, const std::array<Call, kCalls>& calls,
                                                   double bytes, BenchCeilings& here) {
  constexpr int kFewest = 7, kMost = 60;
  constexpr double kSeconds = 0.4;
  std::optional<CopyCeiling> copy;
  if (setup.bench.copy) copy.emplace(setup.bench, setup.run.device, bytes);
  std::array<std::optional<TimedCall>, kCalls> timed;
  for (std::size_t i = 0; i < kCalls; ++i)
    if (calls[i]) timed[i].emplace(setup.bench, setup.run.device, calls[i]);
  std::array<std::vector<double>, kCalls> seconds;
  const double start = now_seconds();
  for (int round = 0; round < kMost && (round < kFewest || now_seconds() - start < kSeconds); ++round) {
    here.gflops = std::max(here.gflops, sample_flops(setup.bench) / 1e9);
    if (copy) here.gbps = std::max(here.gbps, copy->sample() / 1e9);
    for (std::size_t i = 0; i < kCalls; ++i)
      if (timed[i]) seconds[i].push_back(std::max(timed[i]->sample(), 1e-9));
  }
  for (std::vector<double>& samples : seconds) std::ranges::sort(samples);
  return seconds;
}

double median_ms(const std::vector<double>& sorted) { return sorted[sorted.size() / 2] * 1e3; }

double bytes_of(std::span<const Tensor> tensors, Operands which) {
  double bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    if (has(which, i)) bytes += static_cast<double>(tensors[i].spec().bytes());
  return bytes;
}

// Operands whose gradient is as much work as the forward pass: those that are more than a vector.
Operands large_operands(const check::Trial& trial) {
  Operands large = 0;
  for (std::size_t i = 0; i < trial.in().size(); ++i)
    if (has(trial.differentiable(), i) && trial.in()[i].shape().rank() > 1) large |= operands(i);
  return large;
}

Tensors of_the_same_specs(const Tensors& tensors, Device& device) {
  Tensors fresh;
  for (const Tensor& t : tensors) fresh.push_back(t ? Tensor(t.spec(), device) : Tensor());
  return fresh;
}

// The same pass by libraries, which write into `theirs`, and what we have for it.
struct Rival {
  VendorCalls calls = {};
  Tensor ours = {}, theirs = {};
};

// The largest difference after that call, to the largest value of ours.
double difference(const Rival& rival, const Call& call) {
  rival.theirs.fill_zero();
  call();
  const std::vector<double> ours = check::host_values(rival.ours), theirs = check::host_values(rival.theirs);
  double most = 0, largest = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const double apart = std::abs(ours[i] - theirs[i]);
    most = std::isnan(most) || apart <= most ? most : apart;
    largest = std::max(largest, std::abs(ours[i]));
  }
  return most / largest;
}

// One case of one row: its passes.
class BenchCase {
 public:
  // times: that a step makes the call, where it is one of a suite.
  BenchCase(const RowInfo& row, const Case<Attributes>& c, const Setup& setup, std::optional<int> times = {})
      : row_(row),
        times_(times),
        setup_(setup),
        run_(setup.run),
        trial_(row, {c, 1}, DType::f32, run_),
        kernels_(row.kernels(run_.device.kind(), trial_.specs())),
        shape_(c.name.empty() ? trial_.shapes() : c.name) {}

  void forward(Bench& bench, const RowTold& on_row) {
    const Work work = {row_.flops(trial_.attrs(), trial_.specs()), row_.bytes(trial_.attrs(), trial_.specs())};
    Tensors out = trial_.out();
    const auto call = [&] { kernels_.forward(trial_.attrs(), {run_, trial_.in(), out}); };
    add(bench, on_row, std::string(kForward), work, call, [&] { return forward_rival(); });
  }

  void backward(Bench& bench, const RowTold& on_row) {
    const Operands all = trial_.differentiable(), large = large_operands(trial_);
    if (all == 0 || trial_.floating_outputs() == 0) return;
    trial_.forward();
    gradient(bench, on_row, "backward", all, std::max(1, std::popcount(large)));
    if (std::popcount(large) < 2) return;
    for (std::size_t i = 0; i < trial_.in().size(); ++i)
      if (has(large, i)) gradient(bench, on_row, fmt::format("gradient {}", i), operands(i), 1);
  }

  // Of the first two operands as far as wanted, each alone.
  void gradients_alone(Bench& bench, const RowTold& on_row, Operands wanted) {
    if (wanted == 0) return;
    trial_.forward();
    if (has(wanted, 0)) gradient(bench, on_row, std::string(kInputGradient), operands(0), 1);
    if (has(wanted, 1)) gradient(bench, on_row, std::string(kWeightGradient), operands(1), 1);
  }

 private:
  // Libraries compute a product without what our kernel adds to it, a few operations a result.
  Rival forward_rival() {
    Tensors in = trial_.in();
    for (std::size_t i = 2; i < in.size(); ++i) in[i] = {};
    Tensors ours = of_the_same_specs(trial_.out(), run_.device), theirs = of_the_same_specs(ours, run_.device);
    const VendorCalls calls = vendor_calls(row_, trial_.attrs(), Forward{run_, in, theirs});
    if (!calls.fp32 && !calls.tf32) return {};
    kernels_.forward(trial_.attrs(), {run_, in, ours});
    return {calls, ours[0], theirs[0]};
  }

  void gradient(Bench& bench, const RowTold& on_row, std::string pass, Operands wanted, int times) {
    const auto keep = [](const Tensors& from, Operands which) {
      Tensors kept = from;
      for (std::size_t i = 0; i < kept.size(); ++i)
        if (!has(which, i)) kept[i] = {};
      return kept;
    };
    const Tensors in = keep(trial_.in(), row_.saved_inputs(trial_.attrs(), wanted));
    const Tensors out = keep(trial_.out(), row_.saved_outputs(trial_.attrs(), wanted));
    Tensors dx = of_the_same_specs(keep(trial_.in(), wanted), run_.device);
    const Work work = {times * row_.flops(trial_.attrs(), trial_.specs()),
                       bytes_of(in, ~0u) + bytes_of(out, ~0u) + bytes_of(trial_.dy(), ~0u) + bytes_of(dx, ~0u)};
    const auto call = [&] { kernels_.backward(trial_.attrs(), {run_, in, out, trial_.dy(), dx}); };
    add(bench, on_row, std::move(pass), work, call, [&]() -> Rival {
      if (std::popcount(wanted) != 1) return {};
      const auto i = static_cast<std::size_t>(std::countr_zero(wanted));
      Tensors theirs = of_the_same_specs(dx, run_.device);
      return {vendor_calls(row_, trial_.attrs(), Backward{run_, in, out, trial_.dy(), theirs}), dx[i], theirs[i]};
    });
  }

  // After a call of ours. A library's error leaves a gap in the table: the other rows are worth having.
  void compare(BenchRow& row, const std::function<Rival()>& make_rival, VendorCalls& calls) const {
    if (!has_vendor()) return;
    try {
      const Rival rival = make_rival();
      if (rival.calls.fp32) row.fp32 = BenchComparison{.difference = difference(rival, rival.calls.fp32)};
      if (rival.calls.tf32) row.tf32 = BenchComparison{.difference = difference(rival, rival.calls.tf32)};
      calls = rival.calls;
    } catch (const Error& error) {
      row.fp32 = row.tf32 = std::nullopt;
      fmt::print(stderr, "bench ops: {} {}, {}: no comparison: {}\n", row.name, row.shape, row.pass, error.what());
    }
  }

  void add(Bench& bench, const RowTold& on_row, std::string pass, const Work& work, const Call& call,
           const std::function<Rival()>& make_rival) {
    BenchRow row{.name = std::string(row_.name), .shape = shape_, .pass = std::move(pass), .times = times_};
    const std::uint64_t launches = setup_.check ? setup_.check->launches() : 0;
    call();
    if (setup_.check) row.launches = setup_.check->launches() - launches;
    VendorCalls rivals;
    compare(row, make_rival, rivals);
    BenchCeilings here;
    const auto [ours, fp32, tf32] = time_calls(setup_, std::array{call, rivals.fp32, rivals.tf32}, work.bytes, here);
    row.ms = ours.front() * 1e3;
    row.ms_median = median_ms(ours);
    row.gflops = work.flops / ours.front() / 1e9;
    row.gbps = work.bytes / ours.front() / 1e9;
    if (here.gflops > 0) row.share = std::max(row.gflops / here.gflops, row.gbps / here.gbps);
    const auto finish = [&](std::optional<BenchComparison>& comparison, const std::vector<double>& seconds) {
      if (!comparison) return;
      comparison->ms = seconds.front() * 1e3;
      comparison->ms_median = median_ms(seconds);
      comparison->ratio = row.ms / comparison->ms;
    };
    finish(row.fp32, fp32);
    finish(row.tf32, tf32);
    bench.ceilings.gflops = std::max(bench.ceilings.gflops, here.gflops);
    bench.ceilings.gbps = std::max(bench.ceilings.gbps, here.gbps);
    if (on_row) on_row(row);
    bench.rows.push_back(std::move(row));
  }

  const RowInfo& row_;
  std::optional<int> times_;
  const Setup& setup_;
  const Execution& run_;
  check::Trial trial_;
  const Kernels& kernels_;
  std::string shape_;
};

// The row's benchmarks; where it has none, or the device takes none of them, the largest sample, without a name.
std::vector<Case<Attributes>> cases_of(const RowInfo& row, const Setup& setup) {
  const auto is_taken = [&](const Case<Attributes>& c) {
    return !setup.check || check::is_small(row, {c, 1}, *setup.check);
  };
  std::vector<Case<Attributes>> cases = row.benchmarks ? row.benchmarks() : std::vector<Case<Attributes>>{};
  std::erase_if(cases, std::not_fn(is_taken));
  // Only the CPU has several algorithms; elsewhere these are one kernel.
  std::erase_if(cases, [&](const Case<Attributes>& c) {
    return setup.run.device.kind() != DeviceKind::cpu && row.name == "conv2d" &&
           c.attrs.as<ops::Conv2dAttrs>().algorithm != ConvAlgorithm::automatic;
  });
  if (!cases.empty()) return cases;
  const auto elements = [](const Case<Attributes>& c) {
    std::int64_t sum = 0;
    for (const Operand& operand : c.in) sum += operand.domain == Domain::absent ? 0 : operand.shape.count();
    return sum;
  };
  cases = row.samples();
  std::erase_if(cases, std::not_fn(is_taken));
  Case<Attributes> largest = std::ranges::max(cases, {}, elements);
  largest.name.clear();
  return {largest};
}

// Of the rows of a suite whose op `belongs`: each call as often as the step makes it.
BenchSum sum_of(const Bench& bench, std::string_view ops, std::string_view pass, bool (*belongs)(std::string_view)) {
  BenchSum sum{.ops = std::string(ops), .pass = std::string(pass)};
  double gflop = 0;
  for (const BenchRow& row : bench.rows) {
    if (!belongs(row.name) || (pass != kAllPasses && row.pass != pass)) continue;
    sum.ms += *row.times * row.ms;
    sum.ms_median += *row.times * row.ms_median;
    gflop += *row.times * row.gflops * row.ms * 1e-3;
  }
  if (sum.ms > 0) sum.gflops = gflop / sum.ms * 1e3;
  if (bench.ceilings.gflops > 0) sum.share = sum.gflops / bench.ceilings.gflops;
  return sum;
}

std::vector<BenchSum> sums_of(const Bench& bench) {
  struct Family {
    std::string_view ops;
    bool (*belongs)(std::string_view op);
  };
  static constexpr Family kFamilies[] = {
      {"convolutions", [](std::string_view op) { return op.starts_with("conv"); }},
      {"other products", [](std::string_view op) { return !op.starts_with("conv"); }},
      {"all", [](std::string_view) { return true; }}};
  std::vector<BenchSum> sums;
  for (const Family& family : kFamilies)
    for (const std::string_view pass : {kForward, kInputGradient, kWeightGradient, kAllPasses})
      sums.push_back(sum_of(bench, family.ops, pass, family.belongs));
  std::erase_if(sums, [](const BenchSum& sum) { return sum.ms == 0; });
  return sums;
}

}  // namespace

Bench bench_suite(const Suite& suite, std::string_view filter, DeviceKind device, const RowTold& on_row) {
  if (device != DeviceKind::cpu && device != DeviceKind::cuda)
    fail("bench ops: {} is not made to be fast, so a whole suite would take hours; take cpu or cuda", name_of(device));
  std::vector<SuiteCall> calls = suite.calls(suite.batch);
  std::erase_if(calls, [&](const SuiteCall& call) { return call.op.find(filter) == std::string_view::npos; });
  if (calls.empty()) fail("bench ops: suite {} has no op whose name holds '{}'", suite.name, filter);
  const Setup setup(device);
  Bench bench{.device = device};
  for (const SuiteCall& call : calls) {
    BenchCase timed(row_named(call.op), call.of, setup, call.times);
    timed.forward(bench, on_row);
    timed.gradients_alone(bench, on_row, call.gradients);
  }
  bench.sums = sums_of(bench);
  return bench;
}

Bench bench_ops(std::string_view filter, DeviceKind device, const RowTold& on_row) {
  const auto matches = [&](const RowInfo* row) { return row->name.find(filter) != std::string_view::npos; };
  if (std::ranges::none_of(all_rows(), matches)) row_named(filter);  // throws, with the names that there are
  if (device == DeviceKind::reference)
    fail("bench ops: the reference is not made to be fast; take cpu, cuda or emulated");
  const Setup setup(device);
  Bench bench{.device = device};
  for (const RowInfo* row : all_rows()) {
    if (!matches(row)) continue;
    for (const Case<Attributes>& c : cases_of(*row, setup)) {
      BenchCase timed(*row, c, setup);
      timed.forward(bench, on_row);
      timed.backward(bench, on_row);
    }
  }
  return bench;
}

}  // namespace gesso
