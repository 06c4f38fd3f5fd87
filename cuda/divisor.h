// Division by a number that is known before a kernel starts: a product and a shift in its place.
#pragma once

#include <cstdint>

namespace gesso::cuda {

// n / value for n < 2^31: with value <= 2^s, m = ceil(2^(31+s) / value) is off by less than 2^s / value of its size, so
// n m >> (31+s) is the quotient exactly (Granlund and Montgomery 1994). Of zero: nothing that may be used.
class Divisor {
 public:
  constexpr Divisor() = default;
  // 0 < value < 2^31
  constexpr explicit Divisor(std::int64_t value) : value_(static_cast<std::uint32_t>(value)) {
    while ((std::uint64_t{1} << (shift_ - 31)) < value_) ++shift_;
    factor_ = static_cast<std::uint32_t>(((std::uint64_t{1} << shift_) + value_ - 1) / value_);
  }
  constexpr std::uint32_t value() const { return value_; }
  constexpr std::uint32_t quotient(std::uint32_t n) const {
    return static_cast<std::uint32_t>(std::uint64_t{n} * factor_ >> shift_);
  }

 private:
  std::uint32_t value_ = 1, factor_ = 1u << 31, shift_ = 31;
};

}  // namespace gesso::cuda
