// What a run says before its first step: where, from what, on what, with how much memory and disk.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nn/optimizer.h"
#include "train/dataset.h"
#include "train/predicted_memory.h"
#include "train/recipe.h"

namespace gesso {

struct StartFacts {
  const Recipe& recipe;
  const Path& directory;
  const Dataset& train_data;
  const Dataset& test_data;
  const nn::ParamStore& store;
  const nn::Optimizer& optimizer;
  std::int64_t start_step;
  const PredictedMemory& memory;
};
// One text a line.
std::vector<std::string> start_block(const StartFacts& facts);

// Writes skipped.txt, a line a file that cannot be used, into the run directory; where all can there is none.
void write_skipped(const StartFacts& facts);
// Adds files that went bad later.
void add_skipped(const Path& run, std::span<const std::string> files);

}  // namespace gesso
