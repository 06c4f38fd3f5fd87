// Element types. No silent promotion anywhere: operands of different types are an error.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gesso {

// none: an absent operand. bf16 is a storage type on the CPU; all arithmetic there is f32 (f64 on the reference
// device). u8 and u16 store pixels, which are cast before any arithmetic.
enum class DType : std::uint8_t { none, f32, bf16, f64, i32, i64, u8, u16 };

// Brain floating point: the upper half of a float. Rounds to nearest even; NaN stays NaN.
struct bf16 {
  std::uint16_t bits = 0;

  bf16() = default;
  explicit bf16(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    const bool is_nan = (word & 0x7FFFFFFFu) > 0x7F800000u;
    const std::uint32_t rounded = word + 0x7FFFu + ((word >> 16) & 1u);
    bits = static_cast<std::uint16_t>(is_nan ? (word >> 16) | 0x40u : rounded >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};

template <class T>
inline constexpr DType dtype_of = DType::none;
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::u8;
template <>
inline constexpr DType dtype_of<std::uint16_t> = DType::u16;

constexpr std::size_t size_of(DType dtype) {
  constexpr std::size_t kBytes[] = {0, 4, 2, 8, 4, 8, 1, 2};
  return kBytes[static_cast<std::size_t>(dtype)];
}
constexpr std::string_view name_of(DType dtype) {
  constexpr std::string_view kNames[] = {"none", "f32", "bf16", "f64", "i32", "i64", "u8", "u16"};
  return kNames[static_cast<std::size_t>(dtype)];
}
constexpr bool is_floating(DType dtype) { return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16; }

}  // namespace gesso
