#include "ops/conv2d.h"

#include "ops/bilinear.h"
#include "ops/conv2d_cases.h"
#include "ops/convolution_rows.h"
#include "ops/dropout_mask.h"
#include "ops/reshape.h"

namespace gesso {

ConvGeometry geometry_of(const ops::Conv2dAttrs& a, const Shape& x, const Shape& weight) {
  const auto extent = [](std::int64_t size, std::int64_t padding, std::int64_t kernel, std::int64_t dilation,
                         std::int64_t stride) {
    const std::int64_t room = size + padding - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
  };
  ConvGeometry g = convolution::window_of(a, weight);
  g.N = x[0], g.H = x[1], g.W = x[2], g.C = x[3], g.K = weight[0];
  g.OH = extent(g.H, a.padding.top + a.padding.bottom, g.kernel_h, g.dilation_h, g.stride_h);
  g.OW = extent(g.W, a.padding.left + a.padding.right, g.kernel_w, g.dilation_w, g.stride_w);
  return g;
}

namespace {

// The convolution itself, as ops/bilinear.h wants it: the reference is made of it.
struct PlainConv2d {
  static constexpr std::string_view name = "conv2d", doc = "";
  using Attrs = ops::Conv2dAttrs;

  static Spec infer(const Attrs& a, const Spec& x, const Spec& weight) {
    convolution::check_attributes(name, a.stride, a.padding, a.dilation, a.groups);
    convolution::check_operands(name, x, weight);
    const std::int64_t channels = x.shape[3];
    if (channels % a.groups != 0 || weight.shape[0] % a.groups != 0)
      fail("conv2d: {} groups must divide the {} channels of x and the {} of weight (x {}, weight {})", a.groups,
           channels, weight.shape[0], x.text(), weight.text());
    if (channels / a.groups != weight.shape[3])
      fail("conv2d: x has {} channels{} but weight expects {} (x {}, weight {})", channels / a.groups,
           a.groups > 1 ? " a group" : "", weight.shape[3], x.text(), weight.text());
    const ConvGeometry g = geometry_of(a, x.shape, weight.shape);
    if (g.OH == 0 || g.OW == 0)
      fail(
          "conv2d: the kernel does not fit into the image with its padding (x {}, weight {}, padding {} {} {} {}, "
          "dilation {} {})",
          x.text(), weight.text(), a.padding.top, a.padding.left, a.padding.bottom, a.padding.right, a.dilation.h,
          a.dilation.w);
    return {{g.N, g.OH, g.OW, g.K}, x.dtype};
  }
  static double products(const Attrs& a, const Shape& x, const Shape& weight) {
    return geometry_of(a, x, weight).flops() / 2;
  }
  static double tolerance(const Attrs& a, const Shape& x, const Shape& weight) {
    return convolution::error_bound(geometry_of(a, x, weight), convolution::Pass::forward, a.activation);
  }
  template <class Visit>
  static void for_each_product(const Attrs& a, const Shape& x, const Shape& weight, Visit visit) {
    convolution::for_each_product(geometry_of(a, x, weight), visit);
  }
};

using Plain = Bilinear<PlainConv2d>;

enum : std::size_t { kX, kWeight, kBias, kResidual, kTimeBias, kStep };

const float* floats(const Tensor& t) { return t ? t.data<float>().data() : nullptr; }

struct Conv2d {
  static constexpr std::string_view name = "conv2d";
  static constexpr std::string_view doc =
      "y[n,h,w,k] = dropout(activation(sum_{i,j,c} x[n, h stride + i dilation - top, w stride + j dilation - left, c] "
      "weight[k,i,j,c] + bias[k] + residual[n,h,w,k] + time_bias[n,k])), x[N,H,W,C] zero outside, "
      "weight[K,kernel_h,kernel_w,C/groups]: each group of channels of y sees its group of x; dropout by step[1] i64 "
      "where its rate is not 0";
  using Attrs = ops::Conv2dAttrs;
  static constexpr Operands differentiable = operands(kX, kWeight, kBias, kResidual, kTimeBias);

  static Operands saved_inputs(const Attrs& attrs, Operands wanted) {
    const Operands step = drops(attrs) ? operands(kStep) : 0, plain = Plain::saved_inputs(attrs, wanted);
    return plain | step | (attrs.activation == Activation::silu ? operands(kTimeBias) : 0);
  }
  static Operands saved_outputs(const Attrs& attrs, Operands wanted) { return Plain::saved_outputs(attrs, wanted); }
  static bool drops(const Attrs& attrs) { return attrs.dropout.rate != 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Specs y = Plain::infer(attrs, in.first(kTimeBias));
    const Spec &time_bias = in[kTimeBias], wanted{{y[0].shape[0], y[0].shape[3]}, y[0].dtype};
    if (time_bias.dtype != DType::none && time_bias != wanted)
      fail("conv2d: time_bias must be {}, one a channel and image of the result {}, but is {}", wanted.text(),
           y[0].text(), time_bias.text());
    if (drops(attrs)) check_dropout(name, attrs.dropout, y[0], in[kStep]);
    return y;
  }
  static double flops(const Attrs& attrs, std::span<const Spec> in) { return Plain::flops(attrs, in); }
  static double tolerance(const Attrs& attrs, std::span<const Spec> in) { return Plain::tolerance(attrs, in); }

  static Tensors composition(const Attrs& attrs, std::span<const Tensor> in) {
    Tensor y = ops::conv2d(in[kX], in[kWeight], without_finish(attrs));
    if (in[kBias]) y = ops::add(y, in[kBias]);
    if (in[kResidual]) y = ops::add(y, in[kResidual]);
    if (in[kTimeBias]) y = ops::add(y, ops::reshape(in[kTimeBias], {y.dim(0), 1, 1, y.dim(3)}));
    if (attrs.activation == Activation::relu) y = ops::relu(y);
    if (attrs.activation == Activation::silu) y = ops::silu(y);
    return {drops(attrs) ? ops::dropout(y, in[kStep], attrs.dropout) : y};
  }
  static Attrs without_finish(Attrs attrs) {
    attrs.activation = Activation::none;
    attrs.dropout = {};
    return attrs;
  }

  // By the plain convolution's: the time's bias as a part of the residual, dropout before and after it.
  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    Plain::reference<T>(attrs, {f.run, plain_operands<T>(f.run, f.in, f.out[0].spec()), f.out});
    if (drops(attrs)) drop_naively<T>(attrs.dropout, f.in[kStep], f.out[0], f.out[0]);
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const Spec& y = b.dy[0].spec();
    Tensor dy = b.dy[0];
    if (drops(attrs)) {
      dy = b.run.scratch(y);
      drop_naively<T>(attrs.dropout, b.in[kStep], b.dy[0], dy);
    }
    Tensors dx(b.dx.begin(), b.dx.begin() + kTimeBias);
    if (b.dx[kTimeBias] && !dx[kResidual]) dx[kResidual] = b.run.scratch(y);
    Plain::reference_backward<T>(attrs, {b.run, plain_operands<T>(b.run, b.in, y), b.out, {&dy, 1}, dx});
    if (!b.dx[kTimeBias]) return;
    const auto sums = b.dx[kTimeBias].data<T>(), terms = dx[kResidual].data<T>();
    std::ranges::fill(sums, T{0});
    for_each_with_time(y.shape, [&](std::size_t in_y, std::size_t in_time) { sums[in_time] += terms[in_y]; });
  }
  // x, weight, bias, and residual + time_bias.
  template <class T>
  static Tensors plain_operands(const Execution& run, std::span<const Tensor> in, const Spec& y) {
    Tensors plain(in.begin(), in.begin() + kTimeBias);
    if (!in[kTimeBias]) return plain;
    plain[kResidual] = run.scratch(y);
    const auto sum = plain[kResidual].data<T>(), time = in[kTimeBias].data<T>();
    for_each_with_time(y.shape, [&](std::size_t in_y, std::size_t in_time) {
      sum[in_y] = time[in_time] + (in[kResidual] ? in[kResidual].data<T>()[in_y] : T{0});
    });
    return plain;
  }
  // visit(index in y, index in time_bias)
  template <class Visit>
  static void for_each_with_time(const Shape& y, Visit visit) {
    for (std::int64_t i = 0; i < y.count(); ++i)
      visit(static_cast<std::size_t>(i), static_cast<std::size_t>(i / (y[1] * y[2] * y[3]) * y[3] + i % y[3]));
  }

  static void cpu(const Attrs& attrs, const Forward& f) { convolve(attrs, f.run, f.in, f.out[0]); }
  static void convolve(const Attrs& attrs, const Execution& run, std::span<const Tensor> in, const Tensor& y) {
    if (y.count() == 0) return;
    const ConvGeometry g = geometry_of(attrs, in[kX].shape(), in[kWeight].shape());
    const bool by_image = in[kTimeBias] || drops(attrs);
    const Tensor bias = in[kTimeBias] ? bias_by_image(run, in) : in[kBias];
    const DropoutMask mask(run, attrs.dropout, y.shape(), in[kStep]);
    convolution::forward(run, g, floats(in[kX]), floats(in[kWeight]), y.data<float>().data(),
                         {.bias = floats(bias),
                          .residual = floats(in[kResidual]),
                          .activation = attrs.activation,
                          .image = by_image ? g.OH * g.OW * g.K : 0,
                          .bias_apart = in[kTimeBias] ? g.K : 0,
                          .kept = mask.of(0),
                          .kept_apart = mask.apart()});
  }
  // bias + time_bias, [N,K]
  static Tensor bias_by_image(const Execution& run, std::span<const Tensor> in) {
    if (!in[kBias]) return in[kTimeBias];
    const Tensor sum = run.scratch(in[kTimeBias].spec());
    if (!run.computes()) return sum;
    const auto bias = in[kBias].data<float>(), time = in[kTimeBias].data<float>(), to = sum.data<float>();
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = time[i] + bias[i % bias.size()];
    return sum;
  }

  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    const Tensor g = sum_gradient(attrs, b);
    const Shape& y = g.shape();
    const auto to = [&](std::size_t operand) { return b.dx[operand].data<float>().data(); };
    if (b.dx[kX])
      convolution::input_gradient(b.run, geometry_of(attrs, b.dx[kX].shape(), b.in[kWeight].shape()), floats(g),
                                  floats(b.in[kWeight]), to(kX));
    if (b.dx[kWeight])
      convolution::weight_gradient(b.run, geometry_of(attrs, b.in[kX].shape(), b.dx[kWeight].shape()), floats(b.in[kX]),
                                   floats(g), to(kWeight));
    if (b.dx[kTimeBias]) gemm::sum_rows_of_images(b.run, y[0], y[1] * y[2], y[3], floats(g), to(kTimeBias));
    if (b.dx[kBias] && b.dx[kTimeBias])
      gemm::sum_rows(b.run, y[0], y[3], to(kTimeBias), to(kBias));
    else if (b.dx[kBias])
      gemm::sum_rows(b.run, y[0] * y[1] * y[2], y[3], floats(g), to(kBias));
    if (b.dx[kResidual]) b.dx[kResidual].copy_from(g);
  }
  // The gradient of what the activation is applied to. Where y was dropped, so is its gradient: relu's derivative is
  // seen in y all the same.
  static Tensor sum_gradient(const Attrs& attrs, const Backward& b) {
    if (attrs.activation == Activation::none && !drops(attrs)) return b.dy[0];
    const Tensor g = b.run.scratch(b.dy[0].spec());
    if (drops(attrs)) drop(b.run, attrs.dropout, b.in[kStep], b.dy[0], g);
    if (attrs.activation == Activation::none) return g;
    Tensor kept = b.out[0];
    if (attrs.activation == Activation::silu) {
      kept = b.run.scratch(g.spec());
      convolve(without_finish(attrs), b.run, b.in, kept);
    }
    gemm::activation_backward(b.run, g.count(), attrs.activation, floats(kept), floats(drops(attrs) ? g : b.dy[0]),
                              g.data<float>().data());
    return g;
  }

  static std::vector<Case<Attrs>> samples() { return conv2d_cases::samples(); }
  static std::vector<Case<Attrs>> benchmarks() { return conv2d_cases::benchmarks(); }
  static Case<Attrs> random_case(Random& random) { return conv2d_cases::random_case(random); }
  static std::vector<Reject<Attrs>> rejects() { return conv2d_cases::rejects(); }
};

}  // namespace

std::vector<const RowInfo*> conv2d_rows() { return {&row_of<Conv2d>()}; }

Tensor ops::conv2d(const Tensor& x, const Tensor& weight, const Conv2dAttrs& attrs, const Conv2dOperands& more) {
  return dispatch(row_of<Conv2d>(), attrs, {x, weight, more.bias, more.residual, more.time_bias, more.step})[0];
}

}  // namespace gesso
