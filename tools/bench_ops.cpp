#include "tools/bench_ops.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <functional>

#include "ops/check/trial.h"
#include "ops/op_list.h"
#include "tools/ceilings_simd.h"

namespace gesso {
namespace {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

const CeilingKernels& kernels(Isa isa) {
  return by_isa(isa, ceiling_kernels<simd::Baseline>, ceiling_kernels<simd::Avx2>, ceiling_kernels<simd::Avx512>)();
}

// Copies half of `bytes` to the other half: what memory gives a kernel that touches as much, from whichever cache holds
// it.
class CopyCeiling {
 public:
  CopyCeiling(const Execution& run, double bytes)
      : run_(run), n_(std::clamp<std::int64_t>(static_cast<std::int64_t>(bytes) / 8, 1 << 12, 1 << 25)) {
    from_ = Tensor::zeros({{n_}, DType::f32}, run.device);
    to_ = Tensor::zeros({{n_}, DType::f32}, run.device);
  }
  double sample() const {
    constexpr std::int64_t kGrain = 1 << 13;
    const float* from = from_.data<float>().data();
    float* to = to_.data<float>().data();
    const double begin = now_seconds();
    parallel_for(run_.pool, n_, kGrain, [&](std::int64_t first, std::int64_t last) {
      kernels(run_.isa).copy(last - first, from + first, to + first);
    });
    return 8.0 * static_cast<double>(n_) / (now_seconds() - begin);
  }

 private:
  const Execution& run_;
  std::int64_t n_;
  Tensor from_, to_;
};

struct Work {
  double flops = 0, bytes = 0;
};

// Samples of the call and of both ceilings in turn, so that a slow moment of the machine meets all three.
void time_call(const Execution& run, const Work& work, const std::function<void()>& call, BenchRow& row,
               BenchCeilings& ceilings) {
  constexpr int kFewest = 7, kMost = 60;
  constexpr double kSeconds = 0.4;
  const CopyCeiling copy(run, work.bytes);
  BenchCeilings here;
  std::vector<double> seconds;
  call();  // the first one fetches memory
  for (const double start = now_seconds();
       std::ssize(seconds) < kMost && (std::ssize(seconds) < kFewest || now_seconds() - start < kSeconds);) {
    here.gflops = std::max(here.gflops, sample_flops(run) / 1e9);
    here.gbps = std::max(here.gbps, copy.sample() / 1e9);
    const double begin = now_seconds();
    call();
    seconds.push_back(now_seconds() - begin);
  }
  std::ranges::sort(seconds);
  const double best = std::max(seconds.front(), 1e-9);
  row.ms = best * 1e3;
  row.ms_median = seconds[seconds.size() / 2] * 1e3;
  row.gflops = work.flops / best / 1e9;
  row.gbps = work.bytes / best / 1e9;
  row.share = std::max(row.gflops / here.gflops, row.gbps / here.gbps);
  ceilings.gflops = std::max(ceilings.gflops, here.gflops);
  ceilings.gbps = std::max(ceilings.gbps, here.gbps);
}

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

// One case of one row: its passes.
class BenchCase {
 public:
  BenchCase(const RowInfo& row, const Case<Attributes>& c, const Execution& run)
      : row_(row), run_(run), kernels_(row.cpu), shape_(c.name), trial_(row, {c, 1}, DType::f32, run) {
    if (!row.benchmarks) shape_ = trial_.shapes();
  }

  void forward(Bench& bench, void (*on_row)(const BenchRow&)) {
    const Work work = {row_.flops(trial_.attrs(), trial_.specs()), row_.bytes(trial_.attrs(), trial_.specs())};
    Tensors out = trial_.out();
    add(bench, on_row, "forward", work, [&] { kernels_.forward(trial_.attrs(), {run_, trial_.in(), out}); });
  }

  void backward(Bench& bench, void (*on_row)(const BenchRow&)) {
    const Operands all = trial_.differentiable(), large = large_operands(trial_);
    if (all == 0 || trial_.floating_outputs() == 0) return;
    trial_.forward();
    gradient(bench, on_row, "backward", all, std::max(1, std::popcount(large)));
    if (std::popcount(large) < 2) return;
    for (std::size_t i = 0; i < trial_.in().size(); ++i)
      if (has(large, i)) gradient(bench, on_row, fmt::format("gradient {}", i), operands(i), 1);
  }

 private:
  void gradient(Bench& bench, void (*on_row)(const BenchRow&), std::string pass, Operands wanted, int times) {
    const auto keep = [](const Tensors& from, Operands which) {
      Tensors kept = from;
      for (std::size_t i = 0; i < kept.size(); ++i)
        if (!has(which, i)) kept[i] = {};
      return kept;
    };
    const Tensors in = keep(trial_.in(), row_.saved_inputs(trial_.attrs(), wanted));
    const Tensors out = keep(trial_.out(), row_.saved_outputs(trial_.attrs(), wanted));
    Tensors dx(trial_.in().size());
    for (std::size_t i = 0; i < dx.size(); ++i)
      if (has(wanted, i)) dx[i] = Tensor(trial_.in()[i].spec(), run_.device);
    const Work work = {times * row_.flops(trial_.attrs(), trial_.specs()),
                       bytes_of(in, ~0u) + bytes_of(out, ~0u) + bytes_of(trial_.dy(), ~0u) + bytes_of(dx, ~0u)};
    add(bench, on_row, std::move(pass), work, [&] {
      kernels_.backward(trial_.attrs(), {run_, in, out, trial_.dy(), dx});
    });
  }

  void add(Bench& bench, void (*on_row)(const BenchRow&), std::string pass, const Work& work,
           const std::function<void()>& call) {
    BenchRow row{.name = std::string(row_.name), .shape = shape_, .pass = std::move(pass)};
    time_call(run_, work, call, row, bench.ceilings);
    if (on_row != nullptr) on_row(row);
    bench.rows.push_back(std::move(row));
  }

  const RowInfo& row_;
  const Execution& run_;
  const Kernels& kernels_;
  std::string shape_;
  check::Trial trial_;
};

std::vector<Case<Attributes>> cases_of(const RowInfo& row) {
  if (row.benchmarks) return row.benchmarks();
  const auto elements = [](const Case<Attributes>& c) {
    std::int64_t sum = 0;
    for (const Operand& operand : c.in) sum += operand.domain == Domain::absent ? 0 : operand.shape.count();
    return sum;
  };
  std::vector<Case<Attributes>> samples = row.samples();
  return {std::ranges::max(samples, {}, elements)};
}

}  // namespace

double sample_flops(const Execution& run) {
  constexpr std::int64_t kRounds = 20000;
  const std::int64_t chunks = std::int64_t{4} * run.pool.threads();
  const CeilingKernels& kernel = kernels(run.isa);
  const double begin = now_seconds();
  run.pool.run(chunks, [&](std::int64_t, int) {
    volatile float keep = kernel.fma_loop(kRounds);
    static_cast<void>(keep);
  });
  return static_cast<double>(chunks * kRounds * kernel.operations_a_round) / (now_seconds() - begin);
}

Bench bench_ops(std::string_view filter, void (*on_row)(const BenchRow&)) {
  const auto matches = [&](const RowInfo* row) { return row->name.find(filter) != std::string_view::npos; };
  if (std::ranges::none_of(all_rows(), matches)) row_named(filter);  // throws, with the names that there are
  const Execution run{device(DeviceKind::cpu), thread_pool(), isa()};
  Bench bench;
  for (const RowInfo* row : all_rows()) {
    if (!matches(row)) continue;
    for (const Case<Attributes>& c : cases_of(*row)) {
      BenchCase timed(*row, c, run);
      timed.forward(bench, on_row);
      timed.backward(bench, on_row);
    }
  }
  return bench;
}

}  // namespace gesso
