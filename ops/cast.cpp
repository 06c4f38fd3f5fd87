#include "ops/cast.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "ops/describe.h"

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk

// Calls body with a value of the type.
template <class Body>
void with_type(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f32:
      return body(float{});
    case DType::bf16:
      return body(bf16{});
    case DType::f64:
      return body(double{});
    case DType::i32:
      return body(std::int32_t{});
    case DType::i64:
      return body(std::int64_t{});
    case DType::u8:
      return body(std::uint8_t{});
    case DType::u16:
      return body(std::uint16_t{});
    case DType::none:
      fail("cast: an absent operand has no elements");
  }
}

template <class From>
double widen(From x) {
  if constexpr (std::is_same_v<From, bf16>)
    return static_cast<double>(static_cast<float>(x));
  else
    return static_cast<double>(x);
}

template <class To>
To narrow(double x) {
  if constexpr (std::is_same_v<To, bf16>) {
    return bf16(static_cast<float>(x));
  } else if constexpr (std::is_floating_point_v<To>) {
    return static_cast<To>(x);
  } else {
    if (std::isnan(x)) return 0;
    const double whole = std::nearbyint(x);
    // The largest i64 is no double: what rounds up to 2^63 is beyond it too.
    if (whole >= static_cast<double>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    if (whole <= static_cast<double>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    return static_cast<To>(whole);
  }
}

// Whole numbers into whole numbers pass no double, which holds only 53 bits.
template <class To, class From>
To limit(From x) {
  if (std::in_range<To>(x)) return static_cast<To>(x);
  return x < 0 ? std::numeric_limits<To>::min() : std::numeric_limits<To>::max();
}

template <class From, class To>
void convert(std::int64_t n, double scale, double shift, const From* x, To* y) {
  if constexpr (std::is_integral_v<From> && std::is_integral_v<To>)
    if (scale == 1 && shift == 0) {
      for (std::int64_t i = 0; i < n; ++i) y[i] = limit<To>(x[i]);
      return;
    }
  for (std::int64_t i = 0; i < n; ++i) y[i] = narrow<To>(widen(x[i]) * scale + shift);
}

void convert(const Tensor& from, double scale, double shift, const Tensor& to, std::int64_t begin, std::int64_t end) {
  with_type(from.dtype(), [&](auto x) {
    with_type(to.dtype(), [&](auto y) {
      convert(end - begin, scale, shift, from.data<decltype(x)>().data() + begin,
              to.data<decltype(y)>().data() + begin);
    });
  });
}

struct Cast {
  static constexpr std::string_view name = "cast";
  static constexpr std::string_view doc =
      "y = x scale + shift, rounded to another type; to whole numbers: to the nearest, ties to even, limited to "
      "the type's range, NaN to 0; dx = dy scale where both types are floating";
  using Attrs = ops::CastAttrs;
  static constexpr Operands differentiable = operands(0);
  static constexpr bool mixed_dtypes = true;
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    if (attrs.to == DType::none) fail("cast: x {} needs a type to be cast to", in[0].text());
    if (!std::isfinite(attrs.scale) || !std::isfinite(attrs.shift))
      fail("cast: scale and shift must be finite, but are {} and {}", attrs.scale, attrs.shift);
    return {{in[0].shape, attrs.to}};
  }
  static double flops(const Attrs& attrs, std::span<const Spec> in) {
    return attrs.scale == 1 && attrs.shift == 0 ? 0 : 2 * static_cast<double>(in[0].shape.count());
  }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 1e-7; }  // rounded once

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    for (std::int64_t i = 0; i < f.in[0].count(); ++i)
      put(f.out[0], i, get(f.in[0], i) * static_cast<long double>(attrs.scale) + static_cast<long double>(attrs.shift));
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    if (!b.dx[0]) return;  // x holds whole numbers
    for (std::int64_t i = 0; i < b.dx[0].count(); ++i)
      put(b.dx[0], i, get(b.dy[0], i) * static_cast<long double>(attrs.scale));
  }
  // The line that rounding follows in steps.
  template <class T>
  static void surrogate(const Attrs& attrs, const Forward& f) {
    if (is_floating(f.out[0].dtype())) reference<T>(attrs, f);
  }
  static void cpu(const Attrs& attrs, const Forward& f) {
    in_chunks(f.run, f.in[0], attrs.scale, attrs.shift, f.out[0]);
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    if (b.dx[0]) in_chunks(b.run, b.dy[0], attrs.scale, 0, b.dx[0]);
  }

  static std::vector<Case<Attrs>> samples() {
    std::vector<Case<Attrs>> cases;
    for (const DType from : kTypes)
      for (const DType to : {DType::f32, DType::bf16, DType::f64, DType::i32, DType::i64, DType::u8, DType::u16})
        cases.push_back({fmt::format("{} to {}", name_of(from), name_of(to)), {.to = to}, {operand({3, 7}, from)}});
    cases.push_back({"bytes to [-1, 1]", {.scale = 1 / 127.5, .shift = -1}, {operand({2, 5, 3, 1}, DType::u8)}});
    cases.push_back(
        {"16-bit pixels to [-0.5, 0.5]", {.scale = 1 / 65535., .shift = -0.5}, {operand({2, 5, 3, 2}, DType::u16)}});
    cases.push_back({"[0, 1) to bytes", {.to = DType::u8, .scale = 255}, {{{2, 5}, Domain::unit}}});
    cases.push_back({"beyond a byte", {.to = DType::u8, .scale = 300}, {{{2, 5}}}});
    cases.push_back({"ties", {.to = DType::i32, .scale = 0.5}, {{{40}, Domain::small_integer}}});
    cases.push_back({"a scaled gradient", {.to = DType::f32, .scale = 3, .shift = 1}, {{{6}}}});
    cases.push_back({"scalar", {}, {operand({}, DType::u8)}});
    cases.push_back({"empty", {}, {operand({0, 4}, DType::u8)}});
    cases.push_back({"several chunks", {.to = DType::bf16}, {{{3, 40001}}}});
    return cases;
  }
  static Case<Attrs> random_case(Random& random) {
    const DType to = kTypes[static_cast<std::size_t>(pick(random, 0, std::ssize(kTypes) - 1))];
    const DType from = kTypes[static_cast<std::size_t>(pick(random, 0, std::ssize(kTypes) - 1))];
    // A bf16 is compared exactly, so its one rounding must be the only one.
    const double scale = to == DType::bf16 ? 1 : 0.75;
    return {"random", {.to = to, .scale = scale}, {operand({pick(random, 1, 9), pick(random, 1, 70)}, from)}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{.to = DType::none}, {{{3}}}, {"cast: x [3] f32 needs a type"}},
            {{.scale = INFINITY}, {{{3}}}, {"scale and shift must be finite", "inf"}}};
  }

 private:
  static constexpr DType kTypes[] = {DType::f32, DType::bf16, DType::i32, DType::i64, DType::u8, DType::u16};

  static Operand operand(const Shape& shape, DType from) {
    if (from == DType::f32) return {shape};
    if (from == DType::u8) return {shape, Domain::byte};
    if (from == DType::u16) return {shape, Domain::counter, 65536, DType::u16};
    if (from == DType::bf16) return {shape, Domain::normal, 0, DType::bf16};
    return {shape, from == DType::i32 ? Domain::index : Domain::counter, 1000};
  }

  static void in_chunks(const Execution& run, const Tensor& from, double scale, double shift, const Tensor& to) {
    parallel_for(run.pool, to.count(), kGrain,
                 [&](std::int64_t begin, std::int64_t end) { convert(from, scale, shift, to, begin, end); });
  }

  // The reference's elements: 64 bits of mantissa, which hold every type whole.
  static long double get(const Tensor& t, std::int64_t i) {
    long double value = 0;
    with_type(t.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T x = t.data<T>()[static_cast<std::size_t>(i)];
      if constexpr (std::is_same_v<T, bf16>)
        value = static_cast<long double>(static_cast<float>(x));
      else
        value = static_cast<long double>(x);
    });
    return value;
  }
  static void put(const Tensor& t, std::int64_t i, long double value) {
    with_type(t.dtype(), [&](auto zero) {
      using T = decltype(zero);
      T& y = t.data<T>()[static_cast<std::size_t>(i)];
      if constexpr (std::is_same_v<T, bf16>) {
        y = bf16(static_cast<float>(value));
      } else if constexpr (std::is_floating_point_v<T>) {
        y = static_cast<T>(value);
      } else {
        const auto low = static_cast<long double>(std::numeric_limits<T>::min());
        const auto high = static_cast<long double>(std::numeric_limits<T>::max());
        y = std::isnan(value) ? T{0} : static_cast<T>(std::clamp(std::rint(value), low, high));
      }
    });
  }
};

}  // namespace

std::vector<const RowInfo*> cast_rows() { return {&row_of<Cast>()}; }

Tensor ops::cast(const Tensor& x, const CastAttrs& attrs) { return dispatch(row_of<Cast>(), attrs, {x})[0]; }

}  // namespace gesso
