#include "train/folder_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <utility>

#include "core/error.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "train/bad_files.h"
#include "train/folder_listing.h"
#include "train/manifest.h"
#include "train/picture.h"
#include "train/resize.h"
#include "train/text.h"

namespace gesso {
namespace {

// Where a crop begins: of the places where it fits, each by the same share of [0, 1).
std::int64_t crop_place(double share, std::int64_t room) {
  return static_cast<std::int64_t>(share * static_cast<double>(room + 1));
}

template <class T>
BasicImage<T> cropped_as_seen(const BasicImage<T>& picture, std::int64_t size, const View& view) {
  return cropped(picture, crop_place(view.y, picture.shape.height - size),
                 crop_place(view.x, picture.shape.width - size), size, size);
}

// A pipe that took a file's place would be waited for without end.
std::vector<std::byte> read_listed(const FolderOptions& options, const std::string& name) {
  const Path path = options.path / name;
  std::error_code error;
  if (const auto type = std::filesystem::status(path, error).type(); type != std::filesystem::file_type::regular)
    fail(ErrorKind::data, "{}: {}", in_quotes(name), error ? error.message() : "is no file any more");
  return read_file(path, kMaxPictureBytes);
}

// The file as a picture that covers size x size; cropped to its middle where nothing else will be seen.
template <class T>
BasicImage<T> prepared(const FolderOptions& options, const std::string& name, std::span<const std::byte> file) {
  constexpr std::int64_t kMostLong = 8;
  const std::string source = in_quotes(name);
  BasicImage<T> picture = decode_picture<T>(file, source);
  const auto [H, W, C] = picture.shape;
  if (std::max(H, W) > kMostLong * std::min(H, W))
    fail(ErrorKind::data, "{}: {}x{} pixels are more than {} times as long as wide, the limit for a crop", source, W, H,
         kMostLong);
  BasicImage<T> covering = resized_to_cover(with_channels(std::move(picture), options.channels), options.size);
  return options.crop_anywhere ? covering : cropped_as_seen(covering, options.size, View());
}

template <class T>
struct Entry {
  ListedFile file;
  FileStamp stamp{};
  std::uint64_t checksum = 0;  // of its content
  ImageShape stored{};
  BasicImage<T> picture{};  // empty: decode the file
  bool usable = false;
};

template <class T>
class FolderDataset final : public Dataset {
 public:
  FolderDataset(Info info, const FolderOptions& options, std::vector<Entry<T>> entries)
      : Dataset(std::move(info)), options_(options), entries_(std::move(entries)) {}

 private:
  void read_checked(std::int64_t index, const View& view, std::span<std::uint8_t> image,
                    std::int32_t& label) const override {
    const Entry<T>& entry = entries_[static_cast<std::size_t>(index)];
    label = entry.file.label;
    if (entry.picture.pixels.empty())
      copy(decoded_again(entry), view, image);
    else
      copy(entry.picture, view, image);
  }

  BasicImage<T> decoded_again(const Entry<T>& entry) const {
    const std::vector<std::byte> file = read_listed(options_, entry.file.name);
    if (checksum_of(file) != entry.checksum)
      fail(ErrorKind::data, "{}: was changed since the data set was opened", in_quotes(entry.file.name));
    return prepared<T>(options_, entry.file.name, file);
  }

  void copy(const BasicImage<T>& picture, const View& view, std::span<std::uint8_t> image) const {
    const BasicImage<T> part = cropped_as_seen(picture, options_.size, view);
    std::memcpy(image.data(), part.pixels.data(), image.size());
  }

  FolderOptions options_;
  std::vector<Entry<T>> entries_;
};

// Decodes all, in parallel; what a file holds does not depend on the others.
template <class T>
void scan(const FolderOptions& options, std::vector<Entry<T>>& entries) {
  std::atomic<std::int64_t> cached = 0;
  const auto scan_one = [&](Entry<T>& entry) {
    ListedFile& file = entry.file;
    if (!file.problem.empty()) {
      file.problem = in_quotes(file.name) + " " + file.problem;
      return;
    }
    try {
      if (!is_meant_as_picture(options.path / file.name)) return;
      entry.stamp = file_stamp(options.path / file.name);
      const std::vector<std::byte> content = read_listed(options, file.name);
      entry.checksum = checksum_of(content);
      BasicImage<T> picture = prepared<T>(options, file.name, content);
      entry.stored = picture_shape(content, in_quotes(file.name));
      entry.usable = file.label != ListedFile::kNoClass;
      if (!entry.usable)
        file.problem = in_quotes(file.name) +
                       " lies beside the class folders, so it has no class; data.classes=false takes pictures wherever "
                       "they lie";
      const auto bytes = static_cast<std::int64_t>(picture.pixels.size() * sizeof(T));
      if (entry.usable && cached.fetch_add(bytes) + bytes <= options.cache_bytes) entry.picture = std::move(picture);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data && error.kind() != ErrorKind::io) throw;
      file.problem = escaped(error.what());
    }
  };
  parallel_for(thread_pool(), std::ssize(entries), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) scan_one(entries[static_cast<std::size_t>(i)]);
  });
}

// Moves the files of the split out of the list; what is left of it is the other split's.
template <class T>
std::vector<Entry<T>> entries_of(const FolderOptions& options, Split split, std::vector<ListedFile>& files) {
  const auto here = [&](const ListedFile& file) {
    return is_validation(file.name, options.validation) == (split == Split::validation);
  };
  const auto found = std::ranges::stable_partition(files, std::not_fn(here));
  std::vector<Entry<T>> entries;
  for (ListedFile& file : found) entries.push_back({.file = std::move(file)});
  files.erase(found.begin(), files.end());
  return entries;
}

std::int64_t count_files(const FolderOptions& options, std::span<const ListedFile> files) {
  std::atomic<std::int64_t> count = 0;
  parallel_for(thread_pool(), std::ssize(files), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      count += counts(options.path, files[static_cast<std::size_t>(i)]) ? 1 : 0;
  });
  return count;
}

template <class T>
std::string identity_of(const FolderOptions& options, const std::vector<Entry<T>>& entries) {
  std::string identity = fmt::format("folder {} {} {}\n", options.size, options.channels, options.bits);
  for (const Entry<T>& entry : entries) identity += entry.stamp.text + "\n";
  return identity;
}

template <class T>
std::optional<SizeRange> stored_sizes(const std::vector<Entry<T>>& entries) {
  std::optional<SizeRange> sizes;
  for (const Entry<T>& entry : entries) sizes = united(sizes, SizeRange{entry.stored, entry.stored});
  return sizes;
}

template <class T>
std::uint64_t hash_of_files(const std::vector<Entry<T>>& entries) {
  std::string text;
  for (const Entry<T>& entry : entries) {
    text += entry.file.name;
    text += entry.usable ? fmt::format("{}{:x} ", '\0', entry.checksum) : std::string("\0bad ", 5);
  }
  return checksum_of(std::as_bytes(std::span(text)));
}

template <class T>
std::unique_ptr<Dataset> open(const FolderOptions& options, Split split) {
  FolderListing listing = list_folder(options.path, options.classes);
  std::vector<Entry<T>> entries = entries_of<T>(options, split, listing.files);
  scan(options, entries);
  const std::size_t left_out =
      std::erase_if(entries, [](const Entry<T>& entry) { return !entry.usable && entry.file.problem.empty(); });
  std::vector<std::string> skipped;
  std::vector<std::int64_t> gaps;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].usable) continue;
    skipped.push_back(entries[i].file.problem);
    gaps.push_back(static_cast<std::int64_t>(i));
  }
  const std::uint64_t contents = hash_of_files(entries);
  const std::int64_t files = std::ssize(entries) + count_files(options, listing.files);
  check_bad_files(options.path.string(), skipped, files, options.max_bad,
                  gaps.size() == entries.size() ? kMend : kMendOrSkip);
  std::erase_if(entries, [](const Entry<T>& entry) { return !entry.usable; });
  if (entries.empty() && !options.may_be_empty)
    fail(ErrorKind::data, "{}: no PNG or JPEG {}{}", options.path.string(),
         split == Split::train
             ? "to train on, in it or in folders below it; name another folder"
             : fmt::format("to test with; raise data.validation, which is {} of the files", options.validation),
         listing.runs.empty() ? "" : "; left out: " + text_of_runs(listing.runs));
  Dataset::Info info{.name = options.path.string(),
                     .size = std::ssize(entries),
                     .image_shape = {options.size, options.size, options.channels},
                     .class_names = std::move(listing.classes),
                     .dtype = dtype_of<T>,
                     .identity = identity_of(options, entries),
                     .skipped = std::move(skipped),
                     .gaps = std::move(gaps),
                     .contents = contents,
                     .left_out = static_cast<std::int64_t>(left_out),
                     .stored = stored_sizes(entries),
                     .runs = std::move(listing.runs)};
  return std::make_unique<FolderDataset<T>>(std::move(info), options, std::move(entries));
}

}  // namespace

std::unique_ptr<Dataset> open_folder_dataset(const FolderOptions& options, Split split) {
  if (options.size < 1 || (options.channels != 1 && options.channels != 3) || (options.bits != 8 && options.bits != 16))
    fail("folder: pictures of {0}x{0}x{1} with {2} bits; expected 1 or 3 channels and 8 or 16 bits", options.size,
         options.channels, options.bits);
  return options.bits == 16 ? open<std::uint16_t>(options, split) : open<std::uint8_t>(options, split);
}

}  // namespace gesso
