#include "ops/check/values.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/rng.h"

namespace gesso::check {
namespace {

// Calls f with an element pointer of the right type.
template <class F>
void with_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::bf16:
      return f(bf16{});
    case DType::i32:
      return f(std::int32_t{});
    case DType::i64:
      return f(std::int64_t{});
    case DType::u8:
      return f(std::uint8_t{});
    case DType::u16:
      return f(std::uint16_t{});
    case DType::none:
      fail("check: an absent tensor has no values");
  }
}

template <class T>
T converted(double value) {
  if constexpr (std::is_same_v<T, bf16>)
    return bf16(static_cast<float>(value));
  else
    return static_cast<T>(value);
}
template <class T>
double as_double(T value) {
  if constexpr (std::is_same_v<T, bf16>)
    return static_cast<double>(static_cast<float>(value));
  else
    return static_cast<double>(value);
}

template <class Next>
std::vector<std::byte> generate(const Spec& spec, Next&& next) {
  std::vector<std::byte> bytes(spec.bytes());
  with_type(spec.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(T)) {
      const T value = converted<T>(next());
      std::memcpy(bytes.data() + at, &value, sizeof(T));
    }
  });
  return bytes;
}

float draw_unit(Random& random) { return uniform_half_open(static_cast<std::uint32_t>(random() >> 32)); }
// Mean 0, variance 1, nearly normal: the sum of three uniforms of 21 bits each. Exact until its one rounding, so the
// same everywhere; the standard library's distributions differ between libraries.
float draw_normal(Random& random) {
  constexpr std::uint64_t kBits = 21, kMask = (1u << kBits) - 1;
  const std::uint64_t word = random();
  const std::uint64_t sum = (word & kMask) + (word >> kBits & kMask) + (word >> 2 * kBits & kMask);
  constexpr double kMean = 1.5 * static_cast<double>(kMask);
  return static_cast<float>((static_cast<double>(sum) - kMean) * 0x1p-20);
}

// Floating values are drawn as float, so that they are the same number in every type that holds them.
double draw_value(const Operand& operand, Random& random) {
  switch (operand.domain) {
    case Domain::absent:
      return 0;
    case Domain::normal:
      return draw_normal(random);
    case Domain::small_integer:
      return static_cast<double>(random() % 5) - 2;
    case Domain::nonzero: {
      const float value = draw_normal(random);
      return value < 0 ? value - 0.1f : value + 0.1f;
    }
    case Domain::positive:
      return 0.1f + 3.9f * draw_unit(random);
    case Domain::unit:
      return draw_unit(random);
    case Domain::index:
    case Domain::counter:
      return static_cast<double>(random() % static_cast<std::uint64_t>(operand.below));
    case Domain::byte:
      return static_cast<double>(random() & 0xFF);
  }
  return 0;
}

}  // namespace

Spec spec_of(const Operand& operand, DType floating) {
  if (operand.domain == Domain::absent) return {};
  if (operand.dtype != DType::none) return {operand.shape, operand.dtype};
  switch (operand.domain) {
    case Domain::index:
      return {operand.shape, DType::i32};
    case Domain::counter:
      return {operand.shape, DType::i64};
    case Domain::byte:
      return {operand.shape, DType::u8};
    default:
      return {operand.shape, floating};
  }
}

HostTensor draw(const Operand& operand, DType floating, Random& random) {
  const Spec spec = spec_of(operand, floating);
  if (operand.domain == Domain::absent) return {};
  const bool bounded = operand.domain == Domain::index || operand.domain == Domain::counter;
  if (bounded && operand.below <= 0)
    fail("check: an operand {} of whole numbers needs a bound `below` of at least 1", spec.text());
  return {spec, generate(spec, [&] { return draw_value(operand, random); })};
}

HostTensor from_values(const Values& values, DType floating, bool widen) {
  Spec spec = values.spec;
  if (spec.dtype == DType::none) return {};
  if (widen && spec.dtype == DType::f32) spec.dtype = floating;
  if (values.values.size() != static_cast<std::size_t>(spec.shape.count()))
    fail("check: {} values were given for {}", values.values.size(), spec.text());
  auto next = values.values.begin();
  return {spec, generate(spec, [&] { return *next++; })};
}

std::vector<std::byte> host_bytes(const Tensor& t) {
  std::vector<std::byte> bytes(t.spec().bytes());
  if (t) t.copy_to_host(bytes);
  return bytes;
}

std::vector<double> host_values(const Tensor& t) {
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(t.count()));
  with_type(t.dtype(), [&](auto zero) {
    for (const auto value : t.to_host<decltype(zero)>()) values.push_back(as_double(value));
  });
  return values;
}

Tensor widened(const Tensor& t) {
  if (!is_floating(t.dtype())) return t;
  return Tensor::from_host<double>(host_values(t), t.shape(), t.device());
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return static_cast<bool>(a) == static_cast<bool>(b) && a.spec() == b.spec() && host_bytes(a) == host_bytes(b);
}

double distance(const Tensor& got, const Tensor& want) {
  constexpr double kFar = std::numeric_limits<double>::infinity();
  if (got.shape() != want.shape() || is_floating(got.dtype()) != is_floating(want.dtype())) return kFar;
  if (!is_floating(got.dtype())) return same_bits(got, want) ? 0 : kFar;
  const std::vector<double> a = host_values(got), b = host_values(want);
  double difference = 0, square = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] && std::isinf(b[i])) continue;  // a gate that is shut
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    square += b[i] * b[i];
  }
  if (std::isnan(difference)) return kFar;
  if (got.dtype() == DType::bf16) return difference == 0 ? 0 : kFar;
  return a.empty() ? 0 : std::sqrt(difference) / (std::sqrt(square) + std::sqrt(static_cast<double>(a.size())));
}

double norm(std::span<const double> a) { return std::sqrt(dot(a, a)); }

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace gesso::check
