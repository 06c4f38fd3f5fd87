#include "core/shape.h"

#include <fmt/format.h>

#include "core/error.h"

namespace gesso {

Shape::Shape(std::span<const std::int64_t> dims) {
  for (std::int64_t dim : dims) push_back(dim);
}

void Shape::push_back(std::int64_t dim) {
  if (rank_ == kMaxRank) fail("shape: more than {} dimensions (after {})", kMaxRank, text());
  if (dim < 0) fail("shape: dimension {} is negative ({})", rank_, dim);
  dims_[static_cast<std::size_t>(rank_++)] = dim;
}

std::int64_t Shape::count() const {
  std::int64_t product = 1;
  for (std::int64_t dim : *this)
    if (__builtin_mul_overflow(product, dim, &product))
      fail("shape: {} has more elements than 63 bits can count", text());
  return product;
}

std::string Shape::text() const { return fmt::format("[{}]", fmt::join(begin(), end(), ",")); }

std::string Spec::text() const {
  return dtype == DType::none ? "absent" : fmt::format("{} {}", shape.text(), name_of(dtype));
}

}  // namespace gesso
