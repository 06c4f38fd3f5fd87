#include "ops/resample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "ops/describe.h"
#include "ops/resample_simd.h"

namespace gesso {
namespace {

const ResampleKernels& kernels(Isa isa) {
  return by_isa(isa, resample_kernels<simd::Baseline>, resample_kernels<simd::Avx2>, resample_kernels<simd::Avx512>)();
}

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk

// How the targets along one axis are made of the sources: a sparse matrix [targets,sources] whose rows are runs. All
// that is done here is such a matrix for each axis; the gradient is done by their transposes.
class AxisMatrix {
 public:
  explicit AxisMatrix(std::int64_t source_count) : sources(source_count) {}

  // The next target: these weights of the sources from `first` on.
  void add(std::int64_t first, std::span<const float> weights) {
    first_.push_back(first);
    weights_.insert(weights_.end(), weights.begin(), weights.end());
    begin_.push_back(std::ssize(weights_));
  }
  // The targets of a source are neighbours too, since all runs here go forward.
  AxisMatrix transposed() const {
    std::vector<std::vector<float>> weights(static_cast<std::size_t>(sources));
    std::vector<std::int64_t> first(weights.size(), 0);
    for (std::int64_t target = 0; target < targets(); ++target)
      for (std::int64_t t = begin(target); t < begin(target + 1); ++t) {
        const auto source = static_cast<std::size_t>(first_of(target) + t - begin(target));
        if (weights[source].empty()) first[source] = target;
        weights[source].push_back(weights_[static_cast<std::size_t>(t)]);
      }
    AxisMatrix turned(targets());
    for (std::size_t s = 0; s < weights.size(); ++s) turned.add(first[s], weights[s]);
    return turned;
  }

  std::int64_t targets() const { return std::ssize(first_); }
  std::int64_t first_of(std::int64_t target) const { return first_[static_cast<std::size_t>(target)]; }
  std::int64_t count_of(std::int64_t target) const { return begin(target + 1) - begin(target); }
  const float* weights_of(std::int64_t target) const { return weights_.data() + begin(target); }
  // Whether the target is made as the one before it.
  bool repeats(std::int64_t target) const {
    return target > 0 && first_of(target) == first_of(target - 1) && count_of(target) == count_of(target - 1) &&
           std::equal(weights_of(target), weights_of(target + 1), weights_of(target - 1));
  }
  AxisTerms terms() const { return {first_.data(), begin_.data(), weights_.data()}; }

  std::int64_t sources;

 private:
  std::int64_t begin(std::int64_t target) const { return begin_[static_cast<std::size_t>(target)]; }

  std::vector<std::int64_t> first_, begin_{0};  // [targets], [targets + 1]
  std::vector<float> weights_;
};

// y[N,targets,targets,C] of x[N,sources,sources,C]. Each row of y is made by one thread: the rows of x that it needs
// first become one, and then its pixels are put together. y must not be empty.
void resample(const Execution& run, const AxisMatrix& rows, const AxisMatrix& columns, const Tensor& x_tensor,
              const Tensor& y_tensor) {
  const ResampleKernels& kernel = kernels(run.isa);
  const std::int64_t C = y_tensor.dim(3), x_row = columns.sources * C, y_row = columns.targets() * C;
  const std::int64_t all = y_tensor.dim(0) * rows.targets(), each = std::max<std::int64_t>(1, kGrain / y_row);
  const Tensor scratch = run.scratch({{run.pool.threads(), x_row}, DType::f32});
  const float* x = x_tensor.data<float>().data();
  float *y = y_tensor.data<float>().data(), *blended = scratch.data<float>().data();
  run.pool.run((all + each - 1) / each, [&](std::int64_t chunk, int worker) {
    for (std::int64_t i = chunk * each; i < std::min(all, (chunk + 1) * each); ++i) {
      const std::int64_t n = i / rows.targets(), target = i % rows.targets();
      if (i > chunk * each && rows.repeats(target)) {
        std::copy_n(y + (i - 1) * y_row, y_row, y + i * y_row);
        continue;
      }
      const float* from = x + (n * rows.sources + rows.first_of(target)) * x_row;
      if (rows.count_of(target) != 1 || rows.weights_of(target)[0] != 1) {
        float* row = blended + worker * x_row;
        kernel.blend_rows(x_row, rows.count_of(target), rows.weights_of(target), from, x_row, row);
        from = row;
      }
      kernel.blend_pixels(columns.targets(), columns.sources, C, columns.terms(), from, y + i * y_row);
    }
  });
}

// What the three have in common. F has: Attrs; size(attrs, axis, x) -> the result's size along axis 1 or 2, or an
// Error; axis(attrs, sources, targets) -> AxisMatrix; for_each_term<T>(attrs, x shape, y shape, visit(in x, in y,
// weight)): the same as a list, which is where the reference comes from.
template <class F>
struct Resample {
  static constexpr std::string_view name = F::name, doc = F::doc;
  using Attrs = typename F::Attrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec& x = in[0];
    if (!is_floating(x.dtype) || x.shape.rank() != 4)
      fail("{}: x must be floating [N,H,W,C], but is {}", name, x.text());
    return {{{x.shape[0], F::size(attrs, 1, x), F::size(attrs, 2, x), x.shape[3]}, x.dtype}};
  }
  // A multiply-add for each row of x in each row of y, and for each pixel of that in each pixel of y.
  static double flops(const Attrs& attrs, std::span<const Spec> in) {
    const Shape y = infer(attrs, in)[0].shape;
    return 2 * F::terms(attrs) * static_cast<double>(y[0] * y[1] * y[3]) * static_cast<double>(in[0].shape[2] + y[2]);
  }
  // Weights are rounded once, and so are the sums over either axis; a gradient sums as many terms as it has targets.
  static double tolerance(const Attrs& attrs, std::span<const Spec> in) {
    const Shape &x = in[0].shape, y = infer(attrs, in)[0].shape;
    const double growth =
        static_cast<double>(y[1] * y[2]) / static_cast<double>(std::max<std::int64_t>(1, x[1] * x[2]));
    return 1e-7 * std::sqrt(10.0 + growth + F::terms(attrs) * F::terms(attrs));
  }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const auto x = f.in[0].data<T>(), y = f.out[0].data<T>();
    std::ranges::fill(y, T{0});
    F::template for_each_term<T>(attrs, f.in[0].shape(), f.out[0].shape(),
                                 [&](std::size_t from, std::size_t to, T weight) { y[to] += weight * x[from]; });
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const auto dy = b.dy[0].data<T>(), dx = b.dx[0].data<T>();
    std::ranges::fill(dx, T{0});
    F::template for_each_term<T>(attrs, b.dx[0].shape(), b.dy[0].shape(),
                                 [&](std::size_t from, std::size_t to, T weight) { dx[from] += weight * dy[to]; });
  }
  static void cpu(const Attrs& attrs, const Forward& f) {
    const Shape &x = f.in[0].shape(), &y = f.out[0].shape();
    if (y.count() > 0) resample(f.run, F::axis(attrs, x[1], y[1]), F::axis(attrs, x[2], y[2]), f.in[0], f.out[0]);
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    const Shape &x = b.dx[0].shape(), &y = b.dy[0].shape();
    if (x.count() > 0)
      resample(b.run, F::axis(attrs, x[1], y[1]).transposed(), F::axis(attrs, x[2], y[2]).transposed(), b.dy[0],
               b.dx[0]);
  }

  static std::vector<Case<Attrs>> samples() { return F::samples(); }
  static std::vector<Case<Attrs>> benchmarks() { return F::benchmarks(); }
  static Case<Attrs> random_case(Random& random) { return F::random_case(random); }
  static std::vector<Known<Attrs>> known() requires requires { F::known(); }
  { return F::known(); }
  static std::vector<Reject<Attrs>> rejects() {
    std::vector<Reject<Attrs>> all = F::rejects();
    const Attrs any = F::samples()[0].attrs;
    all.push_back({any, {{{4, 6, 3}}}, {std::string(name), "[N,H,W,C]", "[4,6,3] f32"}});
    all.push_back({any, {{{1, 4, 6, 3}, Domain::byte}}, {"floating", "[1,4,6,3] u8"}});
    return all;
  }
};

// visit(pixel of the large picture, pixel of the small one) for blocks of factor x factor, as positions of elements.
template <class Visit>
void for_each_in_blocks(std::int64_t factor, const Shape& large, const Shape& small, Visit visit) {
  for (std::int64_t i = 0; i < large.count(); ++i) {
    const std::int64_t c = i % large[3], w = i / large[3] % large[2], h = i / (large[3] * large[2]) % large[1];
    const std::int64_t n = i / (large[3] * large[2] * large[1]);
    const std::int64_t row = n * small[1] + h / factor;
    visit(static_cast<std::size_t>(i), static_cast<std::size_t>((row * small[2] + w / factor) * small[3] + c));
  }
}

struct Nearest {
  static constexpr std::string_view name = "upsample_nearest";
  static constexpr std::string_view doc =
      "y[N,f*H,f*W,C]: y[n,h,w,c] = x[n,h div f,w div f,c], x [N,H,W,C], f a whole number; dx = the sums of dy over "
      "blocks of f x f pixels";
  using Attrs = ops::FactorAttrs;
  static std::int64_t size(const Attrs& attrs, int axis, const Spec& x) {
    if (attrs.factor < 1 || x.shape[axis] > std::numeric_limits<std::int64_t>::max() / attrs.factor)
      fail("{}: factor must be at least 1 and leave sizes that can be counted, but is {} (x {})", name, attrs.factor,
           x.text());
    return x.shape[axis] * attrs.factor;
  }
  static double terms(const Attrs&) { return 0; }  // it copies
  static AxisMatrix axis(const Attrs& attrs, std::int64_t sources, std::int64_t targets) {
    AxisMatrix matrix(sources);
    for (std::int64_t t = 0; t < targets; ++t) matrix.add(t / attrs.factor, std::array{1.0f});
    return matrix;
  }
  template <class T, class Visit>
  static void for_each_term(const Attrs& attrs, const Shape& x, const Shape& y, Visit visit) {
    for_each_in_blocks(attrs.factor, y, x, [&](std::size_t to, std::size_t from) { visit(from, to, T{1}); });
  }
  static std::vector<Case<Attrs>> samples() {
    return {{"doubled", {2}, {{{2, 3, 5, 4}}}},     {"by an odd factor", {3}, {{{1, 4, 3, 19}}}},
            {"as it is", {1}, {{{2, 3, 2, 5}}}},    {"one pixel", {5}, {{{1, 1, 1, 1}}}},
            {"no samples", {2}, {{{0, 3, 2, 5}}}},  {"no pixels", {2}, {{{2, 0, 2, 5}}}},
            {"no channels", {2}, {{{2, 3, 2, 0}}}}, {"several chunks", {2}, {{{3, 9, 41, 33}}}}};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {{"N16 32x32x128 doubled", {2}, {{{16, 32, 32, 128}}}},
            {"N16 128x128x3 doubled", {2}, {{{16, 128, 128, 3}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    return {"random",
            {pick(random, 1, 4)},
            {{{pick(random, 1, 3), pick(random, 1, 7), pick(random, 1, 7), pick(random, 1, 20)}}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{0}, {{{1, 4, 6, 3}}}, {"upsample_nearest", "factor", "is 0", "[1,4,6,3] f32"}},
            {{std::int64_t{1} << 62}, {{{1, 4, 6, 0}}}, {"upsample_nearest", "can be counted"}}};
  }
};

struct AveragePool {
  static constexpr std::string_view name = "average_pool";
  static constexpr std::string_view doc =
      "y[N,H/f,W/f,C] = the means of blocks of f x f pixels of x [N,H,W,C]; f divides H and W; dx = dy / f^2, repeated "
      "over its block";
  using Attrs = ops::FactorAttrs;
  static std::int64_t size(const Attrs& attrs, int axis, const Spec& x) {
    if (attrs.factor < 1 || x.shape[axis] % attrs.factor != 0)
      fail("{}: blocks of {} pixels do not divide the {} of x {}; pad or slice it first", name, attrs.factor,
           axis == 1 ? "height" : "width", x.text());
    return x.shape[axis] / attrs.factor;
  }
  static double terms(const Attrs& attrs) { return static_cast<double>(attrs.factor); }
  static AxisMatrix axis(const Attrs& attrs, std::int64_t sources, std::int64_t targets) {
    AxisMatrix matrix(sources);
    const std::vector<float> weights(static_cast<std::size_t>(attrs.factor), 1 / static_cast<float>(attrs.factor));
    for (std::int64_t t = 0; t < targets; ++t) matrix.add(t * attrs.factor, weights);
    return matrix;
  }
  template <class T, class Visit>
  static void for_each_term(const Attrs& attrs, const Shape& x, const Shape& y, Visit visit) {
    const T weight = 1 / (static_cast<T>(attrs.factor) * static_cast<T>(attrs.factor));
    for_each_in_blocks(attrs.factor, x, y, [&](std::size_t from, std::size_t to) { visit(from, to, weight); });
  }
  static std::vector<Case<Attrs>> samples() {
    return {{"halved", {2}, {{{2, 6, 4, 5}}}},      {"by an odd factor", {3}, {{{1, 3, 9, 19}}}},
            {"as it is", {1}, {{{2, 3, 2, 5}}}},    {"to one pixel", {5}, {{{2, 5, 5, 1}}}},
            {"no samples", {2}, {{{0, 4, 2, 5}}}},  {"no pixels", {2}, {{{2, 4, 0, 5}}}},
            {"no channels", {2}, {{{2, 4, 2, 0}}}}, {"several chunks", {2}, {{{3, 18, 34, 65}}}}};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {{"N16 64x64x128 halved", {2}, {{{16, 64, 64, 128}}}}, {"N16 256x256x3 halved", {2}, {{{16, 256, 256, 3}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    const std::int64_t factor = pick(random, 1, 4);
    return {"random",
            {factor},
            {{{pick(random, 1, 3), factor * pick(random, 1, 5), factor * pick(random, 1, 5), pick(random, 1, 20)}}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{0}, {{{1, 4, 6, 3}}}, {"average_pool", "blocks of 0 pixels"}},
            {{2}, {{{1, 5, 6, 3}}}, {"blocks of 2", "height of x [1,5,6,3] f32", "pad or slice"}},
            {{4}, {{{1, 8, 6, 3}}}, {"blocks of 4", "width of x [1,8,6,3] f32"}}};
  }
};

// Where target t lies among the sources: between `low` and its successor, `share` of the way (0: on it).
struct HalfPixel {
  HalfPixel(std::int64_t t, std::int64_t sources, std::int64_t targets) {
    const double at =
        (static_cast<double>(t) + 0.5) * static_cast<double>(sources) / static_cast<double>(targets) - 0.5;
    const double inside = std::clamp(at, 0.0, static_cast<double>(sources - 1));
    low = static_cast<std::int64_t>(inside);
    share = inside - static_cast<double>(low);
  }
  std::int64_t low;
  double share;
};

struct ResizeBilinear {
  static constexpr std::string_view name = "resize_bilinear";
  static constexpr std::string_view doc =
      "y[N,h,w,C] of x[N,H,W,C]: pixel (i,j) from the four around ((i + 1/2) H / h - 1/2, (j + 1/2) W / w - 1/2), "
      "limited to the picture: interpolate of PyTorch, bilinear, align_corners = false; dx = the transpose of that";
  using Attrs = ops::BilinearAttrs;
  static std::int64_t size(const Attrs& attrs, int axis, const Spec& x) {
    const std::int64_t wanted = axis == 1 ? attrs.height : attrs.width;
    if (wanted < 1 || x.shape[axis] < 1)
      fail("{}: a {} of {} cannot be made of x {}; both must be at least 1", name, axis == 1 ? "height" : "width",
           wanted, x.text());
    return wanted;
  }
  static double terms(const Attrs&) { return 2; }
  static AxisMatrix axis(const Attrs&, std::int64_t sources, std::int64_t targets) {
    AxisMatrix matrix(sources);
    for (std::int64_t t = 0; t < targets; ++t) {
      const HalfPixel at(t, sources, targets);
      const std::array weights{static_cast<float>(1 - at.share), static_cast<float>(at.share)};
      matrix.add(at.low, std::span(weights).first(at.share == 0 ? 1 : 2));
    }
    return matrix;
  }
  template <class T, class Visit>
  static void for_each_term(const Attrs&, const Shape& x, const Shape& y, Visit visit) {
    for (std::int64_t i = 0; i < y.count(); ++i) {
      const std::int64_t c = i % y[3], n = i / (y[3] * y[2] * y[1]);
      const HalfPixel h(i / (y[3] * y[2]) % y[1], x[1], y[1]), w(i / y[3] % y[2], x[2], y[2]);
      for (const int down : {0, 1})
        for (const int right : {0, 1}) {
          const std::int64_t row = std::min(h.low + down, x[1] - 1), column = std::min(w.low + right, x[2] - 1);
          const double weight = (down ? h.share : 1 - h.share) * (right ? w.share : 1 - w.share);
          if (weight == 0) continue;  // 0 times infinity would be NaN
          visit(static_cast<std::size_t>(((n * x[1] + row) * x[2] + column) * x[3] + c), static_cast<std::size_t>(i),
                static_cast<T>(weight));
        }
    }
  }
  static std::vector<Case<Attrs>> samples() {
    return {{"up", {5, 9}, {{{2, 3, 4, 5}}}},
            {"down", {3, 2}, {{{2, 7, 5, 19}}}},
            {"doubled", {6, 10}, {{{1, 3, 5, 4}}}},
            {"up and down", {2, 11}, {{{1, 9, 4, 3}}}},
            {"as it is", {3, 2}, {{{2, 3, 2, 5}}}},
            {"from one pixel", {4, 3}, {{{1, 1, 1, 3}}}},
            {"to one pixel", {1, 1}, {{{2, 5, 8, 1}}}},
            {"far down, pixels left out", {2, 2}, {{{1, 13, 17, 2}}}},
            {"no samples", {4, 3}, {{{0, 2, 2, 5}}}},
            {"no channels", {4, 3}, {{{2, 3, 2, 0}}}},
            {"many channels", {5, 3}, {{{1, 4, 4, 70}}}},
            {"several chunks", {21, 70}, {{{3, 9, 41, 33}}}}};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {{"N16 32x32x128 doubled", {64, 64}, {{{16, 32, 32, 128}}}},
            {"N16 256x256x3 to 299x299", {299, 299}, {{{16, 256, 256, 3}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    return {"random",
            {pick(random, 1, 12), pick(random, 1, 12)},
            {{{pick(random, 1, 3), pick(random, 1, 9), pick(random, 1, 9), pick(random, 1, 20)}}}};
  }
  // Matrices of two and four pixels a side, from the documentation of torch.nn.Upsample.
  static std::vector<Known<Attrs>> known() {
    return {{"doubled",
             {4, 4},
             {{{{1, 2, 2, 1}, DType::f32}, {1, 2, 3, 4}}},
             {{{{1, 4, 4, 1}, DType::f32},
               {1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4}}}},
            {"five to three",
             {1, 3},
             {{{{1, 1, 5, 1}, DType::f32}, {1, 2, 3, 4, 5}}},
             {{{{1, 1, 3, 1}, DType::f32}, {4.0 / 3, 3, 14.0 / 3}}}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{0, 4}, {{{1, 5, 6, 3}}}, {"resize_bilinear", "a height of 0", "[1,5,6,3] f32"}},
            {{4, -1}, {{{1, 5, 6, 3}}}, {"a width of -1"}},
            {{4, 4}, {{{1, 5, 0, 3}}}, {"a width of 4", "[1,5,0,3] f32", "at least 1"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> resample_rows() {
  return {&row_of<Resample<Nearest>>(), &row_of<Resample<ResizeBilinear>>(), &row_of<Resample<AveragePool>>()};
}

namespace ops {

Tensor upsample_nearest(const Tensor& x, std::int64_t factor) {
  return dispatch(row_of<Resample<Nearest>>(), FactorAttrs{factor}, {x})[0];
}
Tensor resize_bilinear(const Tensor& x, const BilinearAttrs& attrs) {
  return dispatch(row_of<Resample<ResizeBilinear>>(), attrs, {x})[0];
}
Tensor average_pool(const Tensor& x, std::int64_t factor) {
  return dispatch(row_of<Resample<AveragePool>>(), FactorAttrs{factor}, {x})[0];
}

}  // namespace ops
}  // namespace gesso
