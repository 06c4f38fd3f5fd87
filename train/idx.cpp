#include "train/idx.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "train/byte_stream.h"

namespace gesso {
namespace {

constexpr int kMaxRank = 4;

std::uint32_t read_u32(ByteStream& stream) {
  std::array<std::byte, 4> bytes{};
  stream.read(bytes);
  std::uint32_t value = 0;
  for (std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint32_t>(byte);
  return value;
}

// Returns the number of dimensions.
int read_magic(ByteStream& stream, const std::string& source) {
  constexpr std::uint32_t kUnsignedByte = 8;
  const std::uint32_t magic = read_u32(stream);
  if (magic >> 16 != 0)
    fail(ErrorKind::data, "{}: not an IDX file: starts with {:#010x}, expected 0x0000 first", source, magic);
  if ((magic >> 8 & 0xFF) != kUnsignedByte)
    fail(ErrorKind::data, "{}: elements of IDX type {:#04x}; only unsigned bytes (0x08) are read", source,
         magic >> 8 & 0xFF);
  const std::uint32_t rank = magic & 0xFF;
  if (rank < 1 || rank > kMaxRank) fail(ErrorKind::data, "{}: {} dimensions; 1 to {} are read", source, rank, kMaxRank);
  return static_cast<int>(rank);
}

// Returns how many bytes the array has, checked before anything is allocated. `file_bytes`: packed, or header and
// content.
std::uint64_t check_size(const Shape& shape, std::uint64_t file_bytes, bool packed, const IdxLimits& limits,
                const std::string& source) {
  std::uint64_t count = 1;
  for (std::int64_t dim : shape) {  // never multiplies above the limit: four dimensions of 32 bits would overflow
    const auto factor = static_cast<std::uint64_t>(std::max<std::int64_t>(dim, 1));  // those beside a 0 count, too
    if (count > limits.max_bytes / factor)
      fail(ErrorKind::data, "{}: says it holds {} bytes, above the limit of {}", source, fmt::join(shape, "x"),
           limits.max_bytes);
    count *= factor;
  }
  if (std::ranges::find(shape, 0) != shape.end()) count = 0;
  if (packed && count > limits.ratio_free_bytes && count / limits.max_ratio > file_bytes)
    fail(ErrorKind::data, "{}: says it unpacks {} bytes to {}, above the limit of {} to 1; is it cut off?", source,
         file_bytes, count, limits.max_ratio);
  const std::uint64_t header_bytes = 4 + 4 * static_cast<std::uint64_t>(shape.rank());
  if (!packed && count != file_bytes - header_bytes)
    fail(ErrorKind::data, "{}: says it holds {} = {} bytes but {} follow its header", source, fmt::join(shape, "x"),
         count, file_bytes - header_bytes);
  return count;
}

void read_values(ByteStream& stream, std::size_t count, std::vector<std::uint8_t>& values) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  values.reserve(count);
  while (values.size() < count) {
    const std::size_t begin = values.size(), piece = std::min(kPiece, count - begin);
    values.resize(begin + piece);
    stream.read(std::as_writable_bytes(std::span(values).subspan(begin)));
  }
}

}  // namespace

IdxArray read_idx(const Path& path, const IdxLimits& limits) {
  const std::string source = path.string();
  const std::vector<std::byte> file = read_file(path, limits.max_bytes);
  ByteStream stream(file, source);
  IdxArray array;
  const int rank = read_magic(stream, source);
  for (int i = 0; i < rank; ++i) array.shape.push_back(read_u32(stream));
  const std::uint64_t count = check_size(array.shape, file.size(), stream.is_packed(), limits, source);
  read_values(stream, static_cast<std::size_t>(count), array.values);
  stream.expect_end();
  return array;
}

}  // namespace gesso
