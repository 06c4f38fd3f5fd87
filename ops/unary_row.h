// The row of an elementwise function of one operand, made of what is said of the function.
//
// A function F says its name, doc, what backward keeps, where it is tried, its tolerance, its value and its derivative
// from what is kept, and its kernel; without one value and derivative run in f32 as they stand. One with attributes
// says beside:
//   using Attrs                            which value and derivative then take as well
//   kernel(attrs), parameters(attrs)       the kernel, and what it is given of them
//   tried()                                the attributes that the checks use, by name
//   check(attrs), rejects()                where some are refused
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ops/describe.h"
#include "ops/unary_simd.h"

namespace gesso::unary {

// What backward reads beside dy.
enum class Kept : std::uint8_t { x, y, nothing };

struct NoAttrs {};
template <class F>
struct AttrsOf {
  using type = NoAttrs;
};
template <class F>
requires requires { typename F::Attrs; }
struct AttrsOf<F> {
  using type = typename F::Attrs;
};

template <class F>
struct Unary {
  static constexpr std::string_view name = F::name;
  static constexpr std::string_view doc = F::doc;
  using Attrs = typename AttrsOf<F>::type;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return F::kept == Kept::x ? operands(0) : 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return F::kept == Kept::y ? operands(0) : 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    if (!is_floating(in[0].dtype)) fail("{}: x must be floating, but is {}", name, in[0].text());
    if constexpr (requires { F::check(attrs); }) F::check(attrs);
    return {in[0]};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return F::tolerance; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    std::ranges::transform(f.in[0].data<T>(), f.out[0].data<T>().begin(), [&](T x) { return value(attrs, x); });
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    std::ranges::transform(kept_of(b).template data<T>(), b.dy[0].data<T>(), b.dx[0].data<T>().begin(),
                           [&](T v, T dy) { return dy * derivative(attrs, v); });
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    const float* x = f.in[0].data<float>().data();
    float* y = f.out[0].data<float>().data();
    parallel_for(f.run.pool, f.out[0].count(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      if constexpr (kHasKernel)
        kernel_of(attrs, f.run.isa).forward(end - begin, parameters_of(attrs), x + begin, y + begin);
      else
        std::transform(x + begin, x + end, y + begin, [&](float v) { return value(attrs, v); });
    });
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    const float* kept = kept_of(b).template data<float>().data();
    const float* dy = b.dy[0].data<float>().data();
    float* dx = b.dx[0].data<float>().data();
    parallel_for(b.run.pool, b.dx[0].count(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      if constexpr (kHasKernel)
        kernel_of(attrs, b.run.isa).backward(end - begin, parameters_of(attrs), kept + begin, dy + begin, dx + begin);
      else
        std::transform(kept + begin, kept + end, dy + begin, dx + begin,
                       [&](float v, float g) { return g * derivative(attrs, v); });
    });
  }

  static std::vector<Case<Attrs>> samples() {
    std::vector<Case<Attrs>> cases;
    for (const auto& [tried_name, attrs] : tried()) {
      const auto add = [&](std::string_view shape_name, const Shape& shape) {
        cases.push_back({std::string(shape_name) + tried_name, attrs, {{shape, F::domain}}});
      };
      add("vector", {7});
      add("image", {2, 3, 5, 4});
      add("several chunks", {3, 17001});
      add("empty", {0, 4});
      add("scalar", {});
    }
    return cases;
  }
  static std::vector<Case<Attrs>> benchmarks() {
    std::vector<Case<Attrs>> cases;
    for (const auto& [tried_name, attrs] : tried())
      cases.push_back({"16x32x32x64" + tried_name, attrs, {{{16, 32, 32, 64}, F::domain}}});
    return cases;
  }
  static Case<Attrs> random_case(Random& random) {
    const auto all = tried();
    const auto& attrs = all[static_cast<std::size_t>(pick(random, 0, std::ssize(all) - 1))].second;
    return {"random", attrs, {{{pick(random, 1, 9), pick(random, 1, 70)}, F::domain}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    std::vector<Reject<Attrs>> all{{{}, {{{3}, Domain::index, 5}}, {std::string(name), "floating", "[3] i32"}}};
    if constexpr (requires { F::rejects(); })
      for (const auto& [attrs, words] : F::rejects()) all.push_back({attrs, {{{3}}}, words});
    return all;
  }

 private:
  static constexpr bool kHasKernel = requires { F::kernel; };
  static constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk: 64 KiB in and out stay in L2

  // Where nothing is kept, dy: what stands in its place is not used.
  static const Tensor& kept_of(const Backward& b) {
    return F::kept == Kept::x ? b.in[0] : F::kept == Kept::y ? b.out[0] : b.dy[0];
  }
  static UnaryKernel kernel_of(const Attrs& attrs, Isa isa) {
    const UnaryKernels& all =
        by_isa(isa, unary_kernels<simd::Baseline>, unary_kernels<simd::Avx2>, unary_kernels<simd::Avx512>)();
    if constexpr (requires { F::kernel(attrs); })
      return all.*F::kernel(attrs);
    else
      return all.*F::kernel;
  }
  static UnaryParameters parameters_of(const Attrs& attrs) {
    if constexpr (requires { F::parameters(attrs); })
      return F::parameters(attrs);
    else
      return {};
  }
  template <class T>
  static T value(const Attrs& attrs, T x) {
    if constexpr (requires { F::value(x, attrs); })
      return F::value(x, attrs);
    else
      return F::value(x);
  }
  template <class T>
  static T derivative(const Attrs& attrs, T kept) {
    if constexpr (requires { F::derivative(kept, attrs); })
      return F::derivative(kept, attrs);
    else
      return F::derivative(kept);
  }
  // Attributes, each with what it adds to the name of a case.
  static std::vector<std::pair<std::string, Attrs>> tried() {
    if constexpr (requires { F::tried(); })
      return F::tried();
    else
      return {{"", {}}};
  }
};

template <class F>
Tensor apply(const Tensor& x, const typename Unary<F>::Attrs& attrs = {}) {
  return dispatch(row_of<Unary<F>>(), attrs, {x})[0];
}

}  // namespace gesso::unary
