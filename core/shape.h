// Shapes, and what is known of a tensor before it has memory.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "core/dtype.h"

namespace gesso {

// Up to six dimensions, outermost first; physical order is logical order. Trivially copyable, so that it fits in
// attributes.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  constexpr Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  // Throws on more than kMaxRank dimensions or a negative one.
  explicit Shape(std::span<const std::int64_t> dims);

  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  std::int64_t operator[](int i) const { return dims_[static_cast<std::size_t>(i)]; }  // 0 <= i < rank()
  std::int64_t& operator[](int i) { return dims_[static_cast<std::size_t>(i)]; }
  std::int64_t back() const { return dims_[static_cast<std::size_t>(rank_ - 1)]; }
  const std::int64_t* begin() const { return dims_.data(); }
  const std::int64_t* end() const { return dims_.data() + rank_; }
  // Throws on a seventh dimension.
  void push_back(std::int64_t dim);

  // Number of elements; 1 for a scalar. Throws where the product does not fit in 63 bits.
  std::int64_t count() const;
  std::string text() const;  // "[4,6]"

  friend bool operator==(const Shape& a, const Shape& b) { return std::ranges::equal(a, b); }

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

struct Spec {
  Shape shape;
  DType dtype = DType::none;

  std::string text() const;  // "[4,6] f32", or "absent"
  std::size_t bytes() const { return static_cast<std::size_t>(shape.count()) * size_of(dtype); }
  friend bool operator==(const Spec&, const Spec&) = default;
};

}  // namespace gesso
