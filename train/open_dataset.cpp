#include "train/open_dataset.h"

#include <fmt/format.h>

#include "core/error.h"
#include "train/cifar_dataset.h"
#include "train/folder_dataset.h"
#include "train/idx_dataset.h"
#include "train/shapes_dataset.h"
#include "train/text.h"

namespace gesso {

std::unique_ptr<Dataset> open_dataset(const DataOptions& options, Split split, std::uint64_t seed, bool may_be_empty) {
  if (options.kind == "idx") return open_idx_dataset(options.path, split);
  if (options.kind == "cifar10") return open_cifar_dataset(options.path, split);
  if (options.kind == "folder")
    return open_folder_dataset({.path = options.path,
                                .size = options.size,
                                .channels = options.channels,
                                .bits = static_cast<int>(options.bits),
                                .classes = options.classes,
                                .crop_anywhere = options.crop == Crop::random,
                                .validation = options.validation,
                                .max_bad = options.max_bad,
                                .cache_bytes = options.cache_mib << 20,
                                .may_be_empty = may_be_empty},
                               split);
  if (!options.path.empty())
    fail(
        "data.path (--data) is {}, but data.kind is shapes, which gesso draws itself and reads from nowhere; leave "
        "--data out, give data.path= where a recipe names one, or take another recipe or run, such as recipe vqvae for "
        "a folder of pictures",
        in_quotes(options.path));
  const std::int64_t count = split == Split::train ? options.count : options.test_count;
  return make_shapes_dataset({.count = count, .image_size = options.size, .channels = options.channels, .seed = seed},
                             split);
}

std::string preparation_of(const DataOptions& options) {
  if (options.kind != "folder") return {};
  return fmt::format("shorter side brought to {}, {} of the longer one; {}, {} bits{}", options.size,
                     options.crop == Crop::random ? "any part" : "the middle",
                     options.channels == 1 ? "grey" : "colour", options.bits,
                     options.flip ? "; mirrored half of the time" : "");
}

std::string kind_of_data(const Path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored))
    fail(ErrorKind::data, "data path {}: {}; expected a folder with pictures, or with the files of a data set",
         in_quotes(path.string()),
         std::filesystem::exists(path, ignored) ? "is no directory" : "there is no such folder");
  for (const std::string& name : list_directory(path)) {
    if (name.starts_with("train-images-idx")) return "idx";
    if (name.starts_with("data_batch_")) return "cifar10";
  }
  return "folder";
}

}  // namespace gesso
