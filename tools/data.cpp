// gesso data: what a data set is, whether all of it can be used, and what its pictures look like.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "tools/verbs.h"
#include "train/augmentation.h"
#include "train/bad_files.h"
#include "train/chosen_settings.h"
#include "train/contact_sheet.h"
#include "train/data_loader.h"
#include "train/folder_listing.h"
#include "train/open_dataset.h"
#include "train/picture.h"
#include "train/png.h"
#include "train/standard_streams.h"
#include "train/statistics_cache.h"
#include "train/text.h"

namespace gesso {
namespace {

struct DataVerbOptions {
  std::string path, recipe, kind, out, split = "train";
  std::vector<std::string> assignments;
  std::int64_t count = 32;
  bool augmented = false, json = false;
};

// As training would choose. A folder that training would refuse, for too few pictures or too small ones, is looked at
// all the same, and that is told.
void choose_settings_to_look(RecipeFile& file) {
  const std::string refusal = choose_possible_data_settings(file);
  if (refusal.empty()) return;
  std::string defaults;
  for (const JsonConfig::Description& field : file.config().describe())
    if (field.key.starts_with("data.") && file.config().is_auto(field.key))
      defaults += (defaults.empty() ? "; shown with the default of " : ", ") + field.key;
  tell(fmt::format("gesso data: train would refuse this folder: {}{}\n", escaped(refusal), defaults));
}

// A look at a set refuses none for its broken files; it tells them.
Recipe recipe_of(DataVerbOptions options) {
  const bool needs_path = options.recipe.empty() && options.kind != "shapes";
  const bool path_is_assignment = !needs_path && options.path.find('=') != std::string::npos;
  if (path_is_assignment) options.assignments.insert(options.assignments.begin(), std::exchange(options.path, ""));
  RecipeFile file;
  if (needs_path && options.path.empty())
    fail(
        "data: nothing to look at; give the folder of a data set, --recipe with the name of a recipe, or --kind "
        "shapes");
  file.config().load_file(recipe_path(options.recipe.empty() ? "vqvae" : options.recipe));
  DataOptions& data = file.recipe().data;
  data.max_bad = 1;
  if (!options.path.empty()) data.path = options.path;
  if (!options.kind.empty()) file.config().assign("data.kind=" + options.kind);
  for (const std::string& assignment : options.assignments) file.config().assign(assignment);
  choose_settings_to_look(file);
  file.recipe().validate();
  return file.recipe();
}

std::unique_ptr<Dataset> open(const Recipe& recipe, Split split, bool may_be_empty = false) {
  return open_dataset(recipe.data, split, static_cast<std::uint64_t>(recipe.train.seed), may_be_empty);
}

std::vector<std::int64_t> count_classes(const Dataset& data) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(data.classes()));
  std::vector<std::uint8_t> image(data.image_bytes());
  for (std::int64_t i = 0; i < data.size() && !counts.empty(); ++i) {
    std::int32_t label = 0;
    data.read(i, image, label);
    ++counts[static_cast<std::size_t>(label)];
  }
  return counts;
}

nlohmann::ordered_json json_of(const SizeRange& sizes) {
  return {{"height", {sizes.least.height, sizes.most.height}}, {"width", {sizes.least.width, sizes.most.width}}};
}

nlohmann::ordered_json facts_of(const Recipe& recipe) {
  const std::unique_ptr<Dataset> train = open(recipe, Split::train), validation = open(recipe, Split::validation, true);
  const PixelStatistics pixels = cached_pixel_statistics(*train);
  const ImageShape& shape = train->image_shape();
  nlohmann::ordered_json facts = {{"name", train->name()},      {"kind", recipe.data.kind},
                                  {"train", train->size()},     {"validation", validation->size()},
                                  {"height", shape.height},     {"width", shape.width},
                                  {"channels", shape.channels}, {"bits", 8 * size_of(train->dtype())},
                                  {"mean", pixels.mean},        {"std", std::sqrt(std::max(0.0, pixels.variance))}};
  facts["classes"] = nlohmann::ordered_json::array();
  const std::vector<std::int64_t> in_train = count_classes(*train), in_validation = count_classes(*validation);
  for (std::size_t i = 0; i < in_train.size(); ++i)
    facts["classes"].push_back({{"name", train->class_name(static_cast<std::int64_t>(i))},
                                {"train", in_train[i]},
                                {"validation", in_validation[i]}});
  facts["skipped"] = bad_files_of(*train, *validation);
  facts["left_out"] = train->left_out() + validation->left_out();
  facts["runs"] = train->runs();
  facts["prepared"] = preparation_of(recipe.data);
  if (const auto stored = united(train->stored(), validation->stored())) facts["stored"] = json_of(*stored);
  return facts;
}

// Nothing where nothing was.
void print_left_out(std::int64_t files, const std::vector<std::string>& runs) {
  if (files > 0)
    fmt::print("left out    {}, no PNG or JPEG by name or content\n", counted(static_cast<std::size_t>(files), "file"));
  if (!runs.empty()) fmt::print("left out    {}\n", text_of_runs(runs));
}

// What a folder of files of any size adds to the shape.
void print_preparation(const nlohmann::ordered_json& facts) {
  fmt::print("prepared    {}\n", facts["prepared"].get<std::string>());
  const auto range = [&](const char* side) {
    const auto [least, most] = facts["stored"][side].get<std::pair<std::int64_t, std::int64_t>>();
    return least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most);
  };
  fmt::print("stored      heights {}, widths {}\n", range("height"), range("width"));
}

void run_info(const DataVerbOptions& options) {
  const Recipe recipe = recipe_of(options);
  const nlohmann::ordered_json facts = facts_of(recipe);
  if (options.json) return print_json(facts);
  fmt::print("name        {}\nkind        {}\n", facts["name"].get<std::string>(), facts["kind"].get<std::string>());
  fmt::print("train       {}\nvalidation  {}\n", counted(facts["train"].get<std::size_t>(), "image"),
             counted(facts["validation"].get<std::size_t>(), "image"));
  fmt::print("shape       {}x{}x{}, {} bits\n", facts["height"].get<std::int64_t>(), facts["width"].get<std::int64_t>(),
             facts["channels"].get<std::int64_t>(), facts["bits"].get<int>());
  if (facts.contains("stored")) print_preparation(facts);
  fmt::print("pixels      mean {:.6g}, standard deviation {:.6g} of the full range\n", facts["mean"].get<double>(),
             facts["std"].get<double>());
  const bool may_have_classes = recipe.data.kind == "folder" && !recipe.data.classes;
  fmt::print("classes     {}{}\n", facts["classes"].size(),
             may_have_classes ? "; data.classes=true takes the folders in it as classes" : "");
  for (const auto& row : facts["classes"])
    fmt::print("  {:<20} {:>8} train {:>8} validation\n", escaped(row["name"].get<std::string>()),
               row["train"].get<std::int64_t>(), row["validation"].get<std::int64_t>());
  fmt::print("skipped     {}\n", counted(facts["skipped"].size(), "file"));
  for (const auto& file : facts["skipped"]) fmt::print("  {}\n", file.get<std::string>());
  print_left_out(facts["left_out"].get<std::int64_t>(), facts["runs"].get<std::vector<std::string>>());
}

// Every file of both splits that cannot be used. Of a set that is no folder of pictures the first fault is told.
struct Scan {
  std::size_t usable = 0;
  std::vector<std::string> bad;   // each with the reason
  std::int64_t left_out = 0;      // files that are no pictures, and not meant as such
  std::vector<std::string> runs;  // Dataset::runs()
};
Scan scan_of(Recipe recipe) {
  recipe.data.max_bad = 1;
  recipe.data.cache_mib = 0;
  Scan scan;
  for (const Split split : {Split::train, Split::validation}) {
    try {
      const std::unique_ptr<Dataset> data = open(recipe, split, true);
      scan.usable += static_cast<std::size_t>(data->size());
      scan.bad.insert(scan.bad.end(), data->skipped().begin(), data->skipped().end());
      scan.left_out += data->left_out();
      scan.runs = data->runs();
    } catch (const Error& error) {
      if (recipe.data.kind == "folder" || error.kind() != ErrorKind::data) throw;
      scan.bad.push_back(escaped(error.what()));
    }
  }
  if (scan.usable == 0 && scan.bad.empty())
    fail(ErrorKind::data, "{}: no PNG or JPEG among its {} files", recipe.data.path, scan.left_out);
  return scan;
}

void run_scan(const DataVerbOptions& options, Outcome& outcome) {
  const Scan scan = scan_of(recipe_of(options));
  if (!scan.bad.empty()) outcome.exit_code = static_cast<int>(ErrorKind::data);
  if (options.json)
    return print_json({{"usable", scan.usable}, {"bad", scan.bad}, {"left_out", scan.left_out}, {"runs", scan.runs}});
  fmt::print("usable      {}\nbad         {}\n", counted(scan.usable, "image"), counted(scan.bad.size(), "file"));
  for (const std::string& file : scan.bad) fmt::print("  {}\n", file);
  print_left_out(scan.left_out, scan.runs);
}

void run_preview(const DataVerbOptions& options, const std::string& command_line) {
  check_named_for_png(options.out);
  const Recipe recipe = recipe_of(options);
  const std::unique_ptr<Dataset> data = open(recipe, options.split == "train" ? Split::train : Split::validation);
  const auto seed = static_cast<std::uint64_t>(recipe.train.seed);
  const Augmentation augmentation{.flip = options.augmented && recipe.data.flip,
                                  .crop = options.augmented && recipe.data.crop == Crop::random,
                                  .seed = seed};
  const std::int64_t count = std::min(options.count, data->size());
  (void)contact_sheet_shape(count, data->image_shape());  // refused before the pictures take time and memory
  std::vector<Image> pictures;
  std::vector<std::string> labels;
  for (const std::int64_t index : SampleOrder(data->size(), count, seed)(0)) {
    std::int32_t label = 0;
    pictures.push_back(data->image(index, augmentation.view(0, index), label));
    labels.push_back(data->classes() > 0 ? data->class_name(label) : std::to_string(index));
  }
  write_png(options.out, contact_sheet(pictures, labels),
            {{"Comment", command_line}, {"Description", fmt::format("seed {}", seed)}});
  if (options.json) return print_json({{"out", options.out}, {"images", count}});
  fmt::print("{}: {} of {}\n", options.out, count, counted(static_cast<std::size_t>(data->size()), "picture"));
}

Verb add_look(Verb data, const char* name, const char* what, DataVerbOptions& options) {
  Verb verb = data.add_verb(name, what);
  verb.add("path", options.path, "The folder of the data set");
  verb.add("assignments", options.assignments, "data.key=value: as in a recipe");
  verb.add("--recipe", options.recipe, "Take the data keys from a recipe, by name or file; default: vqvae");
  verb.add("--kind", options.kind, "idx, cifar10, folder or shapes; default: what the path holds");
  add_json_option(verb, options.json);
  return verb;
}

}  // namespace

void add_data(Verb program, Outcome& outcome) {
  Verb data = program.add_verb("data", "Looks at a data set");
  data.require_verb();
  data.footer("Example: gesso data info /usr/share/datasets/fashion-mnist");
  auto options = std::make_shared<DataVerbOptions>();
  Verb info = add_look(data, "info", "Prints sizes, classes, pixel statistics and files that are not used", *options);
  info.footer("Example: gesso data info pictures data.size=128 --json");
  info.runs([options] { run_info(*options); });
  Verb scan =
      add_look(data, "scan", "Reads every file and lists those that cannot be used; exit code 3 if any", *options);
  scan.footer("Example: gesso data scan pictures --json");
  scan.runs([options, &outcome] { run_scan(*options, outcome); });
  Verb preview =
      add_look(data, "preview", "Draws a sheet of pictures with their classes, or else their numbers", *options);
  preview.add("--out", options->out, "The picture to write (PNG)").required();
  preview.add("--count", options->count, "How many pictures, chosen by train.seed").between(1, 4096);
  preview.add("--split", options->split, "train or validation").one_of({"train", "validation"});
  preview.add("--augmented", options->augmented, "Flipped and cropped as data.flip and data.crop say");
  preview.footer("Example: gesso data preview --recipe vqvae-shapes --out sheet.png");
  preview.runs([options, &outcome] { run_preview(*options, outcome.command_line); });
}

}  // namespace gesso
