#include "ops/reduce.h"

#include <algorithm>

#include "ops/broadcast.h"
#include "ops/describe.h"
#include "ops/reduce_axes.h"

namespace gesso {
namespace {

struct Sum {
  static constexpr std::string_view name = "sum";
  static constexpr std::string_view doc =
      "y = the sum of x over the axes, in double; over all of them a scalar []; dx = dy, repeated along the axes";
  static constexpr bool averages = false;
};
struct Mean {
  static constexpr std::string_view name = "mean";
  static constexpr std::string_view doc =
      "y = the mean of x over the axes (n elements each), summed in double; over all of them a scalar []; dx = dy / n, "
      "repeated along the axes";
  static constexpr bool averages = true;
};

template <class F>
struct Reduce {
  static constexpr std::string_view name = F::name;
  static constexpr std::string_view doc = F::doc;
  using Attrs = ops::ReduceAttrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec& x = in[0];
    const Shape y = reduced_shape(name, x, attrs.axes, attrs.keep_dims);
    if (F::averages && reduced_count(x.shape, attrs.axes) == 0)
      fail("{}: x {} has no elements along the axes, so they have no mean", name, x.text());
    return {{y, x.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return static_cast<double>(in[0].shape.count()); }
  // Sums run in double; the result is rounded.
  static double tolerance(const Attrs&, std::span<const Spec>) { return 2e-7; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const Shape& shape = f.in[0].shape();
    const Steps steps = steps_of(kept_shape(shape, attrs.axes), shape);
    std::vector<double> sums(static_cast<std::size_t>(f.out[0].count()));
    const T* x = f.in[0].data<T>().data();
    for (std::int64_t i = 0; i < shape.count(); ++i)
      sums[static_cast<std::size_t>(position(i, shape, steps))] += static_cast<double>(x[i]);
    std::ranges::transform(sums, f.out[0].data<T>().begin(),
                           [&](double sum) { return static_cast<T>(sum * scale(attrs, shape)); });
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const Shape& shape = b.dx[0].shape();
    const Steps steps = steps_of(kept_shape(shape, attrs.axes), shape);
    const T* dy = b.dy[0].data<T>().data();
    T* dx = b.dx[0].data<T>().data();
    for (std::int64_t i = 0; i < shape.count(); ++i)
      dx[i] = dy[position(i, shape, steps)] * static_cast<T>(scale(attrs, shape));
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    const Tensor& x = f.in[0];
    sum_axes(f.run, {x.data<float>().data(), x.shape()}, attrs.axes, scale(attrs, x.shape()),
             f.out[0].data<float>().data());
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    const Tensor& dx = b.dx[0];
    const float factor = static_cast<float>(scale(attrs, dx.shape()));
    apply_broadcast(b.run, broadcast_kernels(b.run.isa).mul, dx.shape(),
                    {b.dy[0].data<float>().data(), kept_shape(dx.shape(), attrs.axes)}, {&factor, {}},
                    dx.data<float>().data());
  }

  static std::vector<Case<Attrs>> samples() {
    std::vector<Case<Attrs>> cases = reduction_samples<Attrs>(Domain::normal);
    if (!F::averages) cases.push_back({"of nothing", {.axes = axes(0)}, {{{0, 4}}}});
    return cases;
  }
  static Case<Attrs> random_case(Random& random) { return random_reduction<Attrs>(random, Domain::normal); }
  static std::vector<Reject<Attrs>> rejects() {
    std::vector<Reject<Attrs>> all{{{.axes = axes(2)}, {{{3, 4}}}, {std::string(name), "[3,4] f32", "no axis 2"}},
                                   {{}, {{{3}, Domain::index, 5}}, {std::string(name), "floating", "[3] i32"}}};
    if (F::averages) all.push_back({{.axes = axes(0)}, {{{0, 4}}}, {"[0,4] f32", "no mean"}});
    return all;
  }

 private:
  static double scale(const Attrs& attrs, const Shape& x) {
    return F::averages ? 1.0 / static_cast<double>(reduced_count(x, attrs.axes)) : 1.0;
  }
};

}  // namespace

std::vector<const RowInfo*> reduce_rows() { return {&row_of<Reduce<Sum>>(), &row_of<Reduce<Mean>>()}; }

namespace ops {
Tensor sum(const Tensor& x, const ReduceAttrs& attrs) { return dispatch(row_of<Reduce<Sum>>(), attrs, {x})[0]; }
Tensor mean(const Tensor& x, const ReduceAttrs& attrs) { return dispatch(row_of<Reduce<Mean>>(), attrs, {x})[0]; }
Tensor sum(const Tensor& x) { return sum(x, {.axes = all_axes(x.shape().rank())}); }
Tensor mean(const Tensor& x) { return mean(x, {.axes = all_axes(x.shape().rank())}); }
}  // namespace ops

}  // namespace gesso
