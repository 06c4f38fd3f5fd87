#include "tests/fuzz_targets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/error.h"
#include "tests/fuzz_seeds.h"
#include "tests/temporary_directory.h"
#include "train/byte_stream.h"
#include "train/cifar_dataset.h"
#include "train/codes_file.h"
#include "train/exif.h"
#include "train/history_text.h"
#include "train/idx.h"
#include "train/jpeg.h"
#include "train/json_config.h"
#include "train/manifest.h"
#include "train/png.h"
#include "train/safetensors.h"
#include "train/step_record.h"

namespace gesso {
namespace {

using Bytes = std::span<const std::byte>;

std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

void promise(bool kept, const std::string& what) {
  if (!kept) throw std::logic_error(what);
}

// What a file says never steers a terminal, nor floods it.
void check_words(std::string_view words) {
  constexpr std::size_t kMostBytes = 2000;
  promise(words.size() <= kMostBytes, fmt::format("an error of {} bytes", words.size()));
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto byte = static_cast<unsigned char>(words[i]);
    const bool second = byte == 0xC2 && i + 1 < words.size() && static_cast<unsigned char>(words[i + 1]) < 0xA0;
    promise(byte >= 0x20 && byte != 0x7F && !second, fmt::format("an error with a control character: {}", words));
  }
}

// False where the reader refused.
template <class Read>
bool accepted(ErrorKind kind, Read&& read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    if (error.kind() != kind) throw;
    check_words(error.what());
    return false;
  }
}

// A file for readers that want a path; on no disk.
class FileInMemory {
 public:
  FileInMemory() : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {
    promise(descriptor_ >= 0, "no file in memory can be made");
  }
  ~FileInMemory() { close(descriptor_); }
  FileInMemory(const FileInMemory&) = delete;
  FileInMemory& operator=(const FileInMemory&) = delete;

  Path path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }
  void hold(Bytes bytes) const {
    const bool held = ftruncate(descriptor_, 0) == 0 &&
                      pwrite(descriptor_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
    promise(held, "a file in memory cannot be written");
  }

 private:
  int descriptor_;
};
const Path& path_of_file_with(Bytes bytes) {
  static const FileInMemory file;
  static const Path path = file.path();
  file.hold(bytes);
  return path;
}

void run_safetensors(Bytes bytes) {
  accepted(ErrorKind::data, [&] {
    const SafetensorsFile file("fuzz", bytes);
    std::string data;
    const SafetensorsHead head = safetensors_head("again", file.entries(), file.metadata());
    for (const std::size_t i : head.order) data += text_of(file.entries()[i].data);
    promise(data.size() == head.data_bytes && data.size() <= bytes.size(), "tensors of more bytes than the file");
    const std::string again = head.bytes + data;
    const SafetensorsFile copy("again", std::as_bytes(std::span(again)));
    promise(copy.metadata() == file.metadata() && copy.entries().size() == file.entries().size(), "another file");
    for (const SafetensorsEntry& entry : file.entries()) {
      const SafetensorsEntry& other = copy.at(entry.name);
      promise(other.dtype == entry.dtype && other.shape == entry.shape && std::ranges::equal(other.data, entry.data),
              "another tensor");
      accepted(ErrorKind::data, [&] { (void)entry.spec(); });
    }
  });
}

void run_codes(Bytes bytes) {
  accepted(ErrorKind::data, [&] {
    CodesFile file(path_of_file_with(bytes));
    const CodesInfo& info = file.info();
    file.check_belongs({.hash = info.tokenizer,
                        .codebook = info.codebook,
                        .factor = std::max<std::int64_t>(1, info.image.height / info.height),
                        .channels = info.image.channels});
    file.check_codes();
    const Codes last = file.read(info.images - 1, 1);
    promise(std::ssize(last.values) == info.height * info.width, "codes of another number");
    for (const std::string& name : info.names)
      promise(Path(name).filename() == name && name != "..", fmt::format("a name that is a path: {}", name));
  });
}

void run_idx(Bytes bytes) {
  accepted(ErrorKind::data, [&] {
    const IdxArray array = read_idx(path_of_file_with(bytes));
    promise(std::ssize(array.values) == array.shape.count(), "an array of another size");
  });
}

// A megabyte is enough to see how unpacking goes.
void run_packed(Bytes bytes) {
  accepted(ErrorKind::data, [&] {
    ByteStream stream(bytes, "fuzz");
    std::vector<std::byte> piece(4093);
    for (int pieces = 0; pieces < 256; ++pieces) {
      if (stream.read_some(piece) == piece.size()) continue;
      stream.expect_end();
      return;
    }
    stream.read(piece);
  });
}

void run_cifar(Bytes bytes) {
  static const TemporaryDirectory directory;
  const Path& path = path_of_file_with(bytes);
  if (std::error_code ignored; !std::filesystem::is_symlink(directory / "test_batch.bin", ignored))
    std::filesystem::create_symlink(path, directory / "test_batch.bin");
  accepted(ErrorKind::data, [&] {
    const auto data = open_cifar_dataset(directory.path(), Split::validation);
    promise(data->size() >= 1 && data->size() <= 10'000, "another number of records");
    std::int32_t label = 0;
    promise(data->image(data->size() - 1, View(), label).pixels.size() == 3072 && label < 10, "another picture");
  });
}

constexpr PictureLimits kPictures{.max_side = 2048, .max_pixels = 1 << 20};

template <class T>
void check_picture(const BasicImage<T>& image) {
  const ImageShape& shape = image.shape;
  promise(shape.height >= 1 && shape.width >= 1 && (shape.channels == 1 || shape.channels == 3) &&
              shape.height * shape.width <= kPictures.max_pixels && std::ssize(image.pixels) == shape.count(),
          "a picture of " + shape.text());
}

// With the checksum that each chunk should have: else few changes come further than to the first.
std::string with_checksums(std::string png) {
  const auto number = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(png[at + i]);
    return std::size_t{value};
  };
  for (std::size_t at = 8; at + 12 <= png.size();) {
    const std::size_t size = number(at);
    if (size > png.size() - at - 12) break;
    const auto crc = crc32(0, reinterpret_cast<const Bytef*>(png.data() + at + 4), static_cast<uInt>(size + 4));
    for (std::size_t i = 0; i < 4; ++i) png[at + 8 + size + i] = static_cast<char>(crc >> (24 - 8 * i));
    at += size + 12;
  }
  return png;
}

void run_png(Bytes bytes) {
  const std::string mended = with_checksums(std::string(text_of(bytes)));
  for (const Bytes file : {bytes, std::as_bytes(std::span(mended))}) {
    accepted(ErrorKind::data, [&] { check_picture(decode_png<std::uint8_t>(file, "fuzz", kPictures)); });
    accepted(ErrorKind::data, [&] { check_picture(decode_png<std::uint16_t>(file, "fuzz", kPictures)); });
  }
}

void run_jpeg(Bytes bytes) {
  accepted(ErrorKind::data, [&] { check_picture(decode_jpeg(bytes, "fuzz", kPictures)); });
}

void run_exif(Bytes bytes) {
  const auto orientation = static_cast<int>(exif_orientation(bytes));
  promise(orientation >= 1 && orientation <= 8, "an orientation that there is not");
}

enum class Flavour : std::uint8_t { sweet, salty };
struct Dish {
  bool hot = false;
  double weight = 1;
  std::int32_t guests = 2;
  std::int64_t year = 2000;
  std::string name = "soup", kind = "starter";
  Flavour flavour = Flavour::salty;
  std::vector<std::int64_t> tables = {1, 2};
  std::vector<double> prices = {1.5};

  void declare(JsonConfig& config) {
    config.field("hot", hot, "");
    config.field("size.weight", weight, {0, 1e6}, "");
    config.field("size.guests", guests, {1, 100}, "");
    config.field("size.year", year, {}, "");
    config.field("name", name, "");
    config.field("menu.kind", kind, {"starter", "main"}, "");
    config.field("menu.flavour", flavour, {{"sweet", Flavour::sweet}, {"salty", Flavour::salty}}, "");
    config.field("menu.tables", tables, {0, 9}, "");
    config.field("menu.prices", prices, {0}, "");
  }
};

void run_config(Bytes bytes) {
  Dish dish;
  JsonConfig config;
  dish.declare(config);
  const bool assigned = accepted(ErrorKind::usage, [&] { config.assign(text_of(bytes)); });
  const bool loaded = accepted(ErrorKind::usage, [&] { config.load(text_of(bytes), "fuzz"); });
  if (!assigned && !loaded) return;
  Dish again;
  JsonConfig other;
  again.declare(other);
  const std::string text = config.text();
  other.load(text, "again");
  promise(other.text() == text, "other settings");
}

void run_manifest(Bytes bytes) {
  const std::string sealed = fmt::format("{}  \"xxh3\": \"{:016x}\"\n}}\n", text_of(bytes), checksum_of(bytes));
  for (const std::string_view text : {text_of(bytes), std::string_view(sealed)})
    accepted(ErrorKind::data, [&] {
      const Manifest manifest = parse_manifest(text);
      if (manifest.version != Manifest::kVersion) return;
      promise(text_of(manifest) == text, "another manifest");
      for (const Manifest::File& file : manifest.files)
        promise(Path(file.name).filename() == file.name && file.name != "..", "a name that is a path");
    });
}

void run_history(Bytes bytes) {
  RunHistory history;
  MetricsReader metrics(history, 4);
  each_line(text_of(bytes), [&](std::string_view line) {
    metrics.take(line);
    take_start(line, history);
    take_code_count(line, history);
    take_skipped(line, history);
  });
  for (const Series& series : history.metrics) {
    promise(series.steps.size() == series.values.size(), "values without steps");
    promise(std::ranges::is_sorted(series.steps), "steps that fall");
  }
}

void run_step_record(Bytes bytes) {
  accepted(ErrorKind::data, [&] {
    const StepRecord record = parse_step_record(text_of(bytes));
    const std::string text = text_of(record);
    promise(text_of(parse_step_record(text)) == text, "another record");
    (void)record.what();
  });
}

constexpr std::array kTargets = {FuzzTarget{"safetensors", run_safetensors, seeds::safetensors},
                                 FuzzTarget{"codes", run_codes, seeds::codes},
                                 FuzzTarget{"idx", run_idx, seeds::idx},
                                 FuzzTarget{"gzip", run_packed, seeds::gzip_packed},
                                 FuzzTarget{"xz", run_packed, seeds::xz_packed},
                                 FuzzTarget{"cifar", run_cifar, seeds::cifar},
                                 FuzzTarget{"png", run_png, seeds::png},
                                 FuzzTarget{"jpeg", run_jpeg, seeds::jpeg},
                                 FuzzTarget{"exif", run_exif, seeds::exif},
                                 FuzzTarget{"config", run_config, seeds::config},
                                 FuzzTarget{"manifest", run_manifest, seeds::manifest},
                                 FuzzTarget{"history", run_history, seeds::history},
                                 FuzzTarget{"step_record", run_step_record, seeds::step_record}};

}  // namespace

std::span<const FuzzTarget> fuzz_targets() { return kTargets; }

const FuzzTarget& fuzz_target(std::string_view name) {
  const auto found = std::ranges::find(kTargets, name, &FuzzTarget::name);
  if (found != kTargets.end()) return *found;
  std::vector<std::string_view> names;
  for (const FuzzTarget& target : kTargets) names.push_back(target.name);
  fail("fuzz: no target {}; there are {}", name, fmt::join(names, ", "));
}

}  // namespace gesso
