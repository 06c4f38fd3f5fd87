// Four small models on pictures of MNIST's size, each with what no other has, trained by the program itself; and what
// is known of them: tests/data/golden_curves.json.
#pragma once

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "core/isa.h"
#include "tests/program.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/checkpoint.h"
#include "train/manifest.h"
#include "train/run_history.h"

namespace gesso::golden {

inline constexpr std::int64_t kSteps = 300, kFewSteps = 30;
// Spreads are known from so many seeds: five would leave them uncertain by a factor of three.
inline constexpr std::int64_t kSeeds = 20;
// What a test looks at is the mean of so many others.
inline constexpr std::int64_t kFreshSeeds = 4;

struct Model {
  std::string name;
  std::vector<std::string> settings;
};

inline const std::vector<Model>& models() {
  static const std::vector<Model> all = {
      {"ema",
       {"model.codebook=ema", "model.revive_below=0.5", "optimizer.kind=adamw", "optimizer.weight_decay=0.01",
        "optimizer.ema_decay=0.98", "schedule.kind=cosine", "schedule.rate=2e-3", "schedule.warmup=20"}},
      {"gradient",
       {"model.codebook=gradient", "model.beta=2", "model.revive_below=0", "model.init=kaiming_uniform",
        "model.residual_bias=false", "optimizer.kind=adam", "schedule.kind=constant", "schedule.rate=2e-3",
        "schedule.warmup=20"}},
      {"augmented",
       {"data.flip=true", "model.dropout=0.3", "model.residual_blocks=2", "model.init=xavier_uniform",
        "model.revive_below=0.5", "train.recompute=stages", "optimizer.kind=adamw", "optimizer.clip_norm=1",
        "schedule.kind=linear", "schedule.rate=2e-3", "schedule.warmup=0"}},
      {"padded",
       {"model.downsamples=3", "model.padding=edge", "model.revive_below=0.5", "model.init=xavier_uniform",
        "conv.algorithm=winograd4", "optimizer.kind=adam", "schedule.kind=step", "schedule.rate=3e-3",
        "schedule.every=100", "schedule.factor=0.5", "schedule.warmup=0"}}};
  return all;
}
inline const Model& model(std::string_view name) { return *std::ranges::find(models(), name, &Model::name); }

struct Run {
  std::int64_t seed = 1, steps = kSteps;
  int threads = 1;
  Isa isa = supported_isas().back();
  std::vector<std::string> more = {};  // settings that have the last word
};

// Another instruction set for the programs that are started while it lives.
class IsaOfPrograms {
 public:
  explicit IsaOfPrograms(Isa chosen) {
    (void)isa();  // this process has read the variable by then
    if (const char* text = getenv(kVariable)) before_ = text;
    setenv(kVariable, std::string(name_of(chosen)).c_str(), 1);
  }
  ~IsaOfPrograms() { before_.empty() ? unsetenv(kVariable) : setenv(kVariable, before_.c_str(), 1); }
  IsaOfPrograms(const IsaOfPrograms&) = delete;
  IsaOfPrograms& operator=(const IsaOfPrograms&) = delete;

 private:
  static constexpr const char* kVariable = "GESSO_ISA";
  std::string before_;
};

// Trains into a fresh folder and returns it.
inline Path train(const TemporaryDirectory& folder, const Model& model, const Run& run) {
  static int count = 0;
  const Path directory = folder / fmt::format("run-{}", ++count);
  std::vector<std::string> words = {"train",
                                    "vqvae-shapes",
                                    "--out",
                                    directory,
                                    "--threads",
                                    std::to_string(run.threads),
                                    "data.size=28",
                                    "data.channels=1",
                                    "data.count=512",
                                    "data.test_count=64",
                                    "train.batch=16",
                                    "model.hidden=16",
                                    "model.residual_hidden=8",
                                    "model.residual_blocks=1",
                                    "model.codes=64",
                                    "model.code_width=8",
                                    "schedule.horizon=300",
                                    "schedule.final_rate=0",
                                    "spikes.policy=log",
                                    "log.every=1",
                                    "checkpoint.every=1000",
                                    "sample.every=1000",
                                    "sample.count=4"};
  words.insert(words.end(), model.settings.begin(), model.settings.end());
  words.push_back(fmt::format("train.steps={}", run.steps));
  words.push_back(fmt::format("train.seed={}", run.seed));
  words.insert(words.end(), run.more.begin(), run.more.end());
  const IsaOfPrograms isa(run.isa);
  const Program ended = run_program(folder.path(), words);
  if (ended.exit_code != 0) fail("{}: the training ended with {}: {}", model.name, ended.exit_code, ended.errors);
  return directory;
}

// Of all numbers that training goes on from.
inline std::string bits_of(const Path& run) {
  const Path checkpoint = list_checkpoints(run).back().directory;
  Checksum sum;
  for (const std::string& name : list_directory(checkpoint)) {
    if (!name.ends_with(".safetensors") || name == "recent_codes.safetensors") continue;  // those are for the log
    const SafetensorsFile file(checkpoint / name);
    for (const SafetensorsEntry& entry : file.entries()) sum.add(entry.data);
  }
  return fmt::format("{:016x}", sum.value());
}

// What is looked at of a run of kSteps: losses, gradient norms and perplexities, each as the mean over 50 steps, and
// the error of the test pictures, of the weights' moving average where there is one. Natural logarithms, in which
// seeds scatter evenly.
inline std::map<std::string, double> curve_of(const TemporaryDirectory& folder, const Path& run) {
  constexpr std::int64_t kWindow = 50;
  std::map<std::string, double> curve;
  const RunHistory history = read_history(run);
  for (const char* name : {"nmse", "vq", "grad_norm", "perplexity"})
    for (std::int64_t begin = 0; begin < kSteps; begin += kWindow) {
      const auto first = history.series(name)->values.begin() + begin;
      const double sum = std::accumulate(first, first + kWindow, 0.0);
      curve[fmt::format("{} {}-{}", name, begin + 1, begin + kWindow)] = std::log(sum / kWindow);
    }
  const Program evaluated = run_program(folder.path(), {"evaluate", run, "--json"});
  curve["nmse of test pictures"] = std::log(nlohmann::json::parse(evaluated.out).at("nmse").get<double>());
  return curve;
}

inline Path file_path() { return source_directory() / "tests/data/golden_curves.json"; }

// Mean and standard deviation over seeds.
struct Band {
  double mean = 0, spread = 0;
};

inline Band band_of(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  Band band;
  for (const double value : values) band.mean += value / count;
  for (const double value : values) band.spread += std::pow(value - band.mean, 2) / (count - 1);
  band.spread = std::sqrt(band.spread);
  return band;
}

}  // namespace gesso::golden
