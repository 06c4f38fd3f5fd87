#include "train/chosen_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"
#include "train/folder_listing.h"
#include "train/open_dataset.h"
#include "train/picture.h"
#include "train/text.h"

namespace gesso {
namespace {

// Sets what is "auto" and nothing else.
class Chooser {
 public:
  explicit Chooser(RecipeFile& file) : config_(file.config()), chosen_(file.recipe().about.chosen) {}

  bool is_open(std::string_view key) const { return config_.is_auto(key); }
  // why: empty where there is nothing to tell.
  template <class T>
  void choose(std::string_view key, const T& value, std::string_view why) {
    if (!is_open(key)) return;
    const std::string assignment = fmt::format("{}={}", key, value);
    config_.assign(assignment);
    if (!why.empty()) chosen_ += fmt::format("{}{}: {}", chosen_.empty() ? "" : "\n", assignment, why);
  }

 private:
  JsonConfig& config_;
  std::string& chosen_;
};

struct LookedAt {
  std::vector<double> places{};               // of the files that may be pictures, but for those found unusable
  std::vector<std::int64_t> shorter_sides{};  // of the pictures whose headers were read
  std::int64_t grey = 0, files = 0;           // of these pictures; files of the folder, pictures or not
  std::int64_t others = 0;                    // files that are no PNG or JPEG by name or content
  std::string problem{};                      // of the first file that cannot be used
  std::string runs{};                         // text_of_runs() of those that were left out
};

// A file of the folder.
struct Header {
  std::string name;
  bool is_meant = false, is_read = false;
  ImageShape shape{};
  std::string problem{};
};

// look(header, i) of each; what it throws of a file is that file's problem alone.
template <class Look>
void look_at_each(std::vector<Header>& headers, Look&& look) {
  parallel_for(thread_pool(), std::ssize(headers), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      Header& header = headers[static_cast<std::size_t>(i)];
      try {
        look(header, i);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::data && error.kind() != ErrorKind::io) throw;
        header.problem = escaped(error.what());
      }
    }
  });
}

// Of many pictures, headers are read of a thousand, evenly spread over the names.
LookedAt look_at(const DataOptions& data) {
  constexpr std::int64_t kMostRead = 1000;
  const Path folder = data.path;
  const FolderListing listing = list_folder(folder, data.classes);
  std::vector<Header> headers;
  for (const ListedFile& file : listing.files)
    if (file.problem.empty()) headers.push_back({.name = file.name});
  look_at_each(headers,
               [&](Header& header, std::int64_t) { header.is_meant = is_meant_as_picture(folder / header.name); });
  const std::size_t others =
      std::erase_if(headers, [](const Header& header) { return !header.is_meant && header.problem.empty(); });
  const std::int64_t pictures = std::ssize(headers), read = std::min(kMostRead, pictures);
  look_at_each(headers, [&](Header& header, std::int64_t i) {
    if (!header.is_meant || i * read / pictures == (i + 1) * read / pictures) return;
    header.shape = picture_shape(read_file(folder / header.name, kMaxPictureBytes), in_quotes(header.name));
    header.is_read = true;
  });
  LookedAt found{.files = std::ssize(listing.files),
                 .others = static_cast<std::int64_t>(others),
                 .runs = text_of_runs(listing.runs)};
  for (const Header& header : headers) {
    if (found.problem.empty()) found.problem = header.problem;
    if (!header.problem.empty()) continue;
    found.places.push_back(place_of(header.name));
    if (!header.is_read) continue;
    found.shorter_sides.push_back(std::min(header.shape.height, header.shape.width));
    found.grey += header.shape.channels == 1 ? 1 : 0;
  }
  return found;
}

// Why training refuses these pictures; empty: it does not.
std::string refusal_of(const Chooser& chooser, const DataOptions& data, const LookedAt& found) {
  const std::string bad = found.problem.empty() ? "" : "; the first file that cannot be used: " + found.problem;
  if (found.shorter_sides.empty())
    return fmt::format(
        "{}: no PNG or JPEG that can be read among its {} files; name another folder with --data, or convert its "
        "pictures{}{}",
        data.path, found.files, bad, found.runs.empty() ? "" : "; left out: " + found.runs);
  if (found.places.size() < 2)
    return fmt::format("{}: a single picture; at least two are needed, one of them to test with{}", data.path, bad);
  if (chooser.is_open("data.size") && chosen_size(found.shorter_sides) == 0)
    return fmt::format(
        "{}: the shorter side of more than a quarter of the pictures is below 8 pixels; larger pictures are needed, or "
        "data.size=8, which enlarges these",
        data.path);
  return {};
}

// shorter_sides: at least one.
void choose_shape(Chooser& chooser, const LookedAt& found) {
  if (const std::int64_t size = chosen_size(found.shorter_sides); size > 0)
    chooser.choose("data.size", size,
                   fmt::format("of 8, 16, 32, 64 and 128 the largest that the shorter side of 3 in 4 pictures reaches; "
                               "{} were looked at",
                               found.shorter_sides.size()));
  const bool is_grey = found.grey == std::ssize(found.shorter_sides);
  chooser.choose("data.channels", is_grey ? 1 : 3, is_grey ? "all files hold grey" : "not all files hold grey");
}

// places: at least two.
void choose_validation(Chooser& chooser, const LookedAt& found) {
  if (!chooser.is_open("data.validation")) return;
  const double share = chosen_validation(found.places);
  const auto tested = std::ranges::count_if(found.places, [&](double place) { return place < share; });
  const std::string others = found.others == 0 ? "" : fmt::format("; left out as no PNG or JPEG: {}", found.others);
  chooser.choose("data.validation", share,
                 fmt::format("leaves {} of {} pictures to test with{}", tested, found.places.size(), others));
}

// As far as the pictures allow; returns as refusal_of() does.
std::string choose_folder(Chooser& chooser, const DataOptions& data) {
  std::string refusal;
  if (chooser.is_open("data.size") || chooser.is_open("data.channels") || chooser.is_open("data.validation")) {
    const LookedAt found = look_at(data);
    refusal = refusal_of(chooser, data, found);
    if (!found.shorter_sides.empty()) choose_shape(chooser, found);
    if (found.places.size() >= 2) choose_validation(chooser, found);
  }
  chooser.choose("data.crop", "random", "each step sees another part of the longer side");
  chooser.choose("data.flip", true, "most photographs may be mirrored; not so pictures of text");
  return refusal;
}

// As far as there are data of another kind, these keys say nothing.
void choose_others(Chooser& chooser, const DataOptions& data) {
  chooser.choose("data.size", data.size, data.kind == "shapes" ? "they are drawn in any size" : "");
  chooser.choose("data.channels", data.channels, "");
  chooser.choose("data.validation", data.validation, "");
  chooser.choose("data.crop", "center", "");
  chooser.choose("data.flip", false, "");
}

// Rounded down to so many digits that it still lies above `low`, and at `high` at the most.
double short_between(double low, double high) {
  const double middle = (low + high) / 2;
  for (double unit = 100; unit < 1e16; unit *= 10)
    if (const double rounded = std::round(middle * unit) / unit; rounded > low && rounded <= high) return rounded;
  return high;
}

std::int64_t clamped(std::int64_t value, std::int64_t least, std::int64_t most) {
  return std::max(least, std::min(value, most));
}

}  // namespace

std::int64_t chosen_size(std::span<const std::int64_t> shorter_sides) {
  std::vector<std::int64_t> sorted(shorter_sides.begin(), shorter_sides.end());
  std::ranges::sort(sorted);
  const std::int64_t reached = sorted.at(sorted.size() / 4);  // by all from there on
  std::int64_t size = 128;
  while (size > reached) size /= 2;
  return size < 8 ? 0 : size;
}

double chosen_validation(std::span<const double> places) {
  constexpr double kUsual = 0.1;
  std::vector<double> sorted(places.begin(), places.end());
  std::ranges::sort(sorted);
  const auto wanted = std::max<std::ptrdiff_t>(1, std::lround(kUsual * static_cast<double>(sorted.size())));
  const auto usual = std::ranges::lower_bound(sorted, kUsual) - sorted.begin();
  if (usual >= 1 && usual < std::ssize(sorted) && 2 * usual >= wanted && usual <= 2 * wanted) return kUsual;
  const auto first_of_training = static_cast<std::size_t>(wanted);
  return short_between(sorted[first_of_training - 1], sorted[first_of_training]);
}

std::string choose_possible_data_settings(RecipeFile& file) {
  Chooser chooser(file);
  const DataOptions& data = file.recipe().data;
  if (chooser.is_open("data.kind")) {
    if (data.path.empty()) fail("data.path is empty; give the folder of the pictures with --data FOLDER");
    const std::string kind = kind_of_data(data.path);
    chooser.choose("data.kind", kind,
                   kind == "folder" ? "no files of MNIST or CIFAR-10 lie in it" : "by its files' names");
  }
  if (data.kind == "folder") return choose_folder(chooser, data);
  choose_others(chooser, data);
  return {};
}

void choose_data_settings(RecipeFile& file) {
  if (const std::string refusal = choose_possible_data_settings(file); !refusal.empty())
    fail(ErrorKind::data, "{}", refusal);
}

void choose_training_settings(RecipeFile& file, const Dataset& train_data) {
  Chooser chooser(file);
  const Recipe& recipe = file.recipe();
  const models::VqvaeOptions& model = recipe.vqvae;
  const std::int64_t pictures = train_data.size(), codes = model.code_height() * model.code_width();
  const bool is_small = model.height * model.width <= 32 * 32;
  chooser.choose("model.hidden", is_small ? 128 : 64,
                 "128 for pictures of at most 32x32, else 64: time grows with pixels times its square");
  chooser.choose("model.code_width", std::max<std::int64_t>(1, model.hidden / 2), "half of model.hidden");
  constexpr std::int64_t kMostCodes = 16384;  // at once
  const std::int64_t quarter = pictures / (4 * recipe.train.accumulate);
  chooser.choose(
      "train.batch", clamped(std::min(kMostCodes / codes, quarter), 1, 32),
      fmt::format("the least of 32, {} ({} codes at once, {} a picture) and {} (a quarter of the {} pictures a step)",
                  kMostCodes / codes, kMostCodes, codes, quarter, pictures));
  const std::int64_t vectors = recipe.train.images_a_step() * codes;
  chooser.choose("model.codes",
                 clamped(static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(vectors / 4))), 8, 512),
                 fmt::format("a power of two, at most 512 and a quarter of the {} code vectors of a step", vectors));
  const std::int64_t epoch = std::max<std::int64_t>(1, pictures / recipe.train.images_a_step());
  chooser.choose("train.steps", clamped(200 * epoch, 1000, 5000),
                 fmt::format("200 times all pictures, which are {} steps; at least 1000, at most 5000", epoch));
  const std::int64_t steps = recipe.train.steps, tenth = std::max<std::int64_t>(1, steps / 10);
  chooser.choose("schedule.horizon", steps, "as train.steps");
  chooser.choose("schedule.warmup", std::min<std::int64_t>(50, recipe.schedule.horizon / 10), "at most a tenth of it");
  chooser.choose("log.every", std::max<std::int64_t>(1, steps / 100), "a hundredth of train.steps");
  chooser.choose("checkpoint.every", tenth, "a tenth of train.steps");
  chooser.choose("sample.every", tenth, "a tenth of train.steps");
}

}  // namespace gesso
