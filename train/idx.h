// IDX, the format of MNIST's files: two zero bytes, element type, number of dimensions, big-endian u32 dimensions,
// elements.
#pragma once

#include <cstdint>
#include <vector>

#include "core/shape.h"
#include "train/files.h"

namespace gesso {

struct IdxArray {
  Shape shape;
  std::vector<std::uint8_t> values;
};

// Reads an array of bytes (element type 8) of 1 to 4 dimensions, plain or packed (train/byte_stream.h). Throws
// ErrorKind::data where the content is not exactly what the header says, or where it would unpack to more than the
// limits allow. Memory is touched as content comes, not as the header promises it.
struct IdxLimits {
  std::uint64_t max_bytes = std::uint64_t{4} << 30;
  // A packed file may not unpack to more than this many times its size, once that is above ratio_free_bytes.
  std::uint64_t max_ratio = 50;
  std::uint64_t ratio_free_bytes = std::uint64_t{16} << 20;
};
IdxArray read_idx(const Path& path, const IdxLimits& limits = {});

}  // namespace gesso
