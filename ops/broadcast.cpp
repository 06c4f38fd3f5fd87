#include "ops/broadcast.h"

#include <algorithm>
#include <vector>

#include "ops/reduce_parts.h"

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk: 64 KiB in and out stay in L2

std::int64_t pieces_of(std::int64_t n, std::int64_t piece) { return (n + piece - 1) / piece; }

// Where row `row` of an operand begins.
std::int64_t row_begin(const JoinedLoop& loop, const Steps& steps, std::int64_t row) {
  std::int64_t begin = 0;
  for (std::size_t d = 1; d < loop.size.size(); ++d) {
    begin += row % loop.size[d] * steps[d];
    row /= loop.size[d];
  }
  return begin;
}

}  // namespace

Shape broadcast_shape(std::string_view op, const Spec& a, const Spec& b, std::string_view name_of_a,
                      std::string_view name_of_b) {
  const Shape &longer = a.shape.rank() >= b.shape.rank() ? a.shape : b.shape,
              &shorter = a.shape.rank() >= b.shape.rank() ? b.shape : a.shape;
  Shape result = longer;
  for (int d = 1; d <= shorter.rank(); ++d) {
    std::int64_t& size = result[result.rank() - d];
    const std::int64_t other = shorter[shorter.rank() - d];
    if (size != other && size != 1 && other != 1)
      fail(
          "{}: {} {} and {} {} do not fit: aligned at the right, sizes must be equal or one of them 1, but {} meets {}",
          op, name_of_a, a.text(), name_of_b, b.text(), size, other);
    if (size == 1) size = other;
  }
  return result;
}

Steps steps_of(const Shape& operand, const Shape& result) {
  Steps steps{};
  std::int64_t step = 1;
  for (int d = 1; d <= operand.rank(); ++d) {
    const std::int64_t size = operand[operand.rank() - d];
    if (size != 1) steps[static_cast<std::size_t>(result.rank() - d)] = step;
    step *= size;
  }
  return steps;
}

std::int64_t position(std::int64_t i, const Shape& result, const Steps& steps) {
  std::int64_t at = 0;
  for (int d = result.rank() - 1; d >= 0; --d) {
    at += i % result[d] * steps[static_cast<std::size_t>(d)];
    i /= result[d];
  }
  return at;
}

Axes stretched_axes(const Shape& operand, const Shape& result) {
  Axes stretched = 0;
  const int missing = result.rank() - operand.rank();
  for (int d = 0; d < result.rank(); ++d)
    if (d < missing || operand[d - missing] != result[d]) stretched |= axes(d);
  return stretched;
}

const BroadcastKernels& broadcast_kernels(Isa isa) {
  return by_isa(isa, broadcast_kernels<simd::Baseline>, broadcast_kernels<simd::Avx2>,
                broadcast_kernels<simd::Avx512>)();
}

JoinedLoop join_dimensions(const Shape& result, std::span<const Steps> operands) {
  JoinedLoop loop;
  loop.size.fill(1);
  for (Steps& steps : loop.steps) steps.fill(0);
  for (int d = result.rank() - 1; d >= 0; --d) {
    const auto i = static_cast<std::size_t>(d);
    const std::size_t last = static_cast<std::size_t>(std::max(loop.rank - 1, 0));
    if (result[d] == 1) continue;
    bool joins = loop.rank > 0;
    for (std::size_t o = 0; o < operands.size(); ++o)
      joins = joins && operands[o][i] == loop.steps[o][last] * loop.size[last];
    if (joins) {
      loop.size[last] *= result[d];
      continue;
    }
    const auto next = static_cast<std::size_t>(loop.rank++);
    loop.size[next] = result[d];
    for (std::size_t o = 0; o < operands.size(); ++o) loop.steps[o][next] = operands[o][i];
  }
  return loop;
}

void for_each_block(const Execution& run, const Shape& result, std::span<const Steps> operands,
                    FunctionRef<void(const Block&)> body) {
  if (result.count() == 0) return;
  const JoinedLoop loop = join_dimensions(result, operands);
  const std::int64_t n = loop.size[0], rows = loop.size[1], all_rows = result.count() / n;
  const auto block = [&](std::int64_t row, std::int64_t count, std::int64_t column, std::int64_t columns) {
    Block at{.rows = count, .columns = columns, .result = row * n + column, .operand = {}};
    for (std::size_t o = 0; o < operands.size(); ++o) {
      const Steps& steps = loop.steps[o];
      at.operand[o] = {row_begin(loop, steps, row) + column * steps[0], steps[1], steps[0]};
    }
    body(at);
  };
  if (n > kGrain) {
    const std::int64_t pieces = pieces_of(n, kGrain);
    run.pool.run(all_rows * pieces, [&](std::int64_t chunk, int) {
      const std::int64_t column = chunk % pieces * kGrain;
      block(chunk / pieces, 1, column, std::min(kGrain, n - column));
    });
    return;
  }
  parallel_for(run.pool, all_rows, kGrain / n, [&](std::int64_t row, std::int64_t end) {
    while (row < end) {  // up to the next step of an outer dimension
      const std::int64_t count = std::min(end - row, rows - row % rows);
      block(row, count, 0, n);
      row += count;
    }
  });
}

void apply_broadcast(const Execution& run, BinaryKernel kernel, const Shape& result, const Stretched& a,
                     const Stretched& b, float* y) {
  const Steps steps[] = {steps_of(a.shape, result), steps_of(b.shape, result)};
  for_each_block(run, result, steps, [&](const Block& block) {
    kernel(block.rows, block.columns, block.operand[0].of(a.data), block.operand[1].of(b.data), y + block.result);
  });
}

void sum_axes(const Execution& run, const Stretched& x, Axes over, double scale, float* y) {
  const std::vector<ReducePass> passes = reduce_passes(x.shape, over);
  const BroadcastKernels& kernels = broadcast_kernels(run.isa);
  if (passes.empty()) {  // sums of nothing
    std::int64_t kept = 1;
    for (int d = 0; d < x.shape.rank(); ++d) kept *= (over >> d & 1u) != 0 ? 1 : x.shape[d];
    if (run.computes()) std::fill_n(y, kept, 0.0f);
  } else if (passes.front()[1] == 1) {  // of one element each
    const float factor = static_cast<float>(scale);
    const Shape all{x.shape.count()};
    apply_broadcast(run, kernels.mul, all, {x.data, all}, {&factor, {}}, y);
  } else {
    reduce_to_parts<double>(
        run, x, over, kernels.sum_rows, [](double& sum, double next, std::int64_t) { sum += next; },
        [=](std::int64_t i, double sum) { y[i] = static_cast<float>(scale * sum); });
  }
}

}  // namespace gesso
