#include "train/checkpoint_writer.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>

#include "tests/checkpoint_samples.h"
#include "tests/faulty_file_system.h"
#include "tests/memory_file_system.h"

namespace gesso {
namespace {

// A disk that takes nothing until it is told to.
class SlowDisk final : public MemoryFileSystem {
 public:
  IoResult sync(int handle) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_open_; });
    return MemoryFileSystem::sync(handle);
  }
  void set_open(bool is_open) {
    {
      const std::lock_guard lock(mutex_);
      is_open_ = is_open;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_open_ = true;
};

struct Model {
  nn::ParamStore params;
  nn::Optimizer optimizer = made();

  nn::Optimizer made() {
    params.declare("conv.weight", {.shape = {3, 2, 2, 5}, .disk_order = nn::DiskOrder::channels_second});
    params.declare("bias", {.shape = {3}});
    params.declare("codes", {.shape = {4, 2}, .kind = nn::ParamKind::state});
    params.materialize(device(DeviceKind::cpu), 1);
    return {params, {.ema_decay = 0.9}};
  }
  std::vector<StoredFile> files() const { return training_files(params, optimizer, {}); }
  // Other numbers everywhere.
  void fill(float first) const {
    for (const StoredFile& file : files())
      for (const StoredTensor& stored : file.tensors) {
        std::vector<float> values(static_cast<std::size_t>(stored.value.count()));
        for (float& value : values) value = first += 0.5F;
        stored.value.copy_from_host(std::as_bytes(std::span(values)));
      }
  }
  std::vector<std::vector<float>> values() const {
    std::vector<std::vector<float>> all;
    for (const StoredFile& file : files())
      for (const StoredTensor& stored : file.tensors) all.push_back(stored.value.to_host<float>());
    return all;
  }
};

const Path kRun = "/run";

CheckpointStore prepared(FileSystem& files) {
  CheckpointStore store = checkpoint_store(kRun, files);
  store.prepare();
  return store;
}

TEST_SUITE("checkpoint writer") {
  TEST_CASE("what is saved is the state of the step's end, whatever training does while it is written") {
    SlowDisk disk;
    const Model model, other;
    model.fill(1);
    const auto saved = model.values();
    const CheckpointStore store = prepared(disk);
    disk.set_open(false);
    CheckpointWriter writer(store, 3, model.files());
    writer.start(7);
    model.fill(1000);
    disk.set_open(true);
    writer.wait();
    const std::vector<SaveReport> reports = writer.reports();
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].step == 7);
    CHECK(reports[0].directory == kRun / "checkpoints/step-00000007");
    CHECK(reports[0].problem.empty());
    load_checkpoint(load_all(store), other.params, other.files());
    CHECK(other.values() == saved);
    CHECK(model.values() != saved);
  }

  TEST_CASE("a save that comes due while the one before is written waits for it, and both are whole") {
    SlowDisk disk;
    const Model model, other;
    const CheckpointStore store = prepared(disk);
    disk.set_open(false);
    CheckpointWriter writer(store, 3, model.files());
    model.fill(1);
    writer.start(1);
    std::atomic<bool> returned = false;
    std::thread training([&] {
      model.fill(2);
      writer.start(2);
      returned = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK_FALSE(returned);
    CHECK(writer.reports().empty());
    disk.set_open(true);
    training.join();
    writer.wait();
    CHECK(writer.reports().size() == 2);
    CHECK(store.list().size() == 2);
    load_checkpoint(load_all(store), other.params, other.files());
    CHECK(other.values() == model.values());
  }

  TEST_CASE("a writer that ends finishes what it began") {
    SlowDisk disk;
    const Model model;
    const CheckpointStore store = prepared(disk);
    {
      CheckpointWriter writer(store, 1, model.files());
      writer.start(1);
      writer.start(2);
    }
    CHECK(load_all(store).checkpoint.step == 2);
    CHECK(store.list().size() == 1);
  }

  TEST_CASE("what cannot be saved is reported with the reason, and the next save is made") {
    MemoryFileSystem disk;
    const Model model;
    const CheckpointStore store = prepared(disk);
    FaultyFileSystem faulty(disk, {.error = ENOSPC, .call = 3});
    CheckpointWriter writer(checkpoint_store(kRun, faulty), 3, model.files());
    writer.start(1);
    writer.start(2);
    writer.wait();
    const std::vector<SaveReport> reports = writer.reports();
    REQUIRE(reports.size() == 2);
    CHECK(reports[0].directory.empty());
    CHECK(reports[0].problem.find("No space left") != std::string::npos);
    CHECK(reports[1].problem.empty());
    CHECK(store.list().size() == 1);
  }

  TEST_CASE("a save whose last sync fails is said to be in doubt, and the older ones stay") {
    MemoryFileSystem disk;
    const Model model;
    const CheckpointStore store = prepared(disk);
    const auto save = [&](std::int64_t step, FileSystem& files) {
      CheckpointWriter writer(checkpoint_store(kRun, files), 1, model.files());
      writer.start(step);
      writer.wait();
      return writer.reports().at(0);
    };
    CHECK(save(1, disk).problem.empty());
    SaveReport report;
    for (std::int64_t call = 0; report.directory.empty() || report.problem.empty(); ++call) {
      FaultyFileSystem faulty(disk, {.error = EIO, .call = call});
      report = save(call + 2, faulty);
      REQUIRE(faulty.has_failed());
    }
    CHECK_MESSAGE(report.problem.find("sync") != std::string::npos, report.problem);
    CHECK(report.in_doubt);
    CHECK(store.list().size() == 2);
  }
}

}  // namespace
}  // namespace gesso
