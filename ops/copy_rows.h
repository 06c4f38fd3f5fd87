// Copies of rows of bytes, shared by the ops that only move elements.
#pragma once

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

}  // namespace gesso
