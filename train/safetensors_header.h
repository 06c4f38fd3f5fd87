// The header of a safetensors file, parsed and checked by every rule of the format. Private to safetensors.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/safetensors.h"

namespace gesso {

struct SafetensorsHeader {
  struct Tensor {
    std::string name;
    SafetensorsDType dtype = SafetensorsDType::u8;
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0, end = 0;  // bytes of the data section
  };
  std::vector<Tensor> tensors;       // in the order of their data
  std::vector<std::size_t> by_name;  // positions in tensors, sorted by name
  SafetensorsMetadata metadata;
};

inline constexpr std::string_view kSafetensorsMetadata = "__metadata__";

// Throws ErrorKind::data; `data_bytes` is what the file holds behind the header, `source` starts the messages.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes, std::string_view source);

// "[2,3]"; only the first of very many dimensions.
std::string shape_text(std::span<const std::int64_t> shape);

// Bytes of a tensor of these dimensions, none where the product overflows 64 bits or is no whole number of bytes.
enum class SizeProblem : std::uint8_t { none, overflow, partial_byte };
SizeProblem safetensors_bytes(SafetensorsDType dtype, std::span<const std::int64_t> shape, std::uint64_t& bytes);

}  // namespace gesso
