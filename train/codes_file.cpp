#include "train/codes_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

#include "core/error.h"
#include "train/json_text.h"
#include "train/safetensors_header.h"
#include "train/text.h"

namespace gesso {
namespace {

constexpr std::string_view kFormat = "gesso.format", kFormatVersion = "gesso.format_version",
                           kTokenizer = "gesso.tokenizer", kCodebook = "gesso.codebook", kImages = "gesso.images",
                           kImageShape = "gesso.image_shape", kBits = "gesso.bits", kMadeBy = "gesso.version",
                           kNames = "gesso.names";
constexpr std::string_view kThisFormat = "codes", kThisVersion = "1";
constexpr char kBetweenNames = '/';  // so no name holds it
constexpr std::size_t kLongestName = 200;
constexpr std::int64_t kMostImages = std::int64_t{1} << 32;

// --- Writing

std::vector<SafetensorsEntry> entries_of(const CodesInfo& info) {
  std::vector<SafetensorsEntry> entries = {
      {"codes", SafetensorsDType::i32, {info.images, info.height, info.width}, {}}};
  if (info.has_labels) entries.push_back({"labels", SafetensorsDType::i32, {info.images}, {}});
  if (!info.names.empty()) entries.push_back({"sizes", SafetensorsDType::i32, {info.images, 2}, {}});
  return entries;
}

// What a reader would refuse later is refused before anything is written.
void check_writable(const Path& path, const CodesInfo& info) {
  constexpr std::uint64_t kMostData = CodesFile::kMaxBytes - SafetensorsFile::kMaxHeaderBytes;
  constexpr std::uint64_t kImageExtras = 3;  // a label, and a size
  if (info.images > kMostImages)
    fail("{}: {} images are more than the {} of a codes file; encode fewer with --count", path.string(), info.images,
         kMostImages);
  const auto images = static_cast<std::uint64_t>(info.images);
  const std::uint64_t each = static_cast<std::uint64_t>(info.height * info.width) + kImageExtras;
  if (each > kMostData / sizeof(std::int32_t) / std::max<std::uint64_t>(1, images))
    fail("{}: {} images of {}x{} codes are more than the {} bytes of a codes file; encode fewer with --count",
         path.string(), images, info.height, info.width, CodesFile::kMaxBytes);
}

SafetensorsMetadata metadata_of(const CodesInfo& info) {
  SafetensorsMetadata metadata;
  const auto set = [&](std::string_view key, std::string value) { metadata.emplace(key, std::move(value)); };
  set(kFormat, std::string(kThisFormat));
  set(kFormatVersion, std::string(kThisVersion));
  set(kTokenizer, info.tokenizer);
  set(kCodebook, std::to_string(info.codebook));
  set(kImages, std::to_string(info.images));
  set(kImageShape, info.image.text());
  set(kBits, std::to_string(info.bits));
  set(kMadeBy, info.made_by);
  if (!info.names.empty()) set(kNames, fmt::format("{}", fmt::join(info.names, std::string(1, kBetweenNames))));
  return metadata;
}

// --- Reading

class Metadata {
 public:
  explicit Metadata(const SafetensorsFile& file) : file_(file) {}

  const std::string* find(std::string_view key) const {
    const auto place = file_.metadata().find(std::string(key));
    return place == file_.metadata().end() ? nullptr : &place->second;
  }
  const std::string& text(std::string_view key) const {
    if (const std::string* value = find(key)) return *value;
    fail(ErrorKind::data, "{}: metadata lack {}; expected a codes file, as gesso encode writes them", source(), key);
  }
  std::int64_t number(std::string_view key, std::int64_t least, std::int64_t most) const {
    const std::string& value = text(key);
    const std::vector<std::int64_t> numbers = split_numbers(value);
    if (numbers.size() != 1 || numbers[0] < least || numbers[0] > most)
      refuse(key, fmt::format("{} to {}", least, most));
    return numbers[0];
  }
  ImageShape shape(std::string_view key) const {
    const std::vector<std::int64_t> numbers = split_numbers(text(key));
    if (numbers.size() != 3 || std::ranges::min(numbers) < 1) refuse(key, "HEIGHTxWIDTHxCHANNELS, each at least 1");
    return {numbers[0], numbers[1], numbers[2]};
  }
  [[noreturn]] void refuse(std::string_view key, const std::string& expected) const {
    fail(ErrorKind::data, "{}: metadata {} is {}, expected {}", source(), key, in_quotes(text(key)), expected);
  }
  std::string source() const { return file_.path().string(); }

 private:
  // "3x4x5"; none where it is anything else.
  static std::vector<std::int64_t> split_numbers(std::string_view value) {
    std::vector<std::int64_t> numbers;
    const char *at = value.data(), *const end = at + value.size();
    while (true) {
      std::int64_t number = -1;
      const auto parsed = std::from_chars(at, end, number);
      if (parsed.ec != std::errc() || number < 0) return {};
      numbers.push_back(number);
      if (parsed.ptr == end) return numbers;
      if (*parsed.ptr != 'x') return {};
      at = parsed.ptr + 1;
    }
  }
  const SafetensorsFile& file_;
};

bool is_harmless(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && name.front() != '.' && std::ranges::none_of(name, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F || c == kBetweenNames || c == '\\';
  });
}

std::vector<std::string> read_names(const Metadata& metadata, std::int64_t images) {
  const std::string* all = metadata.find(kNames);
  if (!all) return {};
  const auto count = static_cast<std::size_t>(1 + std::ranges::count(*all, kBetweenNames));
  if (static_cast<std::int64_t>(count) != images || count > kMostNames)
    fail(ErrorKind::data, "{}: metadata {} has {} names for {} images; at most {} are read", metadata.source(), kNames,
         count, images, kMostNames);
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin <= all->size();) {
    const std::size_t end = std::min(all->find(kBetweenNames, begin), all->size());
    names.push_back(all->substr(begin, end - begin));
    if (!is_harmless(names.back()))
      fail(ErrorKind::data, "{}: metadata {}: {} is no harmless name of a file", metadata.source(), kNames,
           in_quotes(names.back()));
    begin = end + 1;
  }
  std::set<std::string_view> seen;
  for (const std::string& name : names)
    if (!seen.insert(name).second)
      fail(ErrorKind::data, "{}: metadata {} has {} twice", metadata.source(), kNames, in_quotes(name));
  return names;
}

// Throws where the file's tensors are not just those of `info`, or are not as it says.
void check_tensors(const SafetensorsFile& file, const CodesInfo& info) {
  const std::vector<SafetensorsEntry> expected = entries_of(info);
  for (const SafetensorsEntry& wanted : expected) {
    const SafetensorsEntry& found = file.at(wanted.name);
    if (found.dtype != wanted.dtype || found.shape != wanted.shape)
      fail(ErrorKind::data, "{}: tensor {} is {} {}, expected {} {}", file.path().string(), found.name,
           shape_text(found.shape), name_of(found.dtype), shape_text(wanted.shape), name_of(wanted.dtype));
  }
  for (const SafetensorsEntry& found : file.entries())
    if (std::ranges::find(expected, found.name, &SafetensorsEntry::name) == expected.end())
      fail(ErrorKind::data, "{}: tensor {} does not belong in a codes file with {}", file.path().string(),
           in_quotes(found.name), info.names.empty() ? "codes and labels alone" : "codes, labels and sizes");
}

CodesInfo read_info(const SafetensorsFile& file) {
  const Metadata metadata(file);
  if (metadata.text(kFormat) != kThisFormat) metadata.refuse(kFormat, in_quotes(kThisFormat));
  if (metadata.text(kFormatVersion) != kThisVersion) metadata.refuse(kFormatVersion, in_quotes(kThisVersion));
  CodesInfo info{.tokenizer = metadata.text(kTokenizer),
                 .codebook = metadata.number(kCodebook, 1, std::int64_t{1} << 31),
                 .images = metadata.number(kImages, 1, kMostImages),
                 .image = metadata.shape(kImageShape),
                 .bits = static_cast<int>(metadata.number(kBits, 8, 16)),
                 .made_by = metadata.text(kMadeBy),
                 .has_labels = file.find("labels") != nullptr,
                 .names = {}};
  if (info.bits != 8 && info.bits != 16) metadata.refuse(kBits, "8 or 16");
  info.names = read_names(metadata, info.images);
  PictureLimits limits;
  if (!info.names.empty()) limits.max_pixels *= 4;  // no picture's shape: padding at most doubles the longest sides
  check_limits(file.path().string(), info.image.height, info.image.width, limits);
  const SafetensorsEntry& codes = file.at("codes");
  if (codes.shape.size() == 3) {  // else check_tensors() says what is wrong
    info.height = codes.shape[1];
    info.width = codes.shape[2];
  }
  check_tensors(file, info);
  if (info.height < 1 || info.width < 1 || info.height > info.image.height || info.width > info.image.width)
    fail(ErrorKind::data, "{}: {}x{} codes an image cannot make pictures of {}", file.path().string(), info.height,
         info.width, info.image.text());
  return info;
}

}  // namespace

std::vector<std::string> picture_names(std::span<const std::string> paths) {
  if (paths.size() > kMostNames)
    fail("{} pictures were named, but at most {} can be at once", paths.size(), kMostNames);
  std::vector<std::string> names;
  std::set<std::string> seen;
  std::map<std::string, int> next;  // number to try, of a stem that was there already
  for (const std::string& path : paths) {
    std::string stem = Path(path).stem().string().substr(0, kLongestName - 8);
    for (char& c : stem)
      if (!is_harmless(std::string("x") + c)) c = '_';
    if (stem.empty() || stem.front() == '.' || !is_utf8(stem)) stem = "picture";
    std::string name = stem;
    int& copy = next.try_emplace(stem, 2).first->second;
    while (!seen.insert(name).second) name = fmt::format("{}-{}", stem, copy++);
    names.push_back(std::move(name));
  }
  return names;
}

CodesWriter::CodesWriter(const Path& path, CodesInfo info) : info_(std::move(info)) {
  check_writable(path, info_);
  writer_.emplace(path, entries_of(info_), metadata_of(info_));
}

void CodesWriter::add(const Codes& codes) {
  if (codes.height != info_.height || codes.width != info_.width)
    fail("codes file: {}x{} codes among pictures of {}x{} codes", codes.height, codes.width, info_.height, info_.width);
  writer_->write(std::as_bytes(std::span(codes.values)));
}

void CodesWriter::finish(std::span<const std::int32_t> labels, std::span<const std::int32_t> sizes) {
  writer_->write(std::as_bytes(labels));
  writer_->write(std::as_bytes(sizes));
  writer_->commit();
}

CodesFile::CodesFile(const Path& path) : file_(path, kMaxBytes, SafetensorsData::in_file), info_(read_info(file_)) {
  if (info_.names.empty()) return;
  sizes_.resize(info_.names.size() * 2);
  file_.read(file_.at("sizes"), 0, std::as_writable_bytes(std::span(sizes_)));
  for (std::size_t i = 0; i < sizes_.size(); i += 2) {
    check_limits(path.string(), sizes_[i], sizes_[i + 1], {});
    if (sizes_[i] < 1 || sizes_[i + 1] < 1 || sizes_[i] > info_.image.height || sizes_[i + 1] > info_.image.width)
      fail(ErrorKind::data, "{}: picture {} is said to be {}x{}, which does not fit into {}", path.string(), i / 2,
           sizes_[i], sizes_[i + 1], info_.image.text());
  }
}

PictureSize CodesFile::size(std::int64_t picture) const {
  if (sizes_.empty()) return {info_.image.height, info_.image.width};
  const auto i = static_cast<std::size_t>(2 * picture);
  return {sizes_[i], sizes_[i + 1]};
}

void CodesFile::check_belongs(const TokenizerFacts& tokenizer) const {
  const std::string source = file_.path().string();
  if (info_.tokenizer != tokenizer.hash)
    fail(ErrorKind::data,
         "{}: its codes are those of tokenizer {}, but this model's is {}; name the run that made them", source,
         in_quotes(info_.tokenizer), tokenizer.hash);
  if (info_.codebook != tokenizer.codebook || info_.image.channels != tokenizer.channels)
    fail(ErrorKind::data, "{}: a codebook of {} and {} channels are contradicted by the tokenizer's {} and {}", source,
         info_.codebook, info_.image.channels, tokenizer.codebook, tokenizer.channels);
  const auto along = [&](std::int64_t pixels) { return models::codes_along(pixels, tokenizer.factor); };
  for (std::int64_t i = 0; i < (sizes_.empty() ? 1 : info_.images); ++i) {
    const auto [height, width] = size(i);
    if (along(height) != info_.height || along(width) != info_.width)
      fail(ErrorKind::data, "{}: a picture of {}x{} has {}x{} codes of {} pixels a side, but the file has {}x{}",
           source, height, width, along(height), along(width), tokenizer.factor, info_.height, info_.width);
  }
}

void CodesFile::check_codes() {
  constexpr std::int64_t kCodesAtOnce = std::int64_t{1} << 20;
  const std::int64_t each = std::max<std::int64_t>(1, kCodesAtOnce / (info_.height * info_.width));
  for (std::int64_t begin = 0; begin < info_.images; begin += each)
    (void)read(begin, std::min(each, info_.images - begin));
}

Codes CodesFile::read(std::int64_t begin, std::int64_t count) {
  Codes codes{.count = count, .height = info_.height, .width = info_.width, .values = {}};
  const std::int64_t area = info_.height * info_.width;
  codes.values.resize(static_cast<std::size_t>(count * area));
  file_.read(file_.at("codes"), static_cast<std::uint64_t>(begin * area) * sizeof(std::int32_t),
             std::as_writable_bytes(std::span(codes.values)));
  for (std::size_t i = 0; i < codes.values.size(); ++i)
    if (codes.values[i] < 0 || codes.values[i] >= info_.codebook)
      fail(ErrorKind::data, "{}: code {} of picture {} is outside the codebook of {}", file_.path().string(),
           codes.values[i], begin + static_cast<std::int64_t>(i) / area, info_.codebook);
  return codes;
}

}  // namespace gesso
