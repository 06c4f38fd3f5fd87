// CRC-32C (Castagnoli), the checksum of TensorFlow's record files.
#pragma once

#include <cstdint>
#include <string_view>

namespace gesso {

// Polynomial 0x1EDC6F41, reflected; starts from and ends with inverted bits (RFC 3720, section 12.1).
std::uint32_t crc32c(std::string_view bytes);

// As record files store it, so that the checksum of a text that holds checksums stays good: rotated right by 15 bits,
// plus a constant (tensorflow/core/lib/hash/crc32c.h).
std::uint32_t masked_crc32c(std::string_view bytes);

}  // namespace gesso
