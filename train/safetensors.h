// Tensors in files, as the safetensors format has them: u64 little-endian header length, JSON header, data. What comes
// from a file is hostile: every size and offset is checked against the file before memory is taken. Bytes are as on
// disk, little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/shape.h"
#include "train/files.h"

namespace gesso {

struct SafetensorsHeader;

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

// Where the data of an open file are: all read into memory, or left in the file until read() asks for some.
enum class SafetensorsData : bool { in_file, in_memory };

// A file, its header read and checked. The entries' data live as long as it does, and are empty where they stay in the
// file.
class SafetensorsFile {
 public:
  static constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
  static constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 40;

  // Throws ErrorKind::data, naming file, tensor and rule, where the file breaks a rule of the format.
  explicit SafetensorsFile(const Path& path, std::uint64_t max_file_bytes = kMaxFileBytes,
                           SafetensorsData data = SafetensorsData::in_memory);
  // As above, of a file's whole content, which must live longer. path: for messages.
  SafetensorsFile(const Path& path, std::span<const std::byte> content);

  const Path& path() const { return path_; }
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }  // in the order of their data
  const SafetensorsMetadata& metadata() const { return metadata_; }
  const SafetensorsEntry* find(std::string_view name) const;  // null where there is none
  // Throws ErrorKind::data, naming the nearest name, where there is none.
  const SafetensorsEntry& at(std::string_view name) const;
  // Fills `to` from byte `begin` of one of entries() on. For data in the file. Throws on an entry of something else and
  // on bytes that the tensor does not have.
  void read(const SafetensorsEntry& entry, std::uint64_t begin, std::span<std::byte> to);

 private:
  void take(SafetensorsHeader&& header, const std::byte* data);  // data: null where they stay in the file

  Path path_;
  std::optional<OpenFile> file_;       // open while data are left in it
  std::uint64_t data_begin_ = 0;       // in the file
  std::vector<std::uint64_t> begins_;  // of the entries, behind data_begin_
  std::unique_ptr<std::byte[]> data_;
  std::vector<SafetensorsEntry> entries_;
  std::vector<std::size_t> by_name_;  // positions in entries_, sorted by name
  SafetensorsMetadata metadata_;
};

// What a file of these tensors begins with: the header's length, and the header. Their data (those of `entries` do not
// matter) follow in `order`, positions in `entries`: by falling alignment of their type, then by name.
struct SafetensorsHead {
  std::string bytes;
  std::vector<std::size_t> order;
  std::uint64_t data_bytes = 0;  // of all tensors
};
// path: for messages. Throws ErrorKind::usage on what a reader would refuse: a name twice, a size that overflows, a
// header above the limit, text that is not UTF-8.
SafetensorsHead safetensors_head(const Path& path, std::span<const SafetensorsEntry> entries,
                                 const SafetensorsMetadata& metadata = {});

// Writes a file whose data come piece by piece, one tensor after the other, in the order of safetensors_head(). Atomic,
// as AtomicFile.
class SafetensorsWriter {
 public:
  // Throws what safetensors_head() throws.
  SafetensorsWriter(const Path& path, std::span<const SafetensorsEntry> entries,
                    const SafetensorsMetadata& metadata = {});
  // Throws where the entries have no room for so many bytes.
  void write(std::span<const std::byte> bytes);
  // Throws where bytes are missing.
  void commit();

 private:
  Path path_;
  std::optional<AtomicFile> file_;  // there once the header is right
  std::uint64_t missing_ = 0;       // bytes of data still to come
};

// Writes atomically (see AtomicFile); data are aligned to their element type when the file is mapped. Throws
// ErrorKind::usage where SafetensorsWriter does, and on data of another size than type and shape say.
void write_safetensors(const Path& path, std::span<const SafetensorsEntry> entries,
                       const SafetensorsMetadata& metadata = {});

}  // namespace gesso
