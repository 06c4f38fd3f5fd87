#include "train/start_block.h"

#include <algorithm>

#include "core/isa.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "train/run_log.h"

namespace gesso {
namespace {

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

std::string memory_plan(const nn::ParamStore& store, const nn::Optimizer& optimizer) {
  const std::size_t arena = store.weights().spec().bytes();
  const auto bytes = [&](const Tensor& t) { return t ? arena : std::size_t{0}; };
  return fmt::format("weights {}, gradients {}, moments {}, average {}, state {}; activations are allocated as needed",
                     format_bytes(arena), format_bytes(arena),
                     format_bytes(bytes(optimizer.first_moment()) + bytes(optimizer.second_moment())),
                     format_bytes(bytes(optimizer.ema())), format_bytes(store.state().spec().bytes()));
}

std::string checkpoint_plan(const StartFacts& facts) {
  const std::size_t arena = facts.store.weights().spec().bytes();
  std::size_t each = arena + facts.store.state().spec().bytes();
  for (const Tensor& kept : {facts.optimizer.first_moment(), facts.optimizer.second_moment(), facts.optimizer.ema()})
    if (kept) each += arena;
  const Recipe& recipe = facts.recipe;
  const std::int64_t left = recipe.train.steps - facts.start_step;
  const std::int64_t written = (left + recipe.checkpoint.every - 1) / recipe.checkpoint.every;
  const std::int64_t kept = recipe.checkpoint.keep == 0 ? written : std::min(written, recipe.checkpoint.keep);
  return fmt::format("every {} steps: {} to come, {} kept, {} on disk", recipe.checkpoint.every, written, kept,
                     format_bytes(each * static_cast<std::size_t>(kept)));
}

}  // namespace

std::vector<std::string> start_block(const StartFacts& facts) {
  const Recipe& recipe = facts.recipe;
  const std::int64_t batch = recipe.train.batch, per_epoch = facts.train_data.size() / batch;
  RecipeFile resolved;
  resolved.recipe() = recipe;
  resolved.recipe().about = {};
  const std::uint64_t config_hash = random_key(0, Purpose::data, resolved.config().text());
  return {fmt::format("run          {}", facts.directory.string()),
          fmt::format("gesso        {}, configuration {:016x}", recipe.about.version, config_hash),
          fmt::format("device       {}, {}, {} threads", facts.store.device().name(), name_of(isa()),
                      thread_pool().threads()),
          fmt::format("data         {}: {} images {}, {} classes; {} to test with", facts.train_data.name(),
                      facts.train_data.size(), facts.train_data.image_shape().text(), facts.train_data.classes(),
                      facts.test_data.size()),
          fmt::format("model        {}, {} parameters: {}", recipe.model, facts.store.count(nn::ParamKind::trained),
                      parameters_by_module(facts.store)),
          fmt::format("memory       {}", memory_plan(facts.store, facts.optimizer)),
          fmt::format("steps        {} to {} of {} images, {} an epoch", facts.start_step, recipe.train.steps, batch,
                      per_epoch),
          fmt::format("checkpoints  {}", checkpoint_plan(facts)),
          fmt::format("determinism  same bits for any number of threads and loaders; seed {}", recipe.train.seed)};
}

}  // namespace gesso
