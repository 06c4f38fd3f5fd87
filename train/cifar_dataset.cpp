#include "train/cifar_dataset.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"
#include "train/byte_stream.h"
#include "train/manifest.h"

namespace gesso {
namespace {

constexpr ImageShape kShape{32, 32, 3};
constexpr std::size_t kPlane = 32 * 32, kImage = 3 * kPlane, kRecord = 1 + kImage;
constexpr std::size_t kMostRecords = 10'000;  // a file
constexpr std::array kClasses = {"airplane", "automobile", "bird",  "cat",  "deer",
                                 "dog",      "frog",       "horse", "ship", "truck"};

std::vector<std::string> file_names(Split split) {
  if (split == Split::validation) return {"test_batch.bin"};
  std::vector<std::string> names;
  for (int i = 1; i <= 5; ++i) names.push_back(fmt::format("data_batch_{}.bin", i));
  return names;
}

[[noreturn]] void fail_missing(const Path& directory, const std::string& what) {
  fail(ErrorKind::data,
       "data path '{}': {}; expected a directory with CIFAR-10's binary version: data_batch_1.bin to data_batch_5.bin "
       "and test_batch.bin, each plain or with .xz or .gz",
       directory.string(), what);
}

Path find(const Path& directory, const std::string& name) {
  Path path = find_plain_or_packed(directory, name);
  if (path.empty()) fail_missing(directory, "has no " + name);
  return path;
}

struct Records {
  std::vector<std::uint8_t> pixels;  // [N,32,32,3]
  std::vector<std::uint8_t> labels;  // [N]

  std::size_t size() const { return labels.size(); }
};

void append(Records& records, std::span<const std::uint8_t> record, const std::string& source) {
  if (record[0] >= kClasses.size())
    fail(ErrorKind::data, "{}: record {} has label {}; CIFAR-10 has labels 0 to 9", source, records.size(), record[0]);
  records.labels.push_back(record[0]);
  const std::span<const std::uint8_t> planes = record.subspan(1);
  const std::size_t begin = records.pixels.size();
  records.pixels.resize(begin + kImage);
  for (std::size_t i = 0; i < kPlane; ++i)
    for (std::size_t c = 0; c < 3; ++c) records.pixels[begin + 3 * i + c] = planes[c * kPlane + i];
}

// Nothing but the records themselves bounds what a packed file unpacks to, so they are counted as they come.
Records read_records(const Path& path) {
  const std::string source = path.string();
  const std::vector<std::byte> file = read_file(path, kMostRecords * kRecord);
  ByteStream stream(file, source);
  Records records;
  std::vector<std::uint8_t> record(kRecord);
  while (const std::size_t got = stream.read_some(std::as_writable_bytes(std::span(record)))) {
    if (got < kRecord)
      fail(ErrorKind::data, "{}: ends within record {}, {} of {} bytes; is it cut off, or another format?", source,
           records.size(), got, kRecord);
    if (records.size() == kMostRecords)
      fail(ErrorKind::data, "{}: more than the {} records of {} bytes that a file of CIFAR-10 has", source,
           kMostRecords, kRecord);
    append(records, record, source);
  }
  stream.expect_end();
  if (records.size() == 0) fail(ErrorKind::data, "{}: holds no record", source);
  return records;
}

class CifarDataset final : public Dataset {
 public:
  CifarDataset(Info info, std::vector<Records> files) : Dataset(std::move(info)), files_(std::move(files)) {}

 private:
  void read_checked(std::int64_t index, const View&, std::span<std::uint8_t> image,
                    std::int32_t& label) const override {
    auto i = static_cast<std::size_t>(index);
    auto file = files_.begin();
    for (; i >= file->size(); ++file) i -= file->size();
    std::copy_n(file->pixels.data() + i * kImage, kImage, image.data());
    label = file->labels[i];
  }

  std::vector<Records> files_;
};

}  // namespace

std::unique_ptr<Dataset> open_cifar_dataset(const Path& directory, Split split) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(directory, ignored)) fail_missing(directory, "is no directory");
  std::vector<Path> paths;
  for (const std::string& name : file_names(split)) paths.push_back(find(directory, name));
  std::string identity = "cifar10\n";
  for (const Path& path : paths) identity += file_stamp(path).text + "\n";
  std::vector<Records> files(paths.size());
  parallel_for(thread_pool(), static_cast<std::int64_t>(paths.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      files[i] = read_records(paths[i]);
  });
  std::size_t size = 0;
  Checksum contents;
  for (const Records& file : files) {
    size += file.size();
    contents.add(std::as_bytes(std::span(file.pixels)));
    contents.add(std::as_bytes(std::span(file.labels)));
  }
  Dataset::Info info{.name = directory.string(),
                     .size = static_cast<std::int64_t>(size),
                     .image_shape = kShape,
                     .class_names = {kClasses.begin(), kClasses.end()},
                     .identity = std::move(identity),
                     .contents = contents.value()};
  return std::make_unique<CifarDataset>(std::move(info), std::move(files));
}

}  // namespace gesso
