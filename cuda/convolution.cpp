#include "cuda/convolution.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "cuda/bilinear.h"
#include "cuda/multiply.h"
#include "ops/concat.h"
#include "ops/conv2d.h"
#include "ops/conv_transpose2d.h"
#include "ops/convolution.h"
#include "ops/resample.h"

namespace gesso::cuda {
namespace {

// One dimension of a grid of pixels that looks into an image: from position i, tap t sees i * step + t * tap_step +
// shift.
struct View {
  std::int64_t grid, image, step, shift;
  std::int64_t taps, tap_step;
  std::int64_t first_tap = 0, tap_stride = 1;  // tap t is the weight's first_tap + t * tap_stride
};
struct Views {
  View h, w;
};

// The grid of y looks into x.
Views forward_views(const ConvGeometry& g) {
  return {{g.OH, g.H, g.stride_h, -g.pad_top, g.kernel_h, g.dilation_h},
          {g.OW, g.W, g.stride_w, -g.pad_left, g.kernel_w, g.dilation_w}};
}
// Those pixels of x that are `phase` modulo the stride look into y (output), through the taps that lead there: the
// solutions of output * stride + tap * dilation - pad = input, which are a fixed number of taps apart. So each phase is
// a convolution of stride 1 that multiplies by no zero between pixels.
View phase_view(std::int64_t input, std::int64_t output, std::int64_t kernel, std::int64_t stride,
                std::int64_t dilation, std::int64_t pad, std::int64_t phase) {
  const std::int64_t apart = stride / std::gcd(stride, dilation);
  std::int64_t first = 0;
  while (first < apart && (phase + pad - first * dilation) % stride != 0) ++first;
  const std::int64_t taps = first < std::min(apart, kernel) ? (kernel - 1 - first) / apart + 1 : 0;
  return {.grid = (input - phase + stride - 1) / stride,
          .image = output,
          .step = 1,
          .shift = (phase + pad - first * dilation) / stride,
          .taps = taps,
          .tap_step = -(apart * dilation / stride),
          .first_tap = first,
          .tap_stride = apart};
}
Views phase_views(const ConvGeometry& g, std::int64_t phase_h, std::int64_t phase_w) {
  return {phase_view(g.H, g.OH, g.kernel_h, g.stride_h, g.dilation_h, g.pad_top, phase_h),
          phase_view(g.W, g.OW, g.kernel_w, g.stride_w, g.dilation_w, g.pad_left, phase_w)};
}

Divisor digit(std::int64_t size) { return Divisor(std::max<std::int64_t>(1, size)); }
int coordinate(std::int64_t value) {
  if (std::abs(value) >= std::int64_t{1} << 29) fail("a convolution whose image or kernel reaches {} pixels", value);
  return static_cast<int>(value);
}

// The pixels of the grid, in an image of `channels` a pixel.
ProductAxis pixels(const Views& v, std::int64_t images, std::int64_t channels) {
  const std::int64_t line = v.w.image * channels;
  return {.size = images * v.h.grid * v.w.grid,
          .plain = false,
          .h = digit(v.h.grid),
          .w = digit(v.w.grid),
          .first = v.h.shift * line + v.w.shift * channels,
          .n_step = v.h.image * line,
          .h_step = v.h.step * line,
          .w_step = v.w.step * channels,
          .y_first = coordinate(v.h.shift),
          .y_step = coordinate(v.h.step),
          .x_first = coordinate(v.w.shift),
          .x_step = coordinate(v.w.step)};
}
// Taps, and the channels of a group, in an image of `channels` a pixel.
ProductAxis taps(const Views& v, std::int64_t group, std::int64_t channels) {
  return {.size = v.h.taps * v.w.taps * group,
          .plain = false,
          .h = digit(v.h.taps),
          .w = digit(v.w.taps),
          .c = digit(group),
          .h_step = v.h.tap_step * v.w.image * channels,
          .w_step = v.w.tap_step * channels,
          .c_step = 1,
          .y_step = coordinate(v.h.tap_step),
          .x_step = coordinate(v.w.tap_step)};
}
// What the grid sees, pixel by pixel and tap by tap.
ProductOperand seen(const float* image, const ProductAxis& outer, const ProductAxis& terms, const Views& v,
                    std::int64_t group) {
  return {.data = image,
          .outer = outer,
          .terms = terms,
          .height = coordinate(v.h.image),
          .width = coordinate(v.w.image),
          .matrix_step = group};
}

// x [N,H,W,C], weight [K,kernel_h,kernel_w,C/groups], y [N,OH,OW,K]; groups are a batch of products.
void forward(const Execution& run, const ConvGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& y,
             const ProductEpilogue& epilogue = {}) {
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups, row = g.taps() * group_c;
  const Views v = forward_views(g);
  Product p;
  p.a = seen(pointer<float>(x), pixels(v, g.N, g.C), taps(v, group_c, g.C), v, group_c);
  p.b = {.data = pointer<float>(weight),
         .outer = plain_axis(group_k, row),
         .terms = plain_axis(row, 1),
         .matrix_step = group_k * row};
  p.epilogue = epilogue;
  p.c = pointer<float>(y);
  p.rows = plain_axis(g.N * g.OH * g.OW, g.K);
  p.matrices = g.groups;
  p.c_matrix_step = p.bias_matrix_step = group_k;
  multiply(run, p);
}

// dx = activation(the transpose of conv, of dy + bias + residual), phase by phase.
void input_gradient(const Execution& run, const ConvGeometry& g, const Tensor& dy, const Tensor& weight,
                    const Tensor& dx, const ProductEpilogue& epilogue = {}) {
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups, row = g.taps() * group_c;
  Product p;
  p.epilogue = epilogue;
  p.c = pointer<float>(dx);
  p.matrices = g.groups;
  p.c_matrix_step = p.bias_matrix_step = group_c;
  for (std::int64_t phase_h = 0; phase_h < std::min(g.stride_h, g.H); ++phase_h)
    for (std::int64_t phase_w = 0; phase_w < std::min(g.stride_w, g.W); ++phase_w) {
      const Views v = phase_views(g, phase_h, phase_w);
      p.a = seen(pointer<float>(dy), pixels(v, g.N, g.K), taps(v, group_k, g.K), v, group_k);
      p.b = {.data = pointer<float>(weight),
             .outer = plain_axis(group_c, 1),
             .terms = {.size = p.a.terms.size,
                       .plain = false,
                       .h = digit(v.h.taps),
                       .w = digit(v.w.taps),
                       .c = digit(group_k),
                       .first = (v.h.first_tap * g.kernel_w + v.w.first_tap) * group_c,
                       .h_step = v.h.tap_stride * g.kernel_w * group_c,
                       .w_step = v.w.tap_stride * group_c,
                       .c_step = row},
             .matrix_step = group_k * row};
      p.rows = {.size = p.a.outer.size,
                .plain = false,
                .h = digit(v.h.grid),
                .w = digit(v.w.grid),
                .first = (phase_h * g.W + phase_w) * g.C,
                .n_step = g.H * g.W * g.C,
                .h_step = g.stride_h * g.W * g.C,
                .w_step = g.stride_w * g.C};
      multiply(run, p);
    }
}

void weight_gradient(const Execution& run, const ConvGeometry& g, const Tensor& x, const Tensor& dy,
                     const Tensor& dweight) {
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups, row = g.taps() * group_c;
  const Views v = forward_views(g);
  Product p;
  p.a = {.data = pointer<float>(dy),
         .outer = plain_axis(group_k, 1),
         .terms = plain_axis(g.N * g.OH * g.OW, g.K),
         .matrix_step = group_k};
  p.b = seen(pointer<float>(x), taps(v, group_c, g.C), pixels(v, g.N, g.C), v, group_c);
  p.c = pointer<float>(dweight);
  p.rows = plain_axis(group_k, row);
  p.matrices = g.groups;
  p.c_matrix_step = group_k * row;
  multiply(run, p);
}

struct PlainConv2d {
  using Attrs = ops::Conv2dAttrs;

  static void forward(const Execution& run, const Attrs& a, const Tensor& x, const Tensor& weight, const Tensor& y,
                      const ProductEpilogue& epilogue) {
    cuda::forward(run, geometry_of(a, x.shape(), weight.shape()), x, weight, y, epilogue);
  }
  static void input_gradient(const Execution& run, const Attrs& a, const Tensor& dy, const Tensor& weight,
                             const Tensor& dx) {
    cuda::input_gradient(run, geometry_of(a, dx.shape(), weight.shape()), dy, weight, dx);
  }
  static void weight_gradient(const Execution& run, const Attrs& a, const Tensor& x, const Tensor& dy,
                              const Tensor& dweight) {
    cuda::weight_gradient(run, geometry_of(a, x.shape(), dweight.shape()), x, dy, dweight);
  }
};

// What conv2d has beyond its convolution is composed of other ops' kernels: x is joined with skip and enlarged, the
// time's bias is a part of the residual, dropout comes before and after.
struct Conv2d {
  using Attrs = ops::Conv2dAttrs;
  using Plain = Bilinear<PlainConv2d>;
  enum : std::size_t { kX, kWeight, kBias, kResidual, kTimeBias, kStep, kSkip };

  static void forward(const Attributes& attributes, const Forward& f) {
    const auto attrs = attributes.as<Attrs>();
    Plain::forward(attributes, {f.run, plain_operands(attrs, f.run, f.in, f.out[0].spec()), f.out});
    if (attrs.dropout.rate != 0)
      kernels(f.run, "dropout").forward(attrs.dropout, {f.run, Tensors{f.out[0], f.in[kStep]}, f.out});
  }
  static void backward(const Attributes& attributes, const Backward& b) {
    const auto attrs = attributes.as<Attrs>();
    const Spec& y = b.dy[0].spec();
    Tensor dy = b.dy[0];
    if (attrs.dropout.rate != 0) {
      dy = b.run.scratch(y);
      kernels(b.run, "dropout").forward(attrs.dropout, {b.run, Tensors{b.dy[0], b.in[kStep]}, {&dy, 1}});
    }
    Tensors dx(b.dx.begin(), b.dx.begin() + kTimeBias);
    const Sizes sizes(attrs, b.in[kX] ? b.in[kX] : b.dx[kX], b.in[kSkip] ? b.in[kSkip] : b.dx[kSkip],
                      b.in[kWeight] ? b.in[kWeight] : b.dx[kWeight]);
    const bool wants_x = b.dx[kX] || b.dx[kSkip], is_plain = sizes.of_skip == 0 && attrs.upsample == 1;
    if (wants_x && !is_plain) dx[kX] = b.run.scratch({sizes.enlarged, y.dtype});
    if (b.dx[kTimeBias] && !dx[kResidual]) dx[kResidual] = b.run.scratch(y);
    Plain::backward(attributes, {b.run, plain_operands(attrs, b.run, b.in, y), b.out, {&dy, 1}, dx});
    if (b.dx[kTimeBias]) sum_axes(b.run, dx[kResidual], axes(1, 2), 1, b.dx[kTimeBias]);
    if (wants_x && !is_plain) take_apart(attrs, b, sizes, dx[kX]);
  }

 private:
  // Of x and skip together, before and after they are enlarged. Backward may hold but one, and the weight tells of
  // both.
  struct Sizes {
    Shape joined, enlarged;
    std::int64_t of_x = 0, of_skip = 0;  // channels

    Sizes(const Attrs& attrs, const Tensor& x, const Tensor& skip, const Tensor& weight) {
      if (!weight || (!x && !skip)) return;  // nothing that needs them is wanted
      joined = enlarged = (x ? x : skip).shape();
      joined[3] = enlarged[3] = weight.dim(3) * attrs.groups;
      enlarged[1] *= attrs.upsample;
      enlarged[2] *= attrs.upsample;
      of_x = x ? x.dim(3) : joined[3] - skip.dim(3);
      of_skip = joined[3] - of_x;
    }
  };

  static ops::PartsAttrs parts_of(std::int64_t of_x, std::int64_t of_skip) {
    return {.axis = 3, .sizes = {of_x, of_skip, -1, -1, -1, -1, -1, -1}};
  }
  static const Kernels& kernels(const Execution& run, std::string_view op) {
    return *registered_kernels(run.device.kind(), op);
  }
  // x joined with skip and enlarged, weight, bias, and residual + time_bias.
  static Tensors plain_operands(const Attrs& attrs, const Execution& run, std::span<const Tensor> in, const Spec& y) {
    Tensors plain(in.begin(), in.begin() + kTimeBias);
    if (in[kX]) plain[kX] = put_together(attrs, run, in);
    if (!in[kTimeBias] || y.shape.count() == 0) return plain;
    plain[kResidual] = run.scratch(y);
    scale_to(run, in[kTimeBias].view({y.shape[0], 1, 1, y.shape[3]}), 1, plain[kResidual]);
    if (in[kResidual])
      add_to(run.device, y.shape.count(), pointer<float>(in[kResidual]), pointer<float>(plain[kResidual]));
    return plain;
  }
  static Tensor put_together(const Attrs& attrs, const Execution& run, std::span<const Tensor> in) {
    Tensor x = in[kX];
    Shape shape = x.shape();
    if (in[kSkip]) {
      Tensors parts = {in[kX], in[kSkip]};
      parts.resize(ops::kMaxParts);
      shape[3] += in[kSkip].dim(3);
      x = run.scratch({shape, DType::f32});
      kernels(run, "concat").forward(parts_of(in[kX].dim(3), in[kSkip].dim(3)), {run, parts, {&x, 1}});
    }
    if (attrs.upsample == 1) return x;
    const Tensor small = x;
    shape[1] *= 2;
    shape[2] *= 2;
    x = run.scratch({shape, DType::f32});
    kernels(run, "upsample_nearest").forward(ops::FactorAttrs{2}, {run, {&small, 1}, {&x, 1}});
    return x;
  }
  // From the gradient of what was put together.
  static void take_apart(const Attrs& attrs, const Backward& b, const Sizes& sizes, Tensor gradient) {
    if (attrs.upsample == 2) {
      const Tensor large = gradient;
      gradient = sizes.of_skip == 0 ? b.dx[kX] : b.run.scratch({sizes.joined, DType::f32});
      kernels(b.run, "upsample_nearest").backward(ops::FactorAttrs{2}, {b.run, {}, {}, {&large, 1}, {&gradient, 1}});
    }
    if (sizes.of_skip == 0) return;
    Tensors parts = {b.dx[kX], b.dx[kSkip]};
    parts.resize(ops::kMaxParts);
    kernels(b.run, "concat").backward(parts_of(sizes.of_x, sizes.of_skip), {b.run, {}, {}, {&gradient, 1}, parts});
  }
};

// The convolution whose input gradient this is has x and y swapped.
struct ConvTranspose2d {
  using Attrs = ops::ConvTranspose2dAttrs;

  static void forward(const Execution& run, const Attrs& a, const Tensor& x, const Tensor& weight, const Tensor& y,
                      const ProductEpilogue& epilogue) {
    cuda::input_gradient(run, geometry_of(a, x.shape(), weight.shape()), x, weight, y, epilogue);
  }
  static void input_gradient(const Execution& run, const Attrs& a, const Tensor& dy, const Tensor& weight,
                             const Tensor& dx) {
    cuda::forward(run, geometry_of(a, dx.shape(), weight.shape()), dy, weight, dx);
  }
  static void weight_gradient(const Execution& run, const Attrs& a, const Tensor& x, const Tensor& dy,
                              const Tensor& dweight) {
    cuda::weight_gradient(run, geometry_of(a, x.shape(), dweight.shape()), dy, x, dweight);
  }
};

}  // namespace

void register_convolutions(DeviceKind device) {
  register_kernels(device, "conv2d", {Conv2d::forward, Conv2d::backward});
  register_kernels(device, "conv_transpose2d", kBilinear<ConvTranspose2d>);
}

}  // namespace gesso::cuda
