// Copies of rows of bytes, shared by the ops that only move elements.
#pragma once

#include <array>
#include <type_traits>

#include "ops/op.h"

namespace gesso {

// `rows` rows of `bytes` each, whose beginnings lie a step apart.
struct CopyRows {
  std::int64_t rows, bytes;
  const std::byte* from;  // null: zeros are written
  std::int64_t from_step;
  std::byte* to;
  std::int64_t to_step;
};
void copy_rows(const Execution& run, const CopyRows& copy);

// Bytes from one row to the next along each dimension of a grid of rows.
using ByteSteps = std::array<std::int64_t, Shape::kMaxRank>;
// The steps of a dense tensor of this shape.
ByteSteps dense_steps(const Shape& shape, std::int64_t element);

// A grid of rows of `bytes` each, any steps.
struct CopyGrid {
  Shape dims;
  std::int64_t bytes;
  const std::byte* from;  // null: zeros are written
  ByteSteps from_steps;
  std::byte* to;
  ByteSteps to_steps;
};
void copy_grid(const Execution& run, const CopyGrid& copy);

// body(bytes), with the number of bytes known to the compiler where it is that of one element or one small pixel.
template <class Body>
void with_row_size(std::int64_t bytes, Body&& body) {
  const auto known = [&]<std::int64_t kBytes>() {
    if (bytes != kBytes) return false;
    body(std::integral_constant<std::int64_t, kBytes>());
    return true;
  };
  const bool done = known.template operator()<1>() || known.template operator()<2>() ||
                    known.template operator()<4>() || known.template operator()<8>() ||
                    known.template operator()<12>() || known.template operator()<16>();
  if (!done) body(bytes);
}

}  // namespace gesso
