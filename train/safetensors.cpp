#include "train/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <new>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "train/json_text.h"
#include "train/safetensors_header.h"
#include "train/text.h"

namespace gesso {
namespace {

static_assert(std::endian::native == std::endian::little, "data go to and from files as they are in memory");

struct DTypeRow {
  std::string_view name;
  std::size_t bits;
  DType core;
};
constexpr std::array<DTypeRow, 22> kDTypes = {{
    {"BOOL", 8, DType::none},
    {"F4", 4, DType::none},
    {"F6_E2M3", 6, DType::none},
    {"F6_E3M2", 6, DType::none},
    {"U8", 8, DType::u8},
    {"I8", 8, DType::none},
    {"F8_E5M2", 8, DType::none},
    {"F8_E4M3", 8, DType::none},
    {"F8_E8M0", 8, DType::none},
    {"F8_E4M3FNUZ", 8, DType::none},
    {"F8_E5M2FNUZ", 8, DType::none},
    {"I16", 16, DType::none},
    {"U16", 16, DType::u16},
    {"F16", 16, DType::none},
    {"BF16", 16, DType::bf16},
    {"I32", 32, DType::i32},
    {"U32", 32, DType::none},
    {"F32", 32, DType::f32},
    {"C64", 64, DType::none},
    {"F64", 64, DType::f64},
    {"I64", 64, DType::i64},
    {"U64", 64, DType::none},
}};
const DTypeRow& row_of(SafetensorsDType dtype) { return kDTypes[static_cast<std::size_t>(dtype)]; }

constexpr std::size_t kLengthBytes = 8;

// Uninitialised: a read fills it.
std::unique_ptr<std::byte[]> allocate(std::uint64_t bytes, const Path& path) {
  try {
    return std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes));
  } catch (const std::bad_alloc&) {
    fail(ErrorKind::memory, "{}: no memory for its {} bytes", path.string(), bytes);
  }
}

std::unique_ptr<std::byte[]> read_exactly(const OpenFile& file, std::uint64_t bytes) {
  std::unique_ptr<std::byte[]> memory = allocate(bytes, file.path());
  if (file.read({memory.get(), static_cast<std::size_t>(bytes)}) != bytes)
    fail(ErrorKind::data, "{}: became shorter while it was read", file.path().string());
  return memory;
}

using LengthWord = std::array<std::byte, kLengthBytes>;

// The header's length, checked against the file before anything is allocated.
std::uint64_t header_length(const LengthWord& word, std::uint64_t file_bytes, const std::string& source) {
  const auto length = std::bit_cast<std::uint64_t>(word);
  if (length > SafetensorsFile::kMaxHeaderBytes)
    fail(ErrorKind::data, "{}: a header of {} bytes is above the limit of {}; is this a safetensors file?", source,
         length, SafetensorsFile::kMaxHeaderBytes);
  if (length > file_bytes - kLengthBytes)
    fail(ErrorKind::data, "{}: the header is said to have {} bytes but the file has only {} behind its length", source,
         length, file_bytes - kLengthBytes);
  return length;
}

void refuse_without_length(std::uint64_t file_bytes, const std::string& source) {
  if (file_bytes < kLengthBytes)
    fail(ErrorKind::data, "{}: {} bytes are too few for a safetensors file", source, file_bytes);
}

std::string json_text(const std::string& text, const Path& path) {
  if (!is_utf8(text)) fail("{}: cannot write {}: not valid UTF-8", path.string(), in_quotes(text));
  return nlohmann::json(text).dump();
}

// Positions of the entries in the order of the format: descending alignment, then name.
std::vector<std::size_t> writing_order(std::span<const SafetensorsEntry> entries) {
  std::vector<std::size_t> order(entries.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    return std::tie(entries[b].dtype, entries[a].name) < std::tie(entries[a].dtype, entries[b].name);
  });
  return order;
}

// Bytes of the entry's data.
std::uint64_t checked_bytes(const SafetensorsEntry& entry, const Path& path) {
  const auto refuse = [&](const std::string& why) {
    fail("{}: cannot write tensor {}: {}", path.string(), in_quotes(entry.name), why);
  };
  if (entry.name == kSafetensorsMetadata) refuse("the name is the format's own");
  if (std::ranges::any_of(entry.shape, [](std::int64_t dim) { return dim < 0; })) refuse("a dimension is negative");
  std::uint64_t bytes = 0;
  if (safetensors_bytes(entry.dtype, entry.shape, bytes) != SizeProblem::none)
    refuse("its size overflows 64 bits or is no whole number of bytes");
  return bytes;
}

void refuse_equal_names(const Path& path, std::span<const SafetensorsEntry> entries) {
  std::vector<std::string_view> names;
  for (const SafetensorsEntry& entry : entries) names.push_back(entry.name);
  std::ranges::sort(names);
  if (const auto twice = std::ranges::adjacent_find(names); twice != names.end())
    fail("{}: cannot write tensor {} twice", path.string(), in_quotes(*twice));
}

}  // namespace

std::string_view name_of(SafetensorsDType dtype) { return row_of(dtype).name; }
std::size_t bits_of(SafetensorsDType dtype) { return row_of(dtype).bits; }
DType core_dtype(SafetensorsDType dtype) { return row_of(dtype).core; }

SafetensorsDType safetensors_dtype(DType dtype) {
  for (std::size_t i = 0; i < kDTypes.size(); ++i)
    if (dtype != DType::none && kDTypes[i].core == dtype) return static_cast<SafetensorsDType>(i);
  fail("safetensors: no element type for {}", name_of(dtype));
}

Spec SafetensorsEntry::spec() const {
  const DType core = core_dtype(dtype);
  if (core == DType::none)
    fail(ErrorKind::data, "tensor {}: elements of {} are not supported", in_quotes(name), name_of(dtype));
  if (shape.size() > static_cast<std::size_t>(Shape::kMaxRank))
    fail(ErrorKind::data, "tensor {}: {} dimensions, more than the {} that are supported", in_quotes(name),
         shape.size(), Shape::kMaxRank);
  return {Shape(std::span(shape)), core};
}

SafetensorsEntry safetensors_entry(std::string name, const Spec& spec, std::span<const std::byte> data) {
  return {std::move(name), safetensors_dtype(spec.dtype), {spec.shape.begin(), spec.shape.end()}, data};
}

SafetensorsFile::SafetensorsFile(const Path& path, std::uint64_t max_file_bytes, SafetensorsData data)
    : path_(path), file_(OpenFile::to_read(posix_file_system(), path)) {
  const std::uint64_t file_bytes = file_->size();
  if (file_bytes > max_file_bytes)
    fail(ErrorKind::data, "{}: {} bytes are above the limit of {}", path.string(), file_bytes, max_file_bytes);
  refuse_without_length(file_bytes, path.string());
  LengthWord word{};
  if (file_->read(word) != word.size()) fail(ErrorKind::data, "{}: became shorter while it was read", path.string());
  const std::uint64_t header_bytes = header_length(word, file_bytes, path.string());
  data_begin_ = kLengthBytes + header_bytes;
  const std::uint64_t data_bytes = file_bytes - data_begin_;
  const std::unique_ptr<std::byte[]> json = read_exactly(*file_, header_bytes);
  SafetensorsHeader header =
      parse_safetensors_header({reinterpret_cast<const char*>(json.get()), header_bytes}, data_bytes, path.string());
  if (data == SafetensorsData::in_memory) {
    data_ = read_exactly(*file_, data_bytes);
    file_.reset();
  }
  take(std::move(header), data_.get());
}

SafetensorsFile::SafetensorsFile(const Path& path, std::span<const std::byte> content) : path_(path) {
  refuse_without_length(content.size(), path.string());
  LengthWord word{};
  std::ranges::copy(content.first<kLengthBytes>(), word.begin());
  const std::uint64_t header_bytes = header_length(word, content.size(), path.string());
  const std::span<const std::byte> json = content.subspan(kLengthBytes, header_bytes);
  const std::span<const std::byte> data = content.subspan(kLengthBytes + header_bytes);
  take(parse_safetensors_header({reinterpret_cast<const char*>(json.data()), json.size()}, data.size(), path.string()),
       data.data());
}

void SafetensorsFile::take(SafetensorsHeader&& header, const std::byte* data) {
  entries_.reserve(header.tensors.size());
  for (SafetensorsHeader::Tensor& tensor : header.tensors) {
    std::span<const std::byte> bytes;
    if (data) bytes = {data + tensor.begin, static_cast<std::size_t>(tensor.end - tensor.begin)};
    begins_.push_back(tensor.begin);
    entries_.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape), bytes});
  }
  by_name_ = std::move(header.by_name);
  metadata_ = std::move(header.metadata);
}

void SafetensorsFile::read(const SafetensorsEntry& entry, std::uint64_t begin, std::span<std::byte> to) {
  const std::less<const SafetensorsEntry*> lies_before;
  if (lies_before(&entry, entries_.data()) || !lies_before(&entry, entries_.data() + entries_.size()))
    fail("{}: tensor {} was not given by this file; take it from entries(), find() or at()", path_.string(),
         in_quotes(entry.name));
  const auto i = static_cast<std::size_t>(&entry - entries_.data());
  std::uint64_t bytes = 0;
  safetensors_bytes(entry.dtype, entry.shape, bytes);  // checked with the header
  if (!file_ || begin > bytes || to.size() > bytes - begin)
    fail("{}: cannot read {} bytes from byte {} of tensor {}, which has {}{}", path_.string(), to.size(), begin,
         in_quotes(entry.name), bytes, file_ ? "" : " in memory already");
  file_->seek(data_begin_ + begins_[i] + begin);
  if (file_->read(to) != to.size()) fail(ErrorKind::data, "{}: became shorter while it was read", path_.string());
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto name_at = [&](std::size_t i) -> std::string_view { return entries_[i].name; };
  const auto place = std::ranges::lower_bound(by_name_, name, {}, name_at);
  return place != by_name_.end() && name_at(*place) == name ? &entries_[*place] : nullptr;
}

const SafetensorsEntry& SafetensorsFile::at(std::string_view name) const {
  if (const SafetensorsEntry* entry = find(name)) return *entry;
  std::vector<std::string> names;
  for (const SafetensorsEntry& entry : entries_) names.push_back(entry.name);
  const std::string near = nearest(name, names);
  fail(ErrorKind::data, "{}: no tensor {} among its {}{}", path_.string(), in_quotes(name), entries_.size(),
       near.empty() ? "" : fmt::format("; nearest is {}", in_quotes(near)));
}

SafetensorsHead safetensors_head(const Path& path, std::span<const SafetensorsEntry> entries,
                                 const SafetensorsMetadata& metadata) {
  refuse_equal_names(path, entries);
  std::vector<std::string> members;
  if (!metadata.empty()) {
    std::vector<std::string> pairs;
    for (const auto& [key, value] : metadata) pairs.push_back(json_text(key, path) + ":" + json_text(value, path));
    members.push_back(fmt::format("\"{}\":{{{}}}", kSafetensorsMetadata, fmt::join(pairs, ",")));
  }
  SafetensorsHead head{.bytes = {}, .order = writing_order(entries)};
  for (std::size_t i : head.order) {
    const SafetensorsEntry& entry = entries[i];
    const std::uint64_t begin = head.data_bytes;
    if (__builtin_add_overflow(begin, checked_bytes(entry, path), &head.data_bytes))
      fail("{}: cannot write: the data overflow 64 bits", path.string());
    members.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  json_text(entry.name, path), name_of(entry.dtype), fmt::join(entry.shape, ","), begin,
                                  head.data_bytes));
  }
  std::string text = fmt::format("{{{}}}", fmt::join(members, ","));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > SafetensorsFile::kMaxHeaderBytes)
    fail("{}: cannot write: a header of {} bytes is above the limit of {}", path.string(), text.size(),
         SafetensorsFile::kMaxHeaderBytes);
  const auto length = std::bit_cast<std::array<char, kLengthBytes>>(std::uint64_t{text.size()});
  head.bytes = std::string(length.data(), length.size()) + text;
  return head;
}

SafetensorsWriter::SafetensorsWriter(const Path& path, std::span<const SafetensorsEntry> entries,
                                     const SafetensorsMetadata& metadata)
    : path_(path) {
  const SafetensorsHead head = safetensors_head(path, entries, metadata);
  missing_ = head.data_bytes;
  file_.emplace(path);
  file_->write(std::as_bytes(std::span(head.bytes)));
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  if (bytes.size() > missing_)
    fail("{}: {} bytes more than the tensors have room for", path_.string(), bytes.size() - missing_);
  file_->write(bytes);
  missing_ -= bytes.size();
}

void SafetensorsWriter::commit() {
  if (missing_ > 0) fail("{}: {} bytes of the tensors are missing", path_.string(), missing_);
  file_->commit();
}

void write_safetensors(const Path& path, std::span<const SafetensorsEntry> entries,
                       const SafetensorsMetadata& metadata) {
  SafetensorsWriter writer(path, entries, metadata);
  for (const SafetensorsEntry& entry : entries)
    if (const std::uint64_t bytes = checked_bytes(entry, path); bytes != entry.data.size())
      fail("{}: cannot write tensor {}: {} of {} needs {} bytes, given {}", path.string(), in_quotes(entry.name),
           shape_text(entry.shape), name_of(entry.dtype), bytes, entry.data.size());
  for (std::size_t i : writing_order(entries)) writer.write(entries[i].data);
  writer.commit();
}

}  // namespace gesso
