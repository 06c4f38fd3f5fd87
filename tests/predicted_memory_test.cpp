// The memory of a run: predicted, refused, run out of, and traded for time.
#include "train/predicted_memory.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "ops/conv_algorithm.h"
#include "ops/op_watch.h"
#include "ops/unary.h"
#include "tests/address_limit.h"
#include "tests/expect_error.h"
#include "tests/measured_memory.h"
#include "tests/small_run.h"
#include "tests/temporary_directory.h"

namespace gesso {
namespace {

const std::vector<std::pair<std::string, std::vector<std::string>>>& recipes() {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> all = {
      {"vqvae-shapes", {"train.batch=16"}},
      {"vqvae-shapes", {"train.batch=5", "data.size=16", "model.dropout=0.2", "optimizer.ema_decay=0.9"}},
      {"vqvae-shapes", {"train.batch=8", "train.recompute=stages"}},
      {"vqvae-shapes", {"train.batch=4", "data.size=16", "train.accumulate=3"}},
      {"vqvae-shapes", {"train.batch=4", "train.recompute=stages", "train.accumulate=2"}},
      {"vqvae-fashion", {"train.batch=16", "data.size=28", "data.channels=1", "optimizer.kind=sgd"}},
      {"vqvae-cifar10", {"train.batch=4", "conv.algorithm=direct"}},
      {"bench-vqvae-28", {"train.batch=16"}},
      {"bench-vqvae-28", {"train.batch=3", "data.size=30", "model.padding=edge", "model.start_from_data=false"}}};
  return all;
}

// The CPU's where nothing tells what memory there is.
class BoundlessDevice final : public Device {
 public:
  BoundlessDevice() : Device(DeviceKind::cpu) {}
  ~BoundlessDevice() override { allocator().trim(); }
  std::unique_ptr<Device> dry() const override { return device(DeviceKind::cpu).dry(); }
  std::size_t available_bytes() const override { return std::numeric_limits<std::size_t>::max(); }
  void* allocate(std::size_t bytes) override { return std::aligned_alloc(64, bytes); }
  void release(void* memory, std::size_t) noexcept override { std::free(memory); }
  void copy_from_host(void*, const void*, std::size_t) override {}
  void copy_to_host(void*, const void*, std::size_t) override {}
  void copy(void*, const void*, std::size_t) override {}
  void fill_bytes(void*, std::byte, std::size_t) override {}
  void accumulate(DType, std::int64_t, const void*, void*) override {}
  void synchronize() override {}
  void fill(DType, std::int64_t, double, void*) override {}
};

TEST_SUITE("predicted memory") {
  TEST_CASE("where nothing tells what memory there is, any run fits") {
    PlannedRecipe planned("vqvae-shapes", {"train.batch=2"});
    BoundlessDevice boundless;
    boundless.allocator().release(boundless.allocator().allocate(1000));  // and some is kept
    const PredictedMemory guess = predict_memory_that_fits({.recipe = planned.recipe(), .device = boundless});
    CHECK(guess.available_bytes == std::numeric_limits<std::size_t>::max());
  }

  TEST_CASE("the prediction is what the allocator measures, to the byte") {
    for (const auto& [name, changes] : recipes()) {
      PlannedRecipe planned(name, changes);
      INFO(name, " ", changes.front(), " ", changes.back());
      const PredictedMemory guess = predicted(planned.recipe(), device(DeviceKind::cpu));
      const MemoryStatistics truth = measured(planned.recipe(), device(DeviceKind::cpu));
      CHECK(guess.peak_bytes == truth.peak_bytes);
      CHECK(guess.held_bytes == truth.peak_held_bytes);
      CHECK(!guess.holders.empty());
    }
  }

  TEST_CASE("a whole run, with its pictures and checkpoints, stays at the prediction") {
    const TemporaryDirectory folder;
    Allocator& allocator = device(DeviceKind::cpu).allocator();
    allocator.trim();
    allocator.reset_peak();
    const std::size_t before = allocator.statistics().live_bytes;
    (void)train_small({"train.steps=3"}, {.directory = folder.path() / "run"});
    RecipeFile file;
    load_run_config(folder.path() / "run", file.config());
    const PredictedMemory guess = predict_memory({.recipe = file.recipe(), .pictures = file.recipe().sample.count});
    CHECK(guess.peak_bytes == allocator.statistics().peak_bytes - before);
  }

  TEST_CASE("what does not fit is refused before the start, with who would hold it and what fits") {
    PlannedRecipe planned("vqvae-shapes", {"train.batch=4096"});
    const AddressLimit limit(std::size_t{400} << 20);
    const auto refused = [&] { (void)predict_memory_that_fits({.recipe = planned.recipe()}); };
    expect_error(ErrorKind::memory,
                 {"out of memory before the first step", "train.batch 4096 this run", "GiB", "coder.",
                  "the largest train.batch that fits is", "fits and makes steps of as many images"},
                 refused);
    PlannedRecipe monster("vqvae-shapes",
                          {"model.hidden=16384", "model.downsamples=6", "data.size=64", "model.residual_blocks=64"});
    expect_error(ErrorKind::memory, {"no train.batch fits"},
                 [&] { (void)predict_memory_that_fits({.recipe = monster.recipe()}); });
  }

  TEST_CASE("micro-batches take the memory of one, and those that are named to fit do") {
    Device& cpu = device(DeviceKind::cpu);
    PlannedRecipe whole("vqvae-shapes", {"train.batch=480"}),
        split("vqvae-shapes", {"train.batch=60", "train.accumulate=8"});
    CHECK(predicted(split.recipe(), cpu).peak_bytes < predicted(whole.recipe(), cpu).peak_bytes / 4);

    PlannedRecipe large("vqvae-shapes", {"train.batch=1500", "train.accumulate=2"});
    const AddressLimit limit(std::size_t{400} << 20);
    std::string said;
    try {
      (void)predict_memory_that_fits({.recipe = large.recipe()});
    } catch (const Error& error) {
      said = error.what();
    }
    REQUIRE_MESSAGE(said.find("train.batch 1500 and train.accumulate 2") != std::string::npos, said);
    TrainOptions& train = large.recipe().train;
    const std::size_t at = said.find("train.batch=");
    REQUIRE_MESSAGE(at != std::string::npos, said);
    long long batch = 0, accumulate = 0;
    REQUIRE(std::sscanf(said.c_str() + at, "train.batch=%lld train.accumulate=%lld", &batch, &accumulate) == 2);
    CHECK(batch * accumulate == 3000);
    train.batch = batch;
    train.accumulate = accumulate;
    (void)predict_memory_that_fits({.recipe = large.recipe()});
  }

  TEST_CASE("an allocation that fails on the way is told with what was predicted, and the checkpoint stays good") {
    const TemporaryDirectory folder;
    const Path run = folder.path() / "run";
    (void)train_small({"train.steps=2"}, {.directory = run});
    Allocator& allocator = device(DeviceKind::cpu).allocator();
    allocator.trim();
    for (const std::size_t kib : {1, 300, 340}) {
      allocator.set_limit(allocator.statistics().live_bytes + (kib << 10));
      expect_error(ErrorKind::memory, {"out of memory", "asked for by", "were predicted", "step-0", "--resume"},
                   [&] { (void)train_small({"train.steps=4"}, {.directory = run, .resume = true}); });
      allocator.set_limit(0);
    }
    CHECK(train_small({"train.steps=4"}, {.directory = run, .resume = true}).step == 4);
  }

  TEST_CASE("a want of memory anywhere in a run is the same error") {
    PlannedRecipe planned("vqvae-shapes", {});
    const PlannedRun run{.recipe = planned.recipe()};
    const TemporaryDirectory folder;
    expect_error(ErrorKind::memory,
                 {"out of memory on the host", "nothing is saved yet", "start with a train.batch below 64"},
                 [&] { tell_want_of_memory(run, {}, folder.path(), [] { throw std::bad_alloc(); }); });
    expect_error(ErrorKind::memory, {"a thread could not be started", "data.loaders is 1", "--threads"}, [&] {
      tell_want_of_memory(run, {}, folder.path(), [] {
        throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
      });
    });
    expect_error(ErrorKind::data, {"other"},
                 [&] { tell_want_of_memory(run, {}, folder.path(), [] { fail(ErrorKind::data, "other"); }); });
  }

  TEST_CASE("recomputed stages train to the same bits with less memory") {
    PlannedRecipe kept("vqvae-shapes", {"train.batch=48"}),
        recomputed("vqvae-shapes", {"train.batch=48", "train.recompute=stages"});
    Device& cpu = device(DeviceKind::cpu);
    const std::size_t with = measured(recomputed.recipe(), cpu).peak_bytes,
                      without = measured(kept.recipe(), cpu).peak_bytes;
    MESSAGE("peak ", without, " bytes, ", with, " with train.recompute=stages; predicted ",
            predicted(kept.recipe(), cpu).peak_bytes, " and ", predicted(recomputed.recipe(), cpu).peak_bytes);
    CHECK(with < without * 3 / 4);

    const TemporaryDirectory folder;
    for (const std::string accumulate : {"1", "3"}) {
      const auto states = [&](const std::string& recompute) {
        const Path run = folder.path() / (recompute + accumulate);
        (void)train_small({"train.steps=6", "train.recompute=" + recompute, "train.accumulate=" + accumulate},
                          {.directory = run});
        return state_files(run);
      };
      CHECK(states("off") == states("stages"));
    }
  }
}

// Notes what is live on a device when each op's backward has run.
class LiveBytes final : public OpWatch {
 public:
  explicit LiveBytes(Device& device) : allocator_(device.allocator()) {}
  void computed(const OpResults& results) override {
    if (results.pass == OpPass::backward) live.push_back(allocator_.statistics().live_bytes);
  }
  std::vector<std::size_t> live;

 private:
  Allocator& allocator_;
};

TEST_SUITE("predicted memory") {
  TEST_CASE("the backward pass frees what an op saved as soon as it has used it") {
    const auto dry = device(DeviceKind::cpu).dry();
    constexpr std::size_t kOps = 8, kBytes = 1 << 20;
    Tape tape;
    Tensor x({{static_cast<std::int64_t>(kBytes / sizeof(float))}, DType::f32}, *dry);
    tape.watch(x);
    const std::size_t block = dry->allocator().statistics().live_bytes;
    Tensor y = x;
    for (std::size_t i = 0; i < kOps; ++i) y = ops::relu(y);
    const Tensor dy(y.spec(), *dry), leaf = x, end = std::exchange(y, {});
    LiveBytes watch(*dry);
    (void)tape.backward(std::span(&end, 1), std::span(&dy, 1), std::span(&leaf, 1));
    REQUIRE(watch.live.size() == kOps);
    // Beside the leaf, the end and the seed: what this op and those before it have saved, dy and dx.
    for (std::size_t i = 0; i < kOps; ++i) {
      const std::size_t saved = kOps - i - (i == 0 ? 1 : 0), gradients = i == 0 ? 1 : 2;
      CHECK(watch.live[i] == (3 + saved + gradients) * block);
    }
  }
}

}  // namespace
}  // namespace gesso
