// Tensors in files, as the safetensors format has them: u64 little-endian header length, JSON header, data. What comes
// from a file is hostile: every size and offset is checked against the file before memory is taken. Bytes are as on
// disk, little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/shape.h"
#include "train/files.h"

namespace gesso {

// Element types of the format, in its normative order of growing alignment (the writer sorts by it).
enum class SafetensorsDType : std::uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64
};
std::string_view name_of(SafetensorsDType dtype);  // as in files, "F32"
std::size_t bits_of(SafetensorsDType dtype);
// none where core has no such type.
DType core_dtype(SafetensorsDType dtype);
SafetensorsDType safetensors_dtype(DType dtype);

struct SafetensorsEntry {
  std::string name;
  SafetensorsDType dtype;
  std::vector<std::int64_t> shape;  // of any rank
  std::span<const std::byte> data;

  // Throws ErrorKind::data where core has no such type or not so many dimensions.
  Spec spec() const;
};
SafetensorsEntry safetensors_entry(std::string name, const Spec& spec, std::span<const std::byte> data);

using SafetensorsMetadata = std::map<std::string, std::string>;

// A file read whole. The entries' data live as long as it does.
class SafetensorsFile {
 public:
  static constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
  static constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 40;

  // Throws ErrorKind::data, naming file, tensor and rule, where the file breaks a rule of the format.
  explicit SafetensorsFile(const Path& path, std::uint64_t max_file_bytes = kMaxFileBytes);

  const Path& path() const { return path_; }
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }  // in the order of their data
  const SafetensorsMetadata& metadata() const { return metadata_; }
  const SafetensorsEntry* find(std::string_view name) const;  // null where there is none
  // Throws ErrorKind::data, naming the nearest name, where there is none.
  const SafetensorsEntry& at(std::string_view name) const;

 private:
  Path path_;
  std::unique_ptr<std::byte[]> data_;
  std::vector<SafetensorsEntry> entries_;
  std::vector<std::size_t> by_name_;  // positions in entries_, sorted by name
  SafetensorsMetadata metadata_;
};

// Writes atomically (see AtomicFile); data are aligned to their element type when the file is mapped. Throws
// ErrorKind::usage on what a reader would refuse: a name twice, sizes that disagree, a header above the limit, text
// that is not UTF-8.
void write_safetensors(const Path& path, std::span<const SafetensorsEntry> entries,
                       const SafetensorsMetadata& metadata = {});

}  // namespace gesso
