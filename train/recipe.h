// A recipe: all that a training run is told, with defaults. Read from JSON; every key can be overridden on the command
// line.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/vqvae.h"
#include "nn/optimizer.h"
#include "nn/schedule.h"
#include "ops/conv_algorithm.h"
#include "train/files.h"
#include "train/json_config.h"

namespace gesso {

enum class Crop : std::uint8_t { center, random };

struct DataOptions {
  std::string kind = "idx";    // idx: MNIST's files; cifar10: its binary version; folder: PNG and JPEG; shapes: drawn
  std::string path;            // the folder; shapes: none
  std::int64_t size = 32;      // folder, shapes: height and width
  std::int64_t channels = 3;   // folder, shapes: 1 or 3
  std::int64_t count = 60000;  // shapes: training images
  std::int64_t test_count = 10000;
  std::int64_t bits = 8;     // folder: 8 or 16
  Crop crop = Crop::center;  // folder
  bool classes = true;       // folder: whether the folders in it are classes
  bool flip = false;
  double validation = 0.1;        // folder: share of the files to test with
  double max_bad = 0.001;         // folder: share of the files that may be skipped
  std::int64_t cache_mib = 1024;  // folder: decoded pictures that stay in memory
  std::int64_t loaders = 1;       // threads that prepare batches
};

// off: what the backward pass reads is kept. stages: of each stage of the model only what enters it; the rest is
// computed again, to the same bits.
enum class Recompute : std::uint8_t { off, stages };

constexpr std::int64_t kMostMicroBatches = 1024;  // a step

struct TrainOptions {
  std::int64_t steps = 10000;
  std::int64_t batch = 32;      // images that go through the model at once
  std::int64_t accumulate = 1;  // such micro-batches a step
  std::int64_t seed = 1;
  Recompute recompute = Recompute::off;

  std::int64_t images_a_step() const { return batch * accumulate; }
};

struct ConvOptions {
  ConvAlgorithm algorithm = ConvAlgorithm::automatic;  // on the CPU
};

struct LogOptions {
  std::int64_t every = 50;  // steps
};
struct CheckpointOptions {
  std::int64_t every = 1000;  // steps; the last step is always saved
  std::int64_t keep = 3;      // newest ones; 0: all
};
struct SampleOptions {
  std::int64_t every = 1000;  // steps; besides steps 1, 2, 4, ... up to that
  std::int64_t count = 16;    // pictures a grid
};

// For the record, in a run's config.json.
struct AboutOptions {
  std::string recipe, version, command, data;
  std::string chosen;  // by gesso where the recipe says "auto": lines "key=value: why"
};

struct Recipe {
  AboutOptions about;
  std::string model = "vqvae";
  DataOptions data;
  TrainOptions train;
  nn::OptimizerOptions optimizer;
  nn::SpikeOptions spikes;
  nn::Schedule schedule;
  models::VqvaeOptions vqvae;
  ConvOptions conv;
  bool start_from_data = true;  // the codebook's vectors are encoded images at step 0
  LogOptions log;
  CheckpointOptions checkpoint;
  SampleOptions sample;

  // Throws where values contradict each other.
  void validate() const;
};

// A recipe bound to its keys.
class RecipeFile {
 public:
  RecipeFile();
  RecipeFile(const RecipeFile&) = delete;
  RecipeFile& operator=(const RecipeFile&) = delete;

  Recipe& recipe() { return recipe_; }
  JsonConfig& config() { return config_; }

 private:
  Recipe recipe_;
  JsonConfig config_;
};

// The recipe as the file of this name in a run directory holds it.
inline constexpr const char* kConfigFile = "config.json";
std::string text_of(const Recipe& recipe);

// The file of a recipe that is given as a path or as the name of one of those that come with gesso: in
// share/gesso/recipes/ of the installation that this program runs from, else in train/recipes/ of the tree that it was
// built from. Throws, listing the names and the nearest, where there is none.
Path recipe_path(const std::string& name_or_path);

}  // namespace gesso
