#include <limits>
#include <type_traits>

#include "cuda/cast.h"
#include "cuda/cu_ptx.h"
#include "cuda/elementwise_kernel.h"

namespace gesso::cuda {
namespace {

template <class From>
__device__ __forceinline__ double widen(From x) {
  if constexpr (std::is_same_v<From, bf16>)
    return static_cast<double>(cu::to_float(x));
  else
    return static_cast<double>(x);
}

template <class To>
__device__ __forceinline__ To narrow(double x) {
  if constexpr (std::is_same_v<To, bf16>) {
    return cu::to_bf16(static_cast<float>(x));
  } else if constexpr (std::is_floating_point_v<To>) {
    return static_cast<To>(x);
  } else {
    if (isnan(x)) return 0;
    const double whole = rint(x);
    // The largest i64 is no double: what rounds up to 2^63 is beyond it too.
    if (whole >= static_cast<double>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    if (whole <= static_cast<double>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    return static_cast<To>(whole);
  }
}

// Whole numbers into whole numbers pass no double, which holds only 53 bits.
template <class To, class From>
__device__ __forceinline__ To limit(From x) {
  constexpr auto kLow = static_cast<std::int64_t>(std::numeric_limits<To>::min());
  constexpr auto kHigh = static_cast<std::int64_t>(std::numeric_limits<To>::max());
  const auto wide = static_cast<std::int64_t>(x);
  return static_cast<To>(wide < kLow ? kLow : wide > kHigh ? kHigh : wide);
}

template <class From, class To>
struct Convert {
  double scale, shift;
  __device__ To operator()(From x) const {
    if constexpr (std::is_integral_v<From> && std::is_integral_v<To>)
      if (scale == 1 && shift == 0) return limit<To>(x);
    return narrow<To>(__dadd_rn(__dmul_rn(widen(x), scale), shift));  // two roundings, as on the CPU
  }
};

template <class From, class To>
void convert(cu::Stream stream, const CastCall& call) {
  const From* x = static_cast<const From*>(call.x);
  To* y = static_cast<To*>(call.y);
  const Loop loop{.count = call.n, .in_vectors = vectors_at(x) && vectors_at(y)};
  run_elementwise(stream, Convert<From, To>{call.scale, call.shift},
                  Elementwise<To, From>{loop, y, {Source<From>{x, {1}}}});
}

template <class From>
constexpr void set(CastKernels& all) {
  auto& to = all.convert[static_cast<int>(dtype_of<From>)];
  to[static_cast<int>(DType::f32)] = convert<From, float>;
  to[static_cast<int>(DType::bf16)] = convert<From, bf16>;
  to[static_cast<int>(DType::f64)] = convert<From, double>;
  to[static_cast<int>(DType::i32)] = convert<From, std::int32_t>;
  to[static_cast<int>(DType::i64)] = convert<From, std::int64_t>;
  to[static_cast<int>(DType::u8)] = convert<From, std::uint8_t>;
  to[static_cast<int>(DType::u16)] = convert<From, std::uint16_t>;
}
constexpr CastKernels all_conversions() {
  CastKernels all{};
  set<float>(all);
  set<bf16>(all);
  set<double>(all);  // gradients of what was cast to it
  set<std::int32_t>(all);
  set<std::int64_t>(all);
  set<std::uint8_t>(all);
  set<std::uint16_t>(all);
  return all;
}

}  // namespace

template <>
const CastKernels& cast_kernels<cu::Build>() {
  static constexpr CastKernels table = all_conversions();
  return table;
}

}  // namespace gesso::cuda
