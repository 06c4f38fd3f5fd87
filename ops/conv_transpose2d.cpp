#include "ops/conv_transpose2d.h"

#include "ops/bilinear.h"
#include "ops/convolution_rows.h"

namespace gesso {

ConvGeometry geometry_of(const ops::ConvTranspose2dAttrs& a, const Shape& x, const Shape& weight) {
  const auto extent = [](std::int64_t size, std::int64_t padding, std::int64_t kernel, std::int64_t dilation,
                         std::int64_t stride) { return (size - 1) * stride - padding + dilation * (kernel - 1) + 1; };
  ConvGeometry g = convolution::window_of(a, weight);
  g.N = x[0], g.OH = x[1], g.OW = x[2], g.K = x[3], g.C = weight[3] * a.groups;
  g.H = extent(g.OH, a.padding.top + a.padding.bottom, g.kernel_h, g.dilation_h, g.stride_h) + a.output_padding.h;
  g.W = extent(g.OW, a.padding.left + a.padding.right, g.kernel_w, g.dilation_w, g.stride_w) + a.output_padding.w;
  return g;
}

namespace {

// The convolution whose input gradient this is has x and y swapped: it leads from y [N,OH,OW,K] to x [N,H,W,C].
struct ConvTranspose2d {
  static constexpr std::string_view name = "conv_transpose2d";
  static constexpr std::string_view doc =
      "y[n, h stride + i dilation - top, w stride + j dilation - left, k] sums x[n,h,w,c] weight[c,i,j,k], then y = "
      "activation(y + bias[k] + residual): the gradient of conv2d's input, x[N,H,W,C], "
      "weight[C,kernel_h,kernel_w,K/groups], y "
      "[N,OH,OW,K], OH = (H - 1) stride - top - bottom + dilation (kernel_h - 1) + 1 + output_padding";
  using Attrs = ops::ConvTranspose2dAttrs;

  static Spec infer(const Attrs& a, const Spec& x, const Spec& weight) {
    convolution::check_attributes(name, a.stride, a.padding, a.dilation, a.groups);
    convolution::check_operands(name, x, weight);
    check_output_padding(a);
    const std::int64_t channels = x.shape[3];
    if (channels != weight.shape[0])
      fail("conv_transpose2d: x has {} channels but weight expects {} (x {}, weight {})", channels, weight.shape[0],
           x.text(), weight.text());
    if (channels % a.groups != 0)
      fail("conv_transpose2d: {} groups must divide the {} channels of x {}", a.groups, channels, x.text());
    const ConvGeometry g = geometry_of(a, x.shape, weight.shape);
    if (x.shape[1] < 1 || x.shape[2] < 1 || g.H < 1 || g.W < 1)
      fail("conv_transpose2d: nothing is left of the result: {} x {} (x {}, weight {}, padding {} {} {} {})", g.H, g.W,
           x.text(), weight.text(), a.padding.top, a.padding.left, a.padding.bottom, a.padding.right);
    return {{g.N, g.H, g.W, g.C}, x.dtype};
  }
  static void check_output_padding(const Attrs& a) {
    const std::int64_t below_h = std::max(a.stride.h, a.dilation.h), below_w = std::max(a.stride.w, a.dilation.w);
    if (a.output_padding.h < 0 || a.output_padding.w < 0 || a.output_padding.h >= below_h ||
        a.output_padding.w >= below_w)
      fail(
          "conv_transpose2d: output_padding {} {} must not be negative and must be less than stride or dilation "
          "(stride {} {}, "
          "dilation {} {})",
          a.output_padding.h, a.output_padding.w, a.stride.h, a.stride.w, a.dilation.h, a.dilation.w);
  }

  static double products(const Attrs& a, const Shape& x, const Shape& weight) {
    return geometry_of(a, x, weight).flops() / 2;
  }
  static double tolerance(const Attrs& a, const Shape& x, const Shape& weight) {
    return convolution::error_bound(geometry_of(a, x, weight), convolution::Pass::input_gradient, a.activation);
  }
  template <class Visit>
  static void for_each_product(const Attrs& a, const Shape& x, const Shape& weight, Visit visit) {
    convolution::for_each_product(geometry_of(a, x, weight), [&](std::size_t in_y, std::size_t in_weight,
                                                                 std::size_t in_x) { visit(in_x, in_weight, in_y); });
  }

  static void forward(const Execution& run, const Attrs& a, const Tensor& x, const Tensor& weight, const Tensor& y,
                      const GemmEpilogue& epilogue) {
    convolution::input_gradient(run, geometry_of(a, x.shape(), weight.shape()), x.data<float>().data(),
                                weight.data<float>().data(), y.data<float>().data(), epilogue);
  }
  static void input_gradient(const Execution& run, const Attrs& a, const Tensor& dy, const Tensor& weight,
                             const Tensor& dx) {
    convolution::forward(run, geometry_of(a, dx.shape(), weight.shape()), dy.data<float>().data(),
                         weight.data<float>().data(), dx.data<float>().data());
  }
  static void weight_gradient(const Execution& run, const Attrs& a, const Tensor& x, const Tensor& dy,
                              const Tensor& dweight) {
    convolution::weight_gradient(run, geometry_of(a, x.shape(), dweight.shape()), dy.data<float>().data(),
                                 x.data<float>().data(), dweight.data<float>().data());
  }

  static Case<Attrs> sample(std::string title, const Attrs& a, const Shape& x, const Shape& weight, bool bias,
                            bool residual) {
    const ConvGeometry g = geometry_of(a, x, weight);
    const Operand absent{{}, Domain::absent};
    return {std::move(title),
            a,
            {{x}, {weight}, bias ? Operand{{g.C}} : absent, residual ? Operand{{g.N, g.H, g.W, g.C}} : absent}};
  }
  static constexpr Activation kRelu = Activation::relu, kSilu = Activation::silu;
  static std::vector<Case<Attrs>> window_samples() {
    return {
        sample("4x4 stride 2", {.stride = 2, .padding = 1}, {2, 4, 5, 20}, {20, 4, 4, 18}, true, false),
        sample("3x3 stride 1", {.padding = 1}, {1, 5, 4, 6}, {6, 3, 3, 7}, true, true),
        sample("winograd4", {.padding = 1, .activation = kRelu, .algorithm = ConvAlgorithm::winograd4}, {1, 6, 9, 20},
               {20, 3, 3, 18}, true, true),
        sample("winograd4, 4x4 stride 2",
               {.stride = 2, .padding = 1, .activation = kRelu, .algorithm = ConvAlgorithm::winograd4}, {2, 6, 5, 20},
               {20, 4, 4, 18}, true, true),
        sample("1x1", {}, {2, 3, 3, 9}, {9, 1, 1, 5}, false, false),
        sample("stride larger than kernel", {.stride = {3, 2}}, {1, 3, 4, 4}, {4, 2, 1, 5}, true, false),
        sample("output padding", {.stride = {2, 3}, .padding = 1, .output_padding = {1, 2}}, {1, 4, 3, 4}, {4, 3, 3, 5},
               true, false),
        sample("asymmetric padding", {.stride = 2, .padding = {0, 1, 2, 0}}, {1, 4, 4, 4}, {4, 3, 4, 3}, false, false),
        sample("dilation", {.stride = 2, .padding = 2, .output_padding = {0, 2}, .dilation = {2, 3}}, {1, 4, 4, 6},
               {6, 3, 2, 5}, true, false),
        sample("groups", {.stride = 2, .padding = 1, .groups = 3}, {2, 3, 4, 12}, {12, 4, 4, 3}, true, true),
        sample("relu", {.stride = 2, .padding = 1, .activation = kRelu}, {1, 3, 3, 5}, {5, 4, 4, 6}, true, true),
        sample("silu", {.stride = 2, .padding = 1, .activation = kSilu}, {1, 3, 3, 5}, {5, 4, 4, 6}, true, true),
        sample("one pixel", {.stride = 2}, {1, 1, 1, 3}, {3, 2, 2, 4}, true, false)};
  }
  // Few or many channels on one side, or none.
  static std::vector<Case<Attrs>> channel_samples() {
    return {sample("many to one channel", {.stride = 2, .padding = 1}, {1, 7, 7, 40}, {40, 4, 4, 1}, true, false),
            sample("many to three channels", {.stride = 2, .padding = 1, .activation = kRelu}, {2, 6, 7, 24},
                   {24, 4, 4, 3}, true, true),
            sample("many to two channels, dilation",
                   {.stride = {2, 1}, .padding = {1, 0, 2, 1}, .output_padding = {1, 0}, .dilation = {1, 2}},
                   {1, 5, 6, 17}, {17, 3, 4, 2}, true, false),
            sample("three channels to many", {.stride = 2, .padding = 1}, {1, 6, 5, 3}, {3, 4, 4, 20}, true, false),
            sample("few channels on both sides", {.stride = 2, .padding = 1}, {2, 4, 3, 4}, {4, 3, 3, 1}, true, false),
            sample("many chunks", {.stride = 2, .padding = 1}, {1, 12, 12, 24}, {24, 4, 4, 40}, true, false),
            sample("channels in fours", {.stride = 2, .padding = 1, .activation = kRelu}, {2, 8, 9, 16}, {16, 4, 4, 8},
                   true, true),
            sample("few results of long sums", {.stride = {1, 2}, .padding = {0, 1, 0, 1}, .activation = kSilu},
                   {1, 1, 1, 128}, {128, 2, 4, 1}, true, true),
            sample("no images", {.stride = 2, .padding = 1}, {0, 3, 3, 4}, {4, 4, 4, 2}, true, false),
            sample("no channels", {.stride = 2, .padding = 1}, {1, 3, 3, 0}, {0, 4, 4, 2}, true, false)};
  }
  static std::vector<Case<Attrs>> samples() {
    std::vector<Case<Attrs>> all = window_samples();
    for (Case<Attrs>& one : channel_samples()) all.push_back(std::move(one));
    return all;
  }
  static std::vector<Case<Attrs>> benchmarks() {
    const Attrs doubling = {.stride = 2, .padding = 1};
    return {sample("N16 128->64 16x16 k4 s2", doubling, {16, 16, 16, 128}, {128, 4, 4, 64}, true, false),
            sample("N16 64->3 32x32 k4 s2", doubling, {16, 32, 32, 64}, {64, 4, 4, 3}, true, false)};
  }
  static Case<Attrs> random_case(Random& random) {
    Attrs a;
    a.groups = pick(random, 0, 2) == 0 ? 2 : 1;
    a.stride = {pick(random, 1, 3), pick(random, 1, 3)};
    a.dilation = {pick(random, 1, 2), pick(random, 1, 2)};
    a.output_padding = {pick(random, 0, a.stride.h - 1), pick(random, 0, a.stride.w - 1)};
    a.activation = static_cast<Activation>(pick(random, 0, 2));
    Shape weight = {a.groups * pick(random, 1, 10), pick(random, 1, 4), pick(random, 1, 4), pick(random, 1, 18)};
    if (pick(random, 0, 1) == 0) {  // where there is a choice
      a.dilation = 1;
      a.stride = pick(random, 1, 2);
      a.output_padding = pick(random, 0, a.stride.h - 1);
      weight[1] = weight[2] = 2 + a.stride.h;
      a.algorithm = convolution::random_algorithm(random, a.stride.h);
    }
    // No more padding than the kernel reaches, so that something is left.
    const auto some = [&](std::int64_t reach) { return pick(random, 0, std::min<std::int64_t>(2, reach / 2)); };
    const std::int64_t reach_h = a.dilation.h * (weight[1] - 1), reach_w = a.dilation.w * (weight[2] - 1);
    a.padding = {some(reach_h), some(reach_w), some(reach_h), some(reach_w)};
    const Shape x = {pick(random, 1, 2), pick(random, 1, 6), pick(random, 1, 6), weight[0]};
    return sample("random", a, x, weight, pick(random, 0, 1) == 1, pick(random, 0, 1) == 1);
  }
  static std::vector<Reject<Attrs>> rejects() {
    const Operand absent{{}, Domain::absent}, x{{1, 3, 3, 4}}, weight{{4, 3, 3, 6}};
    const auto refused = [&](const Attrs& a, const Operand& image, const Operand& kernel,
                             std::vector<std::string> words) {
      return Reject<Attrs>{a, {image, kernel, absent, absent}, std::move(words)};
    };
    return {refused({}, x, {{5, 3, 3, 6}}, {"conv_transpose2d", "4 channels", "expects 5", "[1,3,3,4] f32"}),
            refused({}, {{3, 3, 4}}, weight, {"[N,H,W,C]", "[3,3,4] f32"}),
            refused({.groups = 3}, x, weight, {"3 groups must divide", "4 channels"}),
            refused({.stride = {1, 0}}, x, weight, {"stride must be in [1, 65536]", "is 0"}),
            refused({.padding = {0, 0, 0, -2}}, x, weight, {"padding must be in [0, 65536]", "is -2"}),
            refused({.padding = 3}, x, weight, {"nothing is left", "-1 x -1", "padding 3 3 3 3"}),
            refused({.stride = 2, .output_padding = 2}, x, weight,
                    {"output_padding 2 2", "less than stride", "stride 2 2"}),
            refused({}, {{1, 0, 3, 4}}, weight, {"nothing is left", "[1,0,3,4] f32"}),
            refused({}, x, {{4, 3, 1 << 17, 6}}, {"kernel width must be in [1", "131072"}),
            {{}, {x, weight, {{4}}, absent}, {"bias must be [6] f32", "[4] f32"}},
            {{}, {x, weight, absent, x}, {"residual must be as the result [1,5,5,6] f32"}},
            refused({}, {{1, 3, 3, 4}, Domain::index, 2}, weight, {"floating", "i32"})};
  }
};

}  // namespace

std::vector<const RowInfo*> conv_transpose2d_rows() { return {&row_of<Bilinear<ConvTranspose2d>>()}; }

Tensor ops::conv_transpose2d(const Tensor& x, const Tensor& weight, const ConvTranspose2dAttrs& attrs,
                             const Tensor& bias, const Tensor& residual) {
  return dispatch(row_of<Bilinear<ConvTranspose2d>>(), attrs, {x, weight, bias, residual})[0];
}

}  // namespace gesso
