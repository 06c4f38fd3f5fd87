// gesso encode, gesso decode, gesso reconstruct: pictures through the codes of a trained model.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/error.h"
#include "tools/verbs.h"
#include "tools/version.h"
#include "train/open_dataset.h"
#include "train/run.h"
#include "train/text.h"
#include "train/tokenizer.h"
#include "train/transcode.h"

namespace gesso {
namespace {

struct CodesOptions {
  std::string run, out, data, split = "validation", codes, device = "cpu";
  std::vector<std::string> pictures;
  std::int64_t count = 0, tile = Tokenizer::kTile;
  bool json = false;
};

// Throws where what is to be written would take the place of what is read.
void check_out(const CodesOptions& options) {
  const Path given(options.out), out = given.has_filename() ? given : given.parent_path();
  std::error_code missing;  // what is not there is not replaced
  const auto is_same = [&](const Path& a, const Path& b) { return std::filesystem::equivalent(a, b, missing); };
  const Path folder = out.parent_path().empty() ? Path(".") : out.parent_path();
  if (is_same(folder, options.run))
    fail("--out {} lies among the files of run {}; name a place outside of it, or a folder in it",
         in_quotes(options.out), in_quotes(options.run));
  std::vector<std::string> inputs = options.pictures;
  inputs.push_back(options.codes);
  for (const std::string& input : inputs)
    if (is_same(out, input))
      fail("--out {} is the input {} itself; name another file", in_quotes(options.out), in_quotes(input));
}

// A run opened for use, with the pictures that a verb was asked for.
struct Work {
  explicit Work(const CodesOptions& options) {
    check_out(options);
    Device& where = device(device_kind(options.device));
    std::vector<std::string> assignments;
    if (!options.data.empty()) assignments.push_back("data.path=" + options.data);
    run = open_run(options.run, assignments, where);
    tokenizer.emplace(run->task->vqvae(), run->task->store(), options.tile);
  }
  void open_pictures(const CodesOptions& options) {
    const Recipe& recipe = run->file.recipe();
    source = {
        .files = options.pictures, .count = options.count, .dtype = recipe.data.bits == 16 ? DType::u16 : DType::u8};
    if (!source.files.empty()) return;
    const Split split = options.split == "train" ? Split::train : Split::validation;
    data = open_dataset(recipe.data, split, static_cast<std::uint64_t>(recipe.train.seed));
    source.data = data.get();
  }

  std::unique_ptr<TrainedRun> run;
  std::optional<Tokenizer> tokenizer;
  std::unique_ptr<Dataset> data;
  PictureSource source;
};

void run_encode(const CodesOptions& options) {
  Work work(options);
  work.open_pictures(options);
  const CodesInfo info = encode_pictures(*work.tokenizer, work.source, options.out, version());
  if (options.json)
    return print_json({{"out", options.out},
                       {"images", info.images},
                       {"codes", {info.images, info.height, info.width}},
                       {"codebook", info.codebook},
                       {"tokenizer", info.tokenizer},
                       {"step", work.run->step}});
  fmt::print("{}: {} as {}x{} codes of tokenizer {}\n", options.out,
             counted(static_cast<std::size_t>(info.images), "image"), info.height, info.width, info.tokenizer);
}

void print_written(const CodesOptions& options, const PicturesWritten& written, std::int64_t step,
                   std::string_view what) {
  if (options.json) return print_json({{"out", options.out}, {"images", written.images}, {"step", step}});
  fmt::print("{}: {}{}\n", options.out, counted(static_cast<std::size_t>(written.images), "picture"),
             written.as_grid ? what : "");
}

void run_decode(const CodesOptions& options, const std::string& command_line) {
  const Work work(options);
  const PicturesWritten written =
      decode_pictures(*work.tokenizer, options.codes, options.out, {{"Comment", command_line}});
  print_written(options, written, work.run->step, " in a grid");
}

void run_reconstruct(const CodesOptions& options, const std::string& command_line) {
  Work work(options);
  work.open_pictures(options);
  const PicturesWritten written =
      reconstruct_pictures(*work.tokenizer, work.source, options.out, {{"Comment", command_line}});
  print_written(options, written, work.run->step,
                written.images == 1 ? " above its reconstruction" : ", each above its reconstruction");
}

constexpr const char* kOutPictures =
    "What to write: NAME.png, one grid to look at, of pictures of one size; or a folder, not there yet, of one PNG "
    "each";

// Options that the three share, in the order of their help.
void add_run(Verb verb, CodesOptions& options) { verb.add("run", options.run, "Run directory").required(); }
// The pictures that are named, or else those of the data.
void add_pictures(Verb verb, CodesOptions& options, const std::string& otherwise, VerbOption count) {
  const VerbOption pictures = verb.add(
      "pictures", options.pictures,
      "PNG or JPEG files of any size; sides that do not divide are padded, and cut back; default: " + otherwise);
  verb.add("--data", options.data, "Where the data are; default: where the run found them").excludes(pictures);
  verb.add("--split", options.split, "Of the data: train or validation")
      .one_of({"train", "validation"})
      .shows_default()
      .excludes(pictures);
  count.excludes(pictures);
}
void add_common(Verb verb, CodesOptions& options) {
  verb.add("--tile", options.tile,
           "Pixels a side that are computed at once: bounds memory; results do not depend on it")
      .between(1, 16384)
      .shows_default();
  add_json_option(verb, options.json);
  add_device_option(verb, options.device);
}

}  // namespace

void add_encode(Verb program, Outcome&) {
  Verb verb = program.add_verb("encode", "Turns pictures into the codes of a trained model");
  auto options = std::make_shared<CodesOptions>();
  add_run(verb, *options);
  const VerbOption count = verb.add("--count", options->count, "How many images of the data; default: all")
                               .between(1, std::int64_t{1} << 32);
  add_pictures(verb, *options, "all images of the run's data", count);
  verb.add("--out", options->out, "The codes file to write (safetensors)").required();
  add_common(verb, *options);
  verb.footer(
      "Example: gesso encode runs/first --split train --out codes.safetensors\n"
      "         gesso encode runs/first photo.jpg --out photo.safetensors");
  verb.runs([options] { run_encode(*options); });
}

void add_decode(Verb program, Outcome& outcome) {
  Verb verb = program.add_verb("decode", "Turns codes back into pictures, by the model that made them");
  auto options = std::make_shared<CodesOptions>();
  add_run(verb, *options);
  verb.add("codes", options->codes, "Codes file, as gesso encode writes it").required();
  verb.add("--out", options->out, kOutPictures).required();
  add_common(verb, *options);
  verb.footer("Example: gesso decode runs/first codes.safetensors --out pictures");
  verb.runs([options, &outcome] { run_decode(*options, outcome.command_line); });
}

void add_reconstruct(Verb program, Outcome& outcome) {
  Verb verb = program.add_verb("reconstruct", "Shows what a trained model makes of pictures");
  auto options = std::make_shared<CodesOptions>();
  options->count = 16;
  add_run(verb, *options);
  const VerbOption count = verb.add("--count", options->count, "How many images, where no files are named")
                               .between(1, std::int64_t{1} << 32)
                               .shows_default();
  add_pictures(verb, *options, "the first test images of the run's data", count);
  verb.add("--out", options->out, kOutPictures).required();
  add_common(verb, *options);
  verb.footer(
      "Example: gesso reconstruct runs/first --out reconstruction.png\n"
      "         gesso reconstruct runs/first photo.jpg drawing.png --out pictures");
  verb.runs([options, &outcome] { run_reconstruct(*options, outcome.command_line); });
}

}  // namespace gesso
