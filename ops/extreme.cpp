#include "ops/extreme.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "ops/describe.h"
#include "ops/reduce_axes.h"
#include "ops/reduce_parts.h"
#include "ops/reduce_simd.h"

namespace gesso {
namespace {

using Attrs = ops::ReduceAttrs;

Shape extreme_shape(std::string_view op, const Attrs& attrs, const Spec& x) {
  Shape y = reduced_shape(op, x, attrs.axes, attrs.keep_dims);
  const std::int64_t count = reduced_count(x.shape, attrs.axes);
  if (count == 0) fail("{}: x {} has no elements along the axes, so none is the first among them", op, x.text());
  if (count > std::numeric_limits<std::int32_t>::max())
    fail("{}: x {} has {} elements along the axes, more than an i32 counts", op, x.text(), count);
  return y;
}

// Calls visit(result, index, x) for each element of x: the result that it belongs to, and which one of its elements it
// is.
template <class T, class Visit>
void for_each_element(const Shape& shape, Axes axes, const T* x, Visit visit) {
  const Shape kept = kept_shape(shape, axes);
  const Steps steps = steps_of(kept, shape);
  std::vector<std::int32_t> seen(static_cast<std::size_t>(kept.count()));
  for (std::int64_t i = 0; i < shape.count(); ++i) {
    const auto result = static_cast<std::size_t>(position(i, shape, steps));
    visit(result, seen[result]++, x[i]);
  }
}

template <class T>
void reference_index(const Attrs& attrs, const Tensor& x, bool largest, std::span<std::int32_t> index) {
  std::vector<T> best(index.size());
  for_each_element(x.shape(), attrs.axes, x.data<T>().data(), [&](std::size_t result, std::int32_t i, T value) {
    const T so_far = best[result];
    const bool wins = largest ? value > so_far : value < so_far;
    if (i > 0 && !wins && (!std::isnan(value) || std::isnan(so_far))) return;
    best[result] = value;
    index[result] = i;
  });
}

// sign 1: the largest; -1: the smallest.
template <class Finish>
void find(const Execution& run, const Attrs& attrs, const Tensor& x, float sign, Finish finish) {
  const auto largest =
      by_isa(run.isa, reduce_kernels<simd::Baseline>, reduce_kernels<simd::Avx2>, reduce_kernels<simd::Avx512>)()
          .largest;
  reduce_to_parts<Extreme>(
      run, {x.data<float>().data(), x.shape()}, attrs.axes,
      [&](std::int64_t rows, std::int64_t n, std::int64_t row, const float* from, Extreme* parts) {
        largest(rows, n, row, sign, from, parts);
      },
      [](Extreme& best, const Extreme& next, std::int64_t before) {
        if (next.value <= best.value || std::isnan(best.value)) return;
        best = {next.value, static_cast<std::int32_t>(before + next.index)};
      },
      finish);
}

struct Max {
  static constexpr std::string_view name = "max";
  static constexpr std::string_view doc =
      "y = the largest of x over the axes, NaN where there is one; over all axes a scalar []; index (i32, in y's "
      "shape): which of them it is, the first of equal ones; dx = dy there, else 0";
  using Attrs = ops::ReduceAttrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return operands(1); }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Shape y = extreme_shape(name, attrs, in[0]);
    return {{y, in[0].dtype}, {y, DType::i32}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const std::span<std::int32_t> index = f.out[1].data<std::int32_t>();
    reference_index<T>(attrs, f.in[0], true, index);
    take<T>(attrs, f.in[0], index, f.out[0].data<T>());
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const std::span<const std::int32_t> index = b.out[1].data<std::int32_t>();
    const std::span<T> dx = b.dx[0].data<T>();
    std::size_t at = 0;
    for_each_element(b.dx[0].shape(), attrs.axes, dx.data(), [&](std::size_t result, std::int32_t i, T) {
      dx[at++] = index[result] == i ? b.dy[0].data<T>()[result] : T{0};
    });
  }
  // Whole numbers that tie go on tying however little they are moved, so that the first of them is what is followed.
  template <class T>
  static void surrogate(const Attrs& attrs, const Forward& f) {
    const std::span<const T> x = f.in[0].data<T>();
    const Tensor whole(f.in[0].spec(), f.run.device);
    std::ranges::transform(x, whole.data<T>().begin(), [](T value) { return std::nearbyint(value); });
    std::vector<std::int32_t> index(static_cast<std::size_t>(f.out[0].count()));
    reference_index<T>(attrs, whole, true, index);
    take<T>(attrs, f.in[0], index, f.out[0].data<T>());
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    float* y = f.out[0].data<float>().data();
    std::int32_t* index = f.out[1].data<std::int32_t>().data();
    find(f.run, attrs, f.in[0], 1, [=](std::int64_t i, const Extreme& largest) {
      y[i] = largest.value;
      index[i] = largest.index;
    });
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    const Shape& shape = b.dx[0].shape();
    const Shape kept = kept_shape(shape, attrs.axes), reduced = kept_shape(shape, ~attrs.axes);
    const Steps steps = steps_of(shape, shape);
    const float* dy = b.dy[0].data<float>().data();
    const std::int32_t* index = b.out[1].data<std::int32_t>().data();
    float* dx = b.dx[0].data<float>().data();
    parallel_for(b.run.pool, shape.count(), kReduceGrain,
                 [&](std::int64_t begin, std::int64_t end) { std::fill(dx + begin, dx + end, 0.0f); });
    parallel_for(b.run.pool, kept.count(), kReduceGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        dx[position(i, kept, steps) + position(index[i], reduced, steps)] = dy[i];
    });
  }

  static std::vector<Case<Attrs>> samples() { return reduction_samples<Attrs>(Domain::small_integer); }
  static std::vector<Case<Attrs>> benchmarks() {
    return {{"4096x512 over 1", {.axes = axes(1)}, {{{4096, 512}}}},
            {"16x32x32x64 over 1, 2", {.axes = axes(1, 2)}, {{{16, 32, 32, 64}}}}};
  }
  static Case<Attrs> random_case(Random& random) { return random_reduction<Attrs>(random, Domain::small_integer); }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{.axes = axes(2)}, {{{3, 4}}}, {"max", "[3,4] f32", "no axis 2"}},
            {{}, {{{3}, Domain::index, 5}}, {"max", "floating", "[3] i32"}},
            {{.axes = axes(0)}, {{{0, 4}}}, {"max", "[0,4] f32", "no elements"}},
            {{.axes = axes(0)}, {{{1LL << 31}}}, {"max", "2147483648 elements", "i32"}}};
  }

 private:
  // y = x at the indices
  template <class T>
  static void take(const Attrs& attrs, const Tensor& x, std::span<const std::int32_t> index, std::span<T> y) {
    for_each_element(x.shape(), attrs.axes, x.data<T>().data(), [&](std::size_t result, std::int32_t i, T value) {
      if (index[result] == i) y[result] = value;
    });
  }
};

struct ArgMax {
  static constexpr std::string_view name = "argmax";
  static constexpr std::string_view doc =
      "index (i32) = which element of x over the axes, counted with the last axis fastest, is the largest: the "
      "first of equal ones, the first NaN where there is one; over all axes a scalar []";
  static constexpr bool largest = true;
};
struct ArgMin {
  static constexpr std::string_view name = "argmin";
  static constexpr std::string_view doc =
      "index (i32) = which element of x over the axes, counted with the last axis fastest, is the smallest: the "
      "first of equal ones, the first NaN where there is one; over all axes a scalar []";
  static constexpr bool largest = false;
};

template <class F>
struct ArgExtreme {
  static constexpr std::string_view name = F::name;
  static constexpr std::string_view doc = F::doc;
  using Attrs = ops::ReduceAttrs;
  static constexpr std::string_view not_differentiable =
      "an index moves in steps: its derivative is 0 or there is none";

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    return {{extreme_shape(name, attrs, in[0]), DType::i32}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    reference_index<T>(attrs, f.in[0], F::largest, f.out[0].data<std::int32_t>());
  }
  static void cpu(const Attrs& attrs, const Forward& f) {
    std::int32_t* index = f.out[0].data<std::int32_t>().data();
    find(f.run, attrs, f.in[0], F::largest ? 1 : -1,
         [=](std::int64_t i, const Extreme& extreme) { index[i] = extreme.index; });
  }

  static std::vector<Case<Attrs>> samples() {
    std::vector<Case<Attrs>> cases = reduction_samples<Attrs>(Domain::small_integer);
    cases.push_back({"no ties", {.axes = axes(1)}, {{{5, 700}}}});
    cases.push_back({"no ties, columns", {.axes = axes(0)}, {{{700, 5}}}});
    return cases;
  }
  static std::vector<Case<Attrs>> benchmarks() { return Max::benchmarks(); }
  static Case<Attrs> random_case(Random& random) { return random_reduction<Attrs>(random, Domain::small_integer); }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{.axes = axes(2)}, {{{3, 4}}}, {std::string(name), "[3,4] f32", "no axis 2"}},
            {{}, {{{3}, Domain::index, 5}}, {std::string(name), "floating", "[3] i32"}},
            {{.axes = axes(0)}, {{{0, 4}}}, {std::string(name), "[0,4] f32", "no elements"}},
            {{.axes = axes(0)}, {{{1LL << 31}}}, {std::string(name), "2147483648 elements", "i32"}}};
  }
  static std::vector<Known<Attrs>> known() {
    const Values x{{{2, 3}, DType::f32}, {4, -2, 4, -2, 7, 5}}, with_nan{{{4}, DType::f32}, {1, NAN, 9, NAN}};
    const auto index = [](const Shape& shape, std::vector<double> max, std::vector<double> min) {
      return Values{{shape, DType::i32}, F::largest ? std::move(max) : std::move(min)};
    };
    return {{"rows", {.axes = axes(1)}, {x}, {index({2}, {0, 1}, {1, 0})}},
            {"columns", {.axes = axes(0), .keep_dims = true}, {x}, {index({1, 3}, {0, 1, 1}, {1, 0, 0})}},
            {"all", {.axes = axes(0, 1)}, {x}, {index({}, {4}, {1})}},
            {"NaN", {.axes = axes(0)}, {with_nan}, {index({}, {1}, {1})}}};
  }
};

template <class R>
Tensor apply(const Tensor& x, const Attrs& attrs) {
  return dispatch(row_of<R>(), attrs, {x})[0];
}
Attrs over_all(const Tensor& x) { return {.axes = all_axes(x.shape().rank())}; }

}  // namespace

std::vector<const RowInfo*> extreme_rows() {
  return {&row_of<Max>(), &row_of<ArgExtreme<ArgMax>>(), &row_of<ArgExtreme<ArgMin>>()};
}

namespace ops {
Tensor max(const Tensor& x, const ReduceAttrs& attrs) { return apply<Max>(x, attrs); }
Tensor max(const Tensor& x) { return max(x, over_all(x)); }
Tensor argmax(const Tensor& x, const ReduceAttrs& attrs) { return apply<ArgExtreme<ArgMax>>(x, attrs); }
Tensor argmax(const Tensor& x) { return argmax(x, over_all(x)); }
Tensor argmin(const Tensor& x, const ReduceAttrs& attrs) { return apply<ArgExtreme<ArgMin>>(x, attrs); }
Tensor argmin(const Tensor& x) { return argmin(x, over_all(x)); }
}  // namespace ops

}  // namespace gesso
