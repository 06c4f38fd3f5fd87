#include "cuda/reduce.h"

#include <algorithm>
#include <bit>

#include "cuda/binary.h"
#include "cuda/entry.h"
#include "cuda/reduce_axes.h"
#include "cuda/stretch.h"
#include "ops/extreme.h"
#include "ops/reduce.h"
#include "ops/reduce_axes.h"
#include "ops/reduce_parts.h"
#include "ops/variance.h"

namespace gesso::cuda {
namespace {

TableByDevice<ReduceKernels> tables;

constexpr std::int64_t kRowsALane = 32;

constexpr std::int64_t kMostUnits = (std::int64_t{1} << 31) - kReduceThreads;  // 32 bits number them

// The least b with 2^b >= n.
int bits_of(std::int64_t n) { return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(n - 1))); }

// How a step's threads are shared out: by the shape alone.
ReduceStep step_of(std::int64_t outer, std::int64_t r, std::int64_t inner) {
  constexpr int kMostColumnBits = 5;
  constexpr std::int64_t kFewRowsALane = 4;
  ReduceStep step{.outer = outer, .r = r, .inner = inner};
  step.column_bits = std::min(bits_of(inner), kMostColumnBits);
  step.lane_bits = std::min(bits_of((r + kFewRowsALane - 1) / kFewRowsALane), kReduceBits - step.column_bits);
  step.rows = kRowsALane << step.lane_bits;
  const std::int64_t tiles = (inner + (1 << step.column_bits) - 1) >> step.column_bits;
  const std::int64_t chunks = (r + step.rows - 1) / step.rows;
  if (outer > kMostUnits / tiles || outer * tiles > kMostUnits / chunks)
    fail("a reduction of [{},{},{}] has more than 2^31 parts; use a smaller train.batch", outer, r, inner);
  step.units = outer * tiles * chunks;
  step.tiles = Divisor(tiles);
  step.chunks = Divisor(chunks);
  return step;
}

// Calls launch(step) for each step from x to y; parts of `part_bytes` lie in scratch memory between. x and y must have
// elements.
template <class Launch>
void reduce_in_steps(const Execution& run, const Tensor& x, Axes over, std::size_t part_bytes, const Tensor& y,
                     Launch&& launch) {
  const float* elements = pointer<float>(x);
  const std::vector<ReducePass> passes = reduce_passes(x.shape(), over);
  Tensor parts;
  std::int64_t joined = 1;  // elements that a part is made of before the pass
  for (std::size_t pass = 0; pass < passes.size(); ++pass) {
    auto [outer, r, inner] = passes[pass];
    for (std::int64_t number_step = joined, last_chunks = 0; last_chunks != 1; number_step = 0) {
      ReduceStep step = step_of(outer, r, inner);
      step.number_step = number_step;
      step.first = !parts;
      step.last = step.chunks.value() == 1 && pass + 1 == passes.size();
      const auto bytes = outer * step.chunks.value() * inner * static_cast<std::int64_t>(part_bytes);
      const Tensor to = step.last ? y : run.scratch({{bytes}, DType::u8});
      step.from = parts ? static_cast<const void*>(parts.bytes()) : elements;
      step.to = to.bytes();
      launch(step);
      parts = to;
      r = last_chunks = step.chunks.value();
    }
    joined *= passes[pass][1];
  }
}

double scale_of(bool averages, const Shape& x, Axes over) {
  return averages ? 1.0 / static_cast<double>(reduced_count(x, over)) : 1.0;
}

template <bool averages>
constexpr Kernels kSumOverAxes = {[](const Attributes& attrs, const Forward& f) {
                                    const Axes over = attrs.as<ops::ReduceAttrs>().axes;
                                    const Tensor& x = f.in[0];
                                    sum_axes(f.run, x, over, scale_of(averages, x.shape(), over), f.out[0]);
                                  },
                                  [](const Attributes& attrs, const Backward& b) {
                                    const Axes over = attrs.as<ops::ReduceAttrs>().axes;
                                    const Tensor& dx = b.dx[0];
                                    scale_to(b.run, b.dy[0].view(kept_shape(dx.shape(), over)),
                                             scale_of(averages, dx.shape(), over), dx);
                                  }};

Dimensions dimensions_of(const Shape& part, const Shape& whole) {
  const Steps steps = steps_of(whole, whole);
  Dimensions dimensions;
  for (int d = 0; d < Shape::kMaxRank; ++d) {
    const int from_front = whole.rank() - 1 - d;
    dimensions.size[d] = Divisor(from_front < 0 ? 1 : part[from_front]);
    dimensions.step[d] = from_front < 0 ? 0 : steps[static_cast<std::size_t>(from_front)];
  }
  return dimensions;
}

void find_largest(const Execution& run, const Tensor& x, Axes over, const Tensor& index, float* values) {
  if (index.count() == 0) return;
  reduce_in_steps(run, x, over, sizeof(Extreme), index,
                  [&](const ReduceStep& step) { tables.of(run).largest(stream_of(run), step, values); });
}
void max(const Attributes& attrs, const Forward& f) {
  find_largest(f.run, f.in[0], attrs.as<ops::ReduceAttrs>().axes, f.out[1], pointer<float>(f.out[0]));
}
void max_backward(const Attributes& attrs, const Backward& b) {
  const Axes over = attrs.as<ops::ReduceAttrs>().axes;
  const Tensor &dx = b.dx[0], &dy = b.dy[0];
  const Shape& shape = dx.shape();
  b.run.device.fill_bytes(dx.bytes(), std::byte{0}, dx.spec().bytes());
  if (dy.count() == 0) return;
  if (dy.count() > kMostUnits) fail("max: {} has more than 2^31 results; use a smaller train.batch", dy.spec().text());
  tables.of(b.run).scatter_picked(stream_of(b.run), {.results = dy.count(),
                                                     .kept = dimensions_of(kept_shape(shape, over), shape),
                                                     .reduced = dimensions_of(kept_shape(shape, ~over), shape),
                                                     .dy = pointer<float>(dy),
                                                     .number = pointer<std::int32_t>(b.out[1]),
                                                     .dx = pointer<float>(dx)});
}
void argmax(const Attributes& attrs, const Forward& f) {
  find_largest(f.run, f.in[0], attrs.as<ops::ReduceAttrs>().axes, f.out[0], nullptr);
}
void argmin(const Attributes& attrs, const Forward& f) {
  if (f.out[0].count() == 0) return;
  reduce_in_steps(f.run, f.in[0], attrs.as<ops::ReduceAttrs>().axes, sizeof(Extreme), f.out[0],
                  [&](const ReduceStep& step) { tables.of(f.run).smallest(stream_of(f.run), step); });
}

void var(const Attributes& attrs, const Forward& f) {
  const auto var = attrs.as<ops::VarAttrs>();
  if (f.out[0].count() == 0) return;
  const auto n = static_cast<double>(reduced_count(f.in[0].shape(), var.axes));
  reduce_in_steps(f.run, f.in[0], var.axes, sizeof(SumAndSquares), f.out[0], [&](const ReduceStep& step) {
    tables.of(f.run).variance(stream_of(f.run), step, n, static_cast<double>(var.correction));
  });
}
void var_backward(const Attributes& attrs, const Backward& b) {
  const auto var = attrs.as<ops::VarAttrs>();
  const Tensor& x = b.in[0];
  const Shape kept = kept_shape(x.shape(), var.axes);
  const std::int64_t n = reduced_count(x.shape(), var.axes);
  const Tensor mean = b.run.scratch({kept, DType::f32});
  sum_axes(b.run, x, var.axes, 1 / static_cast<double>(n), mean);
  slope_of_variance(b.run, b.dy[0].view(kept), x, mean, 2 / static_cast<double>(n - var.correction), b.dx[0]);
}

void global_norm(const Attributes&, const Forward& f) {
  const Tensor &gradient = f.in[0], &y = f.out[0];
  if (gradient.count() == 0) return f.run.device.fill_bytes(y.bytes(), std::byte{0}, y.spec().bytes());
  reduce_in_steps(f.run, gradient, axes(0), sizeof(double), y,
                  [&](const ReduceStep& step) { tables.of(f.run).norm(stream_of(f.run), step); });
}

}  // namespace

void sum_axes(const Execution& run, const Tensor& x, Axes over, double scale, const Tensor& y) {
  if (y.count() == 0) return;
  if (x.count() == 0) return run.device.fill_bytes(y.bytes(), std::byte{0}, y.spec().bytes());
  reduce_in_steps(run, x, over, sizeof(double), y,
                  [&](const ReduceStep& step) { tables.of(run).sum(stream_of(run), step, scale); });
}

void register_reduce(DeviceKind device, const ReduceKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "sum", kSumOverAxes<false>);
  register_kernels(device, "mean", kSumOverAxes<true>);
  register_kernels(device, "var", {var, var_backward});
  register_kernels(device, "max", {max, max_backward});
  register_kernels(device, "argmax", {argmax, nullptr});
  register_kernels(device, "argmin", {argmin, nullptr});
  register_kernels(device, "global_norm", {global_norm, nullptr});
}

}  // namespace gesso::cuda
