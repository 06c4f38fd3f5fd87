#include "ops/conv2d.h"

#include "ops/bilinear.h"
#include "ops/concat.h"
#include "ops/conv2d_cases.h"
#include "ops/convolution_enlarged.h"
#include "ops/convolution_rows.h"
#include "ops/dropout_mask.h"
#include "ops/resample.h"
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
    const ConvGeometry g = geometry_of(a, x, weight);
    if (a.upsample == 2)
      return convolution::error_bound(convolution::enlarged_geometry(g), convolution::Pass::input_gradient,
                                      a.activation);
    return convolution::error_bound(g, convolution::Pass::forward, a.activation);
  }
  template <class Visit>
  static void for_each_product(const Attrs& a, const Shape& x, const Shape& weight, Visit visit) {
    convolution::for_each_product(geometry_of(a, x, weight), visit);
  }
};

using Plain = Bilinear<PlainConv2d>;

enum : std::size_t { kX, kWeight, kBias, kResidual, kTimeBias, kStep, kSkip };

const float* floats(const Tensor& t) { return t ? t.data<float>().data() : nullptr; }
float* writable(const Tensor& t) { return t ? t.data<float>().data() : nullptr; }

Shape seen_shape(const ops::Conv2dAttrs& attrs, const Shape& x, std::int64_t channels) {
  return {x[0], x[1] * attrs.upsample, x[2] * attrs.upsample, channels};
}

// What is seen of x and skip, joined and enlarged. Backward may hold but one of them, and the weight tells of both.
struct Seen {
  Shape shape;            // [N,H,W,C]
  std::int64_t of_x = 0;  // channels
  bool is_joined = false;
  ConvGeometry geometry;

  Seen(const ops::Conv2dAttrs& attrs, const Tensor& x, const Tensor& skip, const Tensor& weight) {
    if (!weight || (!x && !skip)) return;  // nothing that needs it is wanted
    const std::int64_t channels = weight.dim(3) * attrs.groups;
    shape = seen_shape(attrs, (x ? x : skip).shape(), channels);
    of_x = x ? x.dim(3) : channels - skip.dim(3);
    is_joined = of_x != channels;
    geometry = geometry_of(attrs, shape, weight.shape());
  }
  Seen(const ops::Conv2dAttrs& attrs, const Backward& b)
      : Seen(attrs, either(b, kX), either(b, kSkip), either(b, kWeight)) {}
  static const Tensor& either(const Backward& b, std::size_t i) { return b.in[i] ? b.in[i] : b.dx[i]; }

  template <class T>
  convolution::JoinedChannels<T> of(T* x, T* skip) const {
    return is_joined ? convolution::JoinedChannels<T>(x, of_x, skip) : convolution::JoinedChannels<T>(x);
  }
};

struct Conv2d {
  static constexpr std::string_view name = "conv2d";
  static constexpr std::string_view doc =
      "y[n,h,w,k] = dropout(activation(sum_{i,j,c} x[n, h stride + i dilation - top, w stride + j dilation - left, c] "
      "weight[k,i,j,c] + bias[k] + residual[n,h,w,k] + time_bias[n,k])), x[N,H,W,C] zero outside, "
      "weight[K,kernel_h,kernel_w,C/groups]: each group of channels of y sees its group of x; dropout by step[1] i64 "
      "where its rate is not 0. x is followed by the channels of skip[N,H,W,C2], and each pixel of both is there "
      "twice, "
      "down and across, where upsample is 2";
  using Attrs = ops::Conv2dAttrs;
  static constexpr Operands differentiable = operands(kX, kWeight, kBias, kResidual, kTimeBias, kSkip);

  static Operands saved_inputs(const Attrs& attrs, Operands wanted) {
    const Operands plain = Plain::saved_inputs(attrs, wanted | (has(wanted, kSkip) ? operands(kX) : 0));
    return plain | (has(plain, kX) ? operands(kSkip) : 0) | (drops(attrs) ? operands(kStep) : 0) |
           (attrs.activation == Activation::silu ? operands(kTimeBias) : 0);
  }
  static Operands saved_outputs(const Attrs& attrs, Operands wanted) { return Plain::saved_outputs(attrs, wanted); }
  static bool drops(const Attrs& attrs) { return attrs.dropout.rate != 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    check_upsample(attrs);
    if (in[kSkip].dtype != DType::none) check_skip(attrs, in[kX], in[kSkip]);
    const Specs y = Plain::infer(attrs, seen_specs(attrs, in));
    const Spec &time_bias = in[kTimeBias], wanted{{y[0].shape[0], y[0].shape[3]}, y[0].dtype};
    if (time_bias.dtype != DType::none && time_bias != wanted)
      fail("conv2d: time_bias must be {}, one a channel and image of the result {}, but is {}", wanted.text(),
           y[0].text(), time_bias.text());
    if (drops(attrs)) check_dropout(name, attrs.dropout, y[0], in[kStep]);
    return y;
  }
  static void check_upsample(const Attrs& a) {
    if (a.upsample != 1 && a.upsample != 2) fail("conv2d: upsample must be 1 or 2, but is {}", a.upsample);
    if (a.upsample == 2 && (a.stride.h != 1 || a.stride.w != 1 || a.dilation.h != 1 || a.dilation.w != 1))
      fail("conv2d: upsample = 2 needs stride and dilation 1, but they are {} {} and {} {}", a.stride.h, a.stride.w,
           a.dilation.h, a.dilation.w);
  }
  static void check_skip(const Attrs& a, const Spec& x, const Spec& skip) {
    Spec wanted = x;
    if (x.shape.rank() == 4 && skip.shape.rank() == 4) wanted.shape[3] = skip.shape[3];
    if (skip != wanted) fail("conv2d: skip must be as x {} but for its channels, but is {}", x.text(), skip.text());
    if (a.groups != 1) fail("conv2d: groups must be 1 beside a skip, but are {}", a.groups);
  }
  // Of the plain convolution's operands: x joined with skip and enlarged.
  static Specs seen_specs(const Attrs& attrs, std::span<const Spec> in) {
    Specs seen(in.begin(), in.begin() + kTimeBias);
    if (seen[kX].shape.rank() != 4) return seen;
    seen[kX].shape =
        seen_shape(attrs, in[kX].shape, in[kX].shape[3] + (in[kSkip].dtype == DType::none ? 0 : in[kSkip].shape[3]));
    return seen;
  }
  static double flops(const Attrs& attrs, std::span<const Spec> in) {
    return Plain::flops(attrs, seen_specs(attrs, in));
  }
  static double tolerance(const Attrs& attrs, std::span<const Spec> in) {
    return Plain::tolerance(attrs, seen_specs(attrs, in));
  }

  static Tensors composition(const Attrs& attrs, std::span<const Tensor> in) {
    Tensor x = in[kX];
    if (in[kSkip]) x = ops::concat({x, in[kSkip]}, 3);
    if (attrs.upsample == 2) x = ops::upsample_nearest(x, 2);
    Attrs plain = without_finish(attrs);
    plain.upsample = 1;
    Tensor y = ops::conv2d(x, in[kWeight], plain);
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

  // By the plain convolution's: x joined with skip and enlarged, the time's bias as a part of the residual, dropout
  // before and after it.
  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    Plain::reference<T>(attrs, {f.run, plain_operands<T>(attrs, f.run, f.in, f.out[0].spec()), f.out});
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
    const Seen seen(attrs, b);
    dx[kX] = b.dx[kX] || b.dx[kSkip] ? b.run.scratch({seen.shape, y.dtype}) : Tensor();
    if (b.dx[kTimeBias] && !dx[kResidual]) dx[kResidual] = b.run.scratch(y);
    Plain::reference_backward<T>(attrs, {b.run, plain_operands<T>(attrs, b.run, b.in, y), b.out, {&dy, 1}, dx});
    if (dx[kX]) {
      for (const std::size_t i : {kX, kSkip})
        if (b.dx[i]) std::ranges::fill(b.dx[i].data<T>(), T{0});
      const auto of_seen = dx[kX].data<T>();
      for_each_seen(attrs, seen.shape, seen.of_x, [&](std::size_t at, bool is_of_x, std::size_t from) {
        const Tensor& to = b.dx[is_of_x ? kX : kSkip];
        if (to) to.data<T>()[from] += of_seen[at];
      });
    }
    if (!b.dx[kTimeBias]) return;
    const auto sums = b.dx[kTimeBias].data<T>(), terms = dx[kResidual].data<T>();
    std::ranges::fill(sums, T{0});
    for_each_with_time(y.shape, [&](std::size_t in_y, std::size_t in_time) { sums[in_time] += terms[in_y]; });
  }
  // x joined with skip and enlarged, weight, bias, and residual + time_bias.
  template <class T>
  static Tensors plain_operands(const Attrs& attrs, const Execution& run, std::span<const Tensor> in, const Spec& y) {
    Tensors plain(in.begin(), in.begin() + kTimeBias);
    if (in[kX] && (in[kSkip] || attrs.upsample == 2)) {
      const std::int64_t of_x = in[kX].dim(3), channels = of_x + (in[kSkip] ? in[kSkip].dim(3) : 0);
      plain[kX] = run.scratch({seen_shape(attrs, in[kX].shape(), channels), y.dtype});
      const auto seen = plain[kX].data<T>();
      for_each_seen(attrs, plain[kX].shape(), of_x, [&](std::size_t at, bool is_of_x, std::size_t from) {
        seen[at] = in[is_of_x ? kX : kSkip].data<T>()[from];
      });
    }
    if (!in[kTimeBias]) return plain;
    plain[kResidual] = run.scratch(y);
    const auto sum = plain[kResidual].data<T>(), time = in[kTimeBias].data<T>();
    for_each_with_time(y.shape, [&](std::size_t in_y, std::size_t in_time) {
      sum[in_y] = time[in_time] + (in[kResidual] ? in[kResidual].data<T>()[in_y] : T{0});
    });
    return plain;
  }
  // visit(index in what is seen, whether x or skip holds it, index there)
  template <class Visit>
  static void for_each_seen(const Attrs& attrs, const Shape& seen, std::int64_t of_x, Visit visit) {
    const std::int64_t up = attrs.upsample;
    for (std::int64_t i = 0; i < seen.count(); ++i) {
      const std::int64_t c = i % seen[3], w = i / seen[3] % seen[2], h = i / seen[3] / seen[2] % seen[1];
      const std::int64_t n = i / seen[3] / seen[2] / seen[1];
      const std::int64_t pixel = (n * (seen[1] / up) + h / up) * (seen[2] / up) + w / up;
      const std::int64_t from = c < of_x ? pixel * of_x + c : pixel * (seen[3] - of_x) + c - of_x;
      visit(static_cast<std::size_t>(i), c < of_x, static_cast<std::size_t>(from));
    }
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
    const Seen seen(attrs, in[kX], in[kSkip], in[kWeight]);
    const ConvGeometry& g = seen.geometry;
    const bool by_image = in[kTimeBias] || drops(attrs);
    const Tensor bias = in[kTimeBias] ? bias_by_image(run, in) : in[kBias];
    const DropoutMask mask(run, attrs.dropout, y.shape(), in[kStep]);
    const GemmEpilogue epilogue = {.bias = floats(bias),
                                   .residual = floats(in[kResidual]),
                                   .activation = attrs.activation,
                                   .image = by_image ? g.OH * g.OW * g.K : 0,
                                   .bias_apart = in[kTimeBias] ? g.K : 0,
                                   .kept = mask.of(0),
                                   .kept_apart = mask.apart()};
    const auto x = seen.of(floats(in[kX]), floats(in[kSkip]));
    if (attrs.upsample == 2)
      convolution::forward_enlarged(run, g, x, floats(in[kWeight]), writable(y), epilogue);
    else
      convolution::forward(run, g, x, floats(in[kWeight]), writable(y), epilogue);
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
    const Seen seen(attrs, b);
    const bool enlarged = attrs.upsample == 2;
    const auto dx = seen.of(writable(b.dx[kX]), writable(b.dx[kSkip]));
    const bool any = b.dx[kX] || (b.dx[kSkip] && seen.is_joined);  // else skip has no channels
    if (any && enlarged)
      convolution::input_gradient_enlarged(b.run, seen.geometry, floats(g), floats(b.in[kWeight]), dx);
    else if (any)
      convolution::input_gradient(b.run, seen.geometry, floats(g), floats(b.in[kWeight]), dx);
    if (b.dx[kWeight])
      (enlarged ? convolution::weight_gradient_enlarged : convolution::weight_gradient)(
          b.run, seen.geometry, seen.of(floats(b.in[kX]), floats(b.in[kSkip])), floats(g), writable(b.dx[kWeight]));
    if (b.dx[kTimeBias]) gemm::sum_rows_of_images(b.run, y[0], y[1] * y[2], y[3], floats(g), writable(b.dx[kTimeBias]));
    if (b.dx[kBias] && b.dx[kTimeBias])
      gemm::sum_rows(b.run, y[0], y[3], writable(b.dx[kTimeBias]), writable(b.dx[kBias]));
    else if (b.dx[kBias])
      gemm::sum_rows(b.run, y[0] * y[1] * y[2], y[3], floats(g), writable(b.dx[kBias]));
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
  return dispatch(row_of<Conv2d>(), attrs,
                  {x, weight, more.bias, more.residual, more.time_bias, more.step, more.skip})[0];
}

}  // namespace gesso
