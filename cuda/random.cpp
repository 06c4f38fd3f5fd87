#include "cuda/random.h"

#include <algorithm>
#include <initializer_list>

#include "core/error.h"
#include "cuda/elementwise.h"
#include "cuda/entry.h"
#include "ops/dropout.h"
#include "ops/random.h"

namespace gesso::cuda {
namespace {

TableByDevice<RandomKernels> tables;

// Rows of `shape`; arrays: all those of that shape.
template <class Attrs>
Drawn drawn(const Attrs& attrs, const Shape& shape, const Tensor& step, std::initializer_list<const float*> arrays) {
  const std::int64_t samples = shape.rank() == 0 ? 1 : shape[0];
  Drawn draw{.key = attrs.key,
             .first_sample = static_cast<std::uint64_t>(attrs.first_sample),
             .step = pointer<std::int64_t>(step),
             .samples = samples,
             .size = shape.count() / std::max<std::int64_t>(samples, 1)};
  if (shape.count() == 0) return draw;
  const std::int64_t groups = (draw.size + kVector - 1) / kVector;
  if (groups > ((std::int64_t{1} << 31) - kVector) / samples)
    fail("a draw of {} is {} samples of {} groups of {} elements, more groups than 2^31 - 4; use a smaller train.batch",
         shape.text(), samples, groups, kVector);
  draw.groups = Divisor(groups);
  draw.in_vectors = draw.size % kVector == 0 && std::ranges::all_of(arrays, vectors_at<float>);
  return draw;
}

template <RandomKernels::Fill RandomKernels::*kernel>
void fill(const Attributes& attrs, const Forward& f) {
  const auto random = attrs.as<ops::RandomAttrs>();
  float* y = pointer<float>(f.out[0]);
  if (random.shape.count() == 0) return;
  (tables.of(f.run).*kernel)(stream_of(f.run), drawn(random, random.shape, f.in[0], {y}), y);
}

void drop(const ops::DropoutAttrs& attrs, const Execution& run, const Tensor& step, const Tensor& x, const Tensor& y) {
  if (x.count() == 0) return;
  const float *from = pointer<float>(x), rate = static_cast<float>(attrs.rate);
  float* to = pointer<float>(y);
  tables.of(run).dropout(stream_of(run), drawn(attrs, x.shape(), step, {from, to}), rate,
                         static_cast<float>(1 / (1 - attrs.rate)), from, to);
}
void dropout(const Attributes& attrs, const Forward& f) {
  drop(attrs.as<ops::DropoutAttrs>(), f.run, f.in[1], f.in[0], f.out[0]);
}
void dropout_backward(const Attributes& attrs, const Backward& b) {
  drop(attrs.as<ops::DropoutAttrs>(), b.run, b.in[1], b.dy[0], b.dx[0]);
}

void add_noise(const Attributes& attrs, const Forward& f) {
  const Tensor &x = f.in[0], &t = f.in[1], &alpha_bar = f.in[2], &step = f.in[3];
  if (x.count() == 0) return;
  float *x_t = pointer<float>(f.out[0]), *eps = pointer<float>(f.out[1]);
  tables.of(f.run).add_noise(
      stream_of(f.run), {.draw = drawn(attrs.as<ops::AddNoiseAttrs>(), x.shape(), step, {pointer<float>(x), x_t, eps}),
                         .x = pointer<float>(x),
                         .t = pointer<std::int32_t>(t),
                         .alpha_bar = pointer<float>(alpha_bar),
                         .steps = alpha_bar.count(),
                         .x_t = x_t,
                         .eps = eps});
}
void add_noise_backward(const Attributes& attrs, const Backward& b) {
  const Tensor &dx = b.dx[0], &dy = b.dy[0], &t = b.in[1], &alpha_bar = b.in[2];
  if (dx.count() == 0) return;
  if (!dy) return b.run.device.fill_bytes(dx.bytes(), std::byte{0}, dx.spec().bytes());
  tables.of(b.run).signal(stream_of(b.run), {.draw = drawn(attrs.as<ops::AddNoiseAttrs>(), dx.shape(), {},
                                                           {pointer<float>(dy), pointer<float>(dx)}),
                                             .x = pointer<float>(dy),
                                             .t = pointer<std::int32_t>(t),
                                             .alpha_bar = pointer<float>(alpha_bar),
                                             .steps = alpha_bar.count(),
                                             .x_t = pointer<float>(dx),
                                             .eps = nullptr});
}

}  // namespace

void register_random(DeviceKind device, const RandomKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "uniform", {fill<&RandomKernels::uniform>, nullptr});
  register_kernels(device, "normal", {fill<&RandomKernels::normal>, nullptr});
  register_kernels(device, "gumbel", {fill<&RandomKernels::gumbel>, nullptr});
  register_kernels(device, "dropout", {dropout, dropout_backward});
  register_kernels(device, "add_noise", {add_noise, add_noise_backward});
}

}  // namespace gesso::cuda
