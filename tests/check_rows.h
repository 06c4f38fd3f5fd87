// Rows that the tests of the check engine break: one of each kind that the checks treat differently.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/describe.h"

namespace gesso::check_rows {

// y[n,d] = x^2 + bias (or without), total[1] = sum of x^3: two outputs, an optional operand, a sum over chunks.
struct Cubes {
  static constexpr std::string_view name = "cubes";
  static constexpr std::string_view doc = "y = x^2 + bias, total = sum x^3";
  struct Attrs {
    bool reversed = false;  // sums from the end; changes nothing but rounding
  };
  static constexpr std::int64_t kRows = 16;  // a chunk
  static constexpr Operands differentiable = operands(0, 1);
  static Operands saved_inputs(const Attrs&, Operands wanted) { return wanted & operands(0); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    const Spec &x = in[0], &bias = in[1];
    if (x.shape.rank() != 2 || (bias.dtype != DType::none && bias.shape != Shape{x.shape[1]}))
      fail("cubes: bias must be [D] for x [N,D], but is {} (x {})", bias.text(), x.text());
    return {x, {{1}, x.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return 4.0 * static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 2e-6; }

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    const auto x = f.in[0].data<T>(), y = f.out[0].data<T>();
    T total = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      y[i] = x[i] * x[i] + (f.in[1] ? f.in[1].data<T>()[i % static_cast<std::size_t>(f.in[0].dim(1))] : T{0});
      total += x[i] * x[i] * x[i];
    }
    f.out[1].data<T>()[0] = total;
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    if (b.dx[0]) {
      const auto x = b.in[0].data<T>(), dx = b.dx[0].data<T>();
      for (std::size_t i = 0; i < x.size(); ++i)
        dx[i] = (b.dy[0] ? 2 * x[i] * b.dy[0].data<T>()[i] : T{0}) +
                (b.dy[1] ? 3 * x[i] * x[i] * b.dy[1].data<T>()[0] : T{0});
    }
    if (b.dx[1]) add_rows<T>(b);
  }
  template <class T>
  static void add_rows(const Backward& b) {
    const auto dbias = b.dx[1].data<T>();
    std::ranges::fill(dbias, T{0});
    if (!b.dy[0]) return;
    const auto dy = b.dy[0].data<T>();
    for (std::size_t i = 0; i < dy.size(); ++i) dbias[i % dbias.size()] += dy[i];
  }

  static void cpu(const Attrs&, const Forward& f) {
    const std::int64_t n = f.in[0].dim(0), d = f.in[0].dim(1);
    const auto x = f.in[0].data<float>(), y = f.out[0].data<float>();
    const float* bias = f.in[1] ? f.in[1].data<float>().data() : nullptr;
    std::vector<double> partial(static_cast<std::size_t>((n + kRows - 1) / kRows) + 1);
    parallel_for(f.run.pool, n, kRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t at = begin * d; at < end * d; ++at) {
        const auto i = static_cast<std::size_t>(at);
        y[i] = x[i] * x[i] + (bias ? bias[at % d] : 0.0f);
        partial[static_cast<std::size_t>(begin / kRows)] += static_cast<double>(x[i]) * x[i] * x[i];
      }
    });
    double total = 0;
    for (const double part : partial) total += part;
    f.out[1].data<float>()[0] = static_cast<float>(total);
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) { reference_backward<float>(attrs, b); }

  static std::vector<Case<Attrs>> samples() {
    return {{"small", {}, {{{5, 3}}, {{3}}}},
            {"no bias", {}, {{{4, 7}}, {{}, Domain::absent}}},
            {"one element", {}, {{{1, 1}}, {{1}}}},
            {"empty", {}, {{{0, 3}}, {{3}}}},
            {"several chunks", {}, {{{1600, 11}}, {{11}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    const std::int64_t d = pick(random, 1, 20);
    return {"random", {}, {{{pick(random, 1, 40), d}}, {{d}}}};
  }
  static std::vector<Reject<Attrs>> rejects() { return {{{}, {{{5, 3}}, {{4}}}, {"bias must be [D]", "[4] f32"}}}; }
};

// index[n] = argmax over d of x[n,d], ties to the lowest: whole numbers, no gradient.
struct ArgMax {
  static constexpr std::string_view name = "argmax";
  static constexpr std::string_view doc = "index = argmax x, ties to the lowest";
  static constexpr std::string_view not_differentiable = "indices";
  struct Attrs {};
  static Specs infer(const Attrs&, std::span<const Spec> in) {
    if (in[0].shape.rank() != 2 || in[0].shape[1] == 0) fail("argmax: x must be [N,D], D > 0, but is {}", in[0].text());
    return {{{in[0].shape[0]}, DType::i32}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  template <class T, class Better>
  static void search(const Forward& f, Better&& better) {
    const auto x = f.in[0].data<T>();
    const auto index = f.out[0].data<std::int32_t>();
    const auto d = static_cast<std::size_t>(f.in[0].dim(1));
    parallel_for(f.run.pool, f.in[0].dim(0), 64, [&](std::int64_t begin, std::int64_t end) {
      for (auto n = static_cast<std::size_t>(begin); n < static_cast<std::size_t>(end); ++n) {
        std::size_t best = 0;
        for (std::size_t i = 1; i < d; ++i)
          if (better(x[n * d + i], x[n * d + best])) best = i;
        index[n] = static_cast<std::int32_t>(best);
      }
    });
  }
  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    search<T>(f, [](T a, T b) { return a > b; });
  }
  static void cpu(const Attrs& attrs, const Forward& f) { reference<float>(attrs, f); }

  static std::vector<Case<Attrs>> samples() {
    return {{"ties", {}, {{{20, 6}, Domain::small_integer}}},
            {"one", {}, {{{3, 1}}}},
            {"several chunks", {}, {{{3000, 5}, Domain::small_integer}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    return {"random", {}, {{{pick(random, 1, 30), pick(random, 2, 9)}, Domain::small_integer}}};
  }
  static std::vector<Reject<Attrs>> rejects() { return {{{}, {{{5, 0}}}, {"[N,D]", "[5,0] f32"}}}; }
  static std::vector<Known<Attrs>> known() {
    return {{"tie", {}, {{{{2, 3}, DType::f32}, {1, 4, 4, 0, -1, -1}}}, {{{{2}, DType::i32}, {1, 0}}}}};
  }
};

// weight <- weight - rate * gradient, in place; copy: the same rounded to bf16.
struct Descend {
  static constexpr std::string_view name = "descend";
  static constexpr std::string_view doc = "weight <- weight - rate gradient, copy = bf16(weight)";
  static constexpr std::string_view not_differentiable = "an update";
  static constexpr Operands in_place = operands(0);
  struct Attrs {
    double rate = 0.5;
  };
  static Specs infer(const Attrs&, std::span<const Spec> in) {
    if (in[0] != in[1]) fail("descend: weight {} and gradient {} must be alike", in[0].text(), in[1].text());
    return {{in[0].shape, DType::bf16}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return 2.0 * static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }
  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const auto weight = f.in[0].data<T>(), gradient = f.in[1].data<T>();
    const auto copy = f.out[0].data<bf16>();
    parallel_for(f.run.pool, f.in[0].count(), 1000, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
        weight[i] -= static_cast<T>(attrs.rate) * gradient[i];
        copy[i] = bf16(static_cast<float>(weight[i]));
      }
    });
  }
  static void cpu(const Attrs& attrs, const Forward& f) { reference<float>(attrs, f); }
  // Small whole numbers: their halves are exact in every type.
  static std::vector<Case<Attrs>> samples() {
    return {{"small", {}, {{{9}, Domain::small_integer}, {{9}, Domain::small_integer}}},
            {"several chunks", {}, {{{70000}, Domain::small_integer}, {{70000}, Domain::small_integer}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    const std::int64_t n = pick(random, 1, 99);
    return {"random", {}, {{{n}, Domain::small_integer}, {{n}, Domain::small_integer}}};
  }
  static std::vector<Reject<Attrs>> rejects() { return {{{}, {{{5}}, {{6}}}, {"[5] f32", "[6] f32"}}}; }
  static std::vector<Known<Attrs>> known() {
    const Spec two{{2}, DType::f32};
    return {{"by hand", {}, {{two, {1, 2}}, {two, {2, -3}}}, {{{{2}, DType::bf16}, {0, 3.5}}, {two, {0, 3.5}}}}};
  }
};

// y = bf16(x), whose gradient is that of y = x: a surrogate, and types that differ.
struct Round {
  static constexpr std::string_view name = "round";
  static constexpr std::string_view doc = "y = bf16(x); dx = dy";
  static constexpr bool mixed_dtypes = true;
  static constexpr Operands differentiable = operands(0);
  struct Attrs {};
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }
  static Specs infer(const Attrs&, std::span<const Spec> in) {
    if (!is_floating(in[0].dtype)) fail("round: x must be floating, but is {}", in[0].text());
    return {{in[0].shape, DType::bf16}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }
  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    const auto x = f.in[0].data<T>();
    const auto y = f.out[0].data<bf16>();
    parallel_for(f.run.pool, f.in[0].count(), 1000, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        y[i] = bf16(static_cast<float>(x[i]));
    });
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    std::ranges::transform(b.dy[0].data<bf16>(), b.dx[0].data<T>().begin(),
                           [](bf16 dy) { return static_cast<T>(static_cast<float>(dy)); });
  }
  template <class T>
  static void surrogate(const Attrs&, const Forward& f) {
    std::ranges::copy(f.in[0].data<T>(), f.out[0].data<T>().begin());
  }
  static void cpu(const Attrs& attrs, const Forward& f) { reference<float>(attrs, f); }
  static void cpu_backward(const Attrs& attrs, const Backward& b) { reference_backward<float>(attrs, b); }
  static std::vector<Case<Attrs>> samples() {
    return {{"small", {}, {{{7, 2}}}}, {"several chunks", {}, {{{70000}}}}, {"scalar", {}, {{{}}}}};
  }
  static Case<Attrs> random_case(Random& random) { return {"random", {}, {{{pick(random, 1, 99)}}}}; }
  static std::vector<Reject<Attrs>> rejects() { return {{{}, {{{3}, Domain::index, 5}}, {"floating", "[3] i32"}}}; }
};

}  // namespace gesso::check_rows
