#include "train/idx_dataset.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "train/idx.h"

namespace gesso {
namespace {

std::string_view prefix_of(Split split) { return split == Split::train ? "train" : "t10k"; }
std::string images_name(Split split) { return fmt::format("{}-images-idx3-ubyte", prefix_of(split)); }
std::string labels_name(Split split) { return fmt::format("{}-labels-idx1-ubyte", prefix_of(split)); }

[[noreturn]] void fail_missing(const Path& directory, const std::string& what) {
  fail(ErrorKind::data,
       "data path '{}': {}; expected a directory with the files {}, {}, {} and {}, each plain or with .gz, as Debian's "
       "package "
       "dataset-fashion-mnist installs them in /usr/share/datasets/fashion-mnist",
       directory.string(), what, images_name(Split::train), labels_name(Split::train), images_name(Split::validation),
       labels_name(Split::validation));
}

void check_directory(const Path& directory) {
  std::error_code ignored;
  if (directory.empty()) fail_missing(directory, "is empty");
  if (!std::filesystem::exists(directory, ignored)) fail_missing(directory, "does not exist");
  if (!std::filesystem::is_directory(directory, ignored)) fail_missing(directory, "is no directory");
}

// The file, plain before packed.
Path find(const Path& directory, const std::string& name) {
  std::error_code ignored;
  for (const std::string& candidate : {name, name + ".gz"})
    if (std::filesystem::exists(directory / candidate, ignored)) return directory / candidate;
  fail_missing(directory, "has no " + name);
}

IdxArray read_labels(const Path& path) {
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

  IdxArray images_, labels_;  // [N,H,W], [N]
};

}  // namespace

std::unique_ptr<Dataset> open_idx_dataset(const Path& directory, Split split) {
  check_directory(directory);
  const Path images_path = find(directory, images_name(split));
  // Both splits' labels are read: they have the same classes even where one lacks the last.
  IdxArray labels = read_labels(find(directory, labels_name(split)));
  const IdxArray others =
      read_labels(find(directory, labels_name(split == Split::train ? Split::validation : Split::train)));
  IdxArray images = read_idx(images_path);
  if (images.shape.rank() != 3 || images.values.empty())
    fail(ErrorKind::data, "{}: {} holds no pictures (number, height, width)", images_path.string(),
         images.shape.text());
  if (images.shape[0] != labels.shape[0])
    fail(ErrorKind::data, "{}: {} pictures but {} labels in {}", images_path.string(), images.shape[0], labels.shape[0],
         labels_name(split));
  int last_class = 0;
  for (const IdxArray* array : {&std::as_const(labels), &others})
    for (const std::uint8_t label : array->values) last_class = std::max<int>(last_class, label);
  return std::make_unique<IdxDataset>(IdxDataset::Info{directory.string(),
                                                       images.shape[0],
                                                       {images.shape[1], images.shape[2], 1},
                                                       class_names(directory, last_class + 1)},
                                      std::move(images), std::move(labels));
}

}  // namespace gesso
