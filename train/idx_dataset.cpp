#include "train/idx_dataset.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "train/byte_stream.h"
#include "train/idx.h"
#include "train/manifest.h"

namespace gesso {
namespace {

std::string_view prefix_of(Split split) { return split == Split::train ? "train" : "t10k"; }
std::string images_name(Split split, int rank = 3) {
  return fmt::format("{}-images-idx{}-ubyte", prefix_of(split), rank);
}
std::string labels_name(Split split) { return fmt::format("{}-labels-idx1-ubyte", prefix_of(split)); }

[[noreturn]] void fail_missing(const Path& directory, const std::string& what) {
  fail(ErrorKind::data,
       "data path '{}': {}; expected a directory with the files {}, {}, {} and {}, each plain or with .xz or .gz, as "
       "Debian's package dataset-fashion-mnist installs them in /usr/share/datasets/fashion-mnist; images of several "
       "channels have idx4 in their names",
       directory.string(), what, images_name(Split::train), labels_name(Split::train), images_name(Split::validation),
       labels_name(Split::validation));
}

void check_directory(const Path& directory) {
  std::error_code ignored;
  if (directory.empty()) fail_missing(directory, "is empty");
  if (!std::filesystem::exists(directory, ignored)) fail_missing(directory, "does not exist");
  if (!std::filesystem::is_directory(directory, ignored)) fail_missing(directory, "is no directory");
}

Path find_images(const Path& directory, Split split) {
  Path path = find_plain_or_packed(directory, images_name(split));
  if (path.empty()) path = find_plain_or_packed(directory, images_name(split, 4));
  if (path.empty()) fail_missing(directory, "has no " + images_name(split));
  return path;
}

IdxArray read_labels(const Path& directory, Split split) {
  const Path path = find_plain_or_packed(directory, labels_name(split));
  if (path.empty()) fail_missing(directory, "has no " + labels_name(split));
  IdxArray labels = read_idx(path);
  if (labels.shape.rank() != 1)
    fail(ErrorKind::data, "{}: {} is no list of labels (one dimension)", path.string(), labels.shape.text());
  return labels;
}

// Fashion-MNIST's files do not name their classes and look like MNIST's; its directory is called so everywhere.
std::vector<std::string> class_names(const Path& directory, int count) {
  const Path named = directory.has_filename() ? directory.filename() : directory.parent_path().filename();
  if (named.string().find("fashion") != std::string::npos && count == 10)
    return {"T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"};
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

class IdxDataset final : public Dataset {
 public:
  IdxDataset(Info info, IdxArray images, IdxArray labels)
      : Dataset(std::move(info)), images_(std::move(images)), labels_(std::move(labels)) {}

 private:
  void read_checked(std::int64_t index, const View&, std::span<std::uint8_t> image,
                    std::int32_t& label) const override {
    const auto i = static_cast<std::size_t>(index);
    std::copy_n(images_.values.data() + i * image.size(), image.size(), image.data());
    label = labels_.values[i];
  }

  IdxArray images_, labels_;  // [N,H,W] or [N,H,W,C], [N]
};

}  // namespace

std::unique_ptr<Dataset> open_idx_dataset(const Path& directory, Split split) {
  check_directory(directory);
  const Path images_path = find_images(directory, split);
  // Both splits' labels are read: they have the same classes even where one lacks the last.
  IdxArray labels = read_labels(directory, split);
  const IdxArray others = read_labels(directory, split == Split::train ? Split::validation : Split::train);
  std::string identity = "idx\n" + file_stamp(images_path).text;
  IdxArray images = read_idx(images_path);
  const Shape& shape = images.shape;
  if ((shape.rank() != 3 && shape.rank() != 4) || images.values.empty())
    fail(ErrorKind::data, "{}: {} holds no pictures (number, height, width, or channels behind them)",
         images_path.string(), shape.text());
  if (shape[0] != labels.shape[0])
    fail(ErrorKind::data, "{}: {} pictures but {} labels in {}", images_path.string(), shape[0], labels.shape[0],
         labels_name(split));
  int last_class = 0;
  for (const IdxArray* array : {&std::as_const(labels), &others})
    for (const std::uint8_t label : array->values) last_class = std::max<int>(last_class, label);
  Checksum contents;
  contents.add(std::as_bytes(std::span(images.values)));
  contents.add(std::as_bytes(std::span(labels.values)));
  Dataset::Info info{.name = directory.string(),
                     .size = shape[0],
                     .image_shape = {shape[1], shape[2], shape.rank() == 4 ? shape[3] : 1},
                     .class_names = class_names(directory, last_class + 1),
                     .identity = std::move(identity),
                     .contents = contents.value()};
  return std::make_unique<IdxDataset>(std::move(info), std::move(images), std::move(labels));
}

}  // namespace gesso
