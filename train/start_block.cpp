#include "train/start_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "core/error.h"
#include "core/isa.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "train/append_file.h"
#include "train/bad_files.h"
#include "train/folder_listing.h"
#include "train/run_history.h"
#include "train/run_log.h"
#include "train/text.h"

namespace gesso {
namespace {

Path skipped_path(const Path& run) { return run / kSkippedFile; }

// Trained parameters by the first part of their names, in the order of declaration.
std::string parameters_by_module(const nn::ParamStore& store) {
  std::vector<std::pair<std::string, std::int64_t>> modules;
  for (const nn::Param& param : store.params()) {
    if (param.spec().kind != nn::ParamKind::trained) continue;
    const std::string module = param.name().substr(0, param.name().find('.'));
    if (modules.empty() || modules.back().first != module) modules.emplace_back(module, 0);
    modules.back().second += param.spec().shape.count();
  }
  std::string text;
  for (const auto& [module, count] : modules) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", module, count);
  return text;
}

std::string memory_plan(const nn::ParamStore& store, const nn::Optimizer& optimizer, std::size_t snapshot_bytes) {
  const std::size_t arena = store.weights().spec().bytes();
  const auto bytes = [&](const Tensor& t) { return t ? arena : std::size_t{0}; };
  return fmt::format(
      "weights {}, gradients {}, moments {}, average {}, state {}, copy to save {}", format_bytes(arena),
      format_bytes(arena), format_bytes(bytes(optimizer.first_moment()) + bytes(optimizer.second_moment())),
      format_bytes(bytes(optimizer.ema())), format_bytes(store.state().spec().bytes()), format_bytes(snapshot_bytes));
}

std::string peak_plan(const PredictedMemory& memory) {
  return fmt::format("{} of tensors, predicted; {} with what is kept for reuse, {} besides; {} are available",
                     format_bytes(memory.peak_bytes), format_bytes(memory.held_bytes), format_bytes(memory.host_bytes),
                     format_bytes(memory.available_bytes));
}

std::string checkpoint_plan(const StartFacts& facts) {
  const Recipe& recipe = facts.recipe;
  const std::int64_t left = recipe.train.steps - facts.start_step;
  const std::int64_t written = (left + recipe.checkpoint.every - 1) / recipe.checkpoint.every;
  const std::int64_t kept = recipe.checkpoint.keep == 0 ? written : std::min(written, recipe.checkpoint.keep);
  return fmt::format("every {} steps: {} to come, {} kept, {} on disk", recipe.checkpoint.every, written, kept,
                     format_bytes(facts.memory.snapshot_bytes * static_cast<std::size_t>(kept)));
}

std::vector<std::string> all_skipped(const StartFacts& facts) {
  return bad_files_of(facts.train_data, facts.test_data);
}

// The first few, and where the others stand.
void append_skipped(std::vector<std::string>& lines, const StartFacts& facts) {
  constexpr std::size_t kShown = 5;
  const std::vector<std::string> skipped = all_skipped(facts);
  if (skipped.empty()) return;
  lines.push_back(fmt::format("skipped      {} that cannot be used; the run lists them in {}",
                              counted(skipped.size(), "file"), skipped_path(facts.directory).string()));
  for (std::size_t i = 0; i < std::min(kShown, skipped.size()); ++i) lines.push_back("             " + skipped[i]);
}

std::string classes_text(std::int64_t classes) {
  return classes == 0 ? "" : fmt::format(", {} class{}", classes, classes == 1 ? "" : "es");
}

std::string micro_batches(const TrainOptions& train) {
  return train.accumulate == 1 ? "" : fmt::format(" in {} micro-batches of {}", train.accumulate, train.batch);
}

void append_chosen(std::vector<std::string>& lines, std::string_view chosen) {
  for (const char* before = "chosen       "; !chosen.empty(); before = "             ") {
    const std::size_t end = std::min(chosen.find('\n'), chosen.size());
    lines.push_back(before + escaped(chosen.substr(0, end)));
    chosen.remove_prefix(std::min(end + 1, chosen.size()));
  }
}

}  // namespace

void write_skipped(const StartFacts& facts) {
  const std::vector<std::string> skipped = all_skipped(facts);
  const Path path = skipped_path(facts.directory);
  if (!skipped.empty()) return write_file_atomically(path, fmt::format("{}\n", fmt::join(skipped, "\n")));
  std::error_code error;
  std::filesystem::remove(path, error);
  if (error) fail(ErrorKind::io, "cannot remove {}: {}", path.string(), error.message());
}

void add_skipped(const Path& run, std::span<const std::string> files) {
  AppendFile(skipped_path(run), AppendFile::Open::at_end).append(fmt::format("{}\n", fmt::join(files, "\n")));
}

std::vector<std::string> start_block(const StartFacts& facts) {
  const Recipe& recipe = facts.recipe;
  const std::int64_t images = recipe.train.images_a_step(), per_epoch = facts.train_data.places() / images;
  Recipe nameless = recipe;
  nameless.about = {};
  const std::uint64_t config_hash = random_key(0, Purpose::data, text_of(nameless));
  std::vector<std::string> lines = {
      fmt::format("run          {}", facts.directory.string()),
      fmt::format("gesso        {}, configuration {:016x}", recipe.about.version, config_hash),
      fmt::format("device       {}, {}, {} threads", facts.store.device().name(), name_of(isa()),
                  thread_pool().threads()),
      fmt::format("data         {}: {} images {}{}; {} to test with", facts.train_data.name(), facts.train_data.size(),
                  facts.train_data.image_shape().text(), classes_text(facts.train_data.classes()),
                  facts.test_data.size()),
      fmt::format("model        {}, {} parameters: {}", recipe.model, facts.store.count(nn::ParamKind::trained),
                  parameters_by_module(facts.store)),
      fmt::format("convolutions {}", name_of(recipe.conv.algorithm)),
      fmt::format("memory       {}", memory_plan(facts.store, facts.optimizer, facts.memory.snapshot_bytes)),
      fmt::format("peak memory  {}", peak_plan(facts.memory)),
      fmt::format("             {}", facts.memory.largest()),
      fmt::format("steps        {} to {} of {} images{}, {} an epoch", facts.start_step, recipe.train.steps, images,
                  micro_batches(recipe.train), per_epoch),
      fmt::format("checkpoints  {}", checkpoint_plan(facts)),
      fmt::format("determinism  same bits for any number of threads and loaders; seed {}", recipe.train.seed)};
  append_chosen(lines, recipe.about.chosen);
  append_skipped(lines, facts);
  if (const std::string runs = text_of_runs(facts.train_data.runs()); !runs.empty())
    lines.push_back("left out     " + runs);
  return lines;
}

}  // namespace gesso
