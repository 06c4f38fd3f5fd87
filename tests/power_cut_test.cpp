// Power cuts at every call of saving and of recovering, each with many ways in which the disk may be left.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "core/error.h"
#include "tests/checkpoint_samples.h"
#include "tests/faulty_file_system.h"
#include "tests/memory_file_system.h"
#include "train/file_calls.h"

namespace gesso {
namespace {

constexpr std::uint64_t kDamageSeeds = 50;
constexpr std::int64_t kKept = 2;
const Path kStore = "/run/checkpoints";

// Saves steps until the power is gone, at most four. Returns the newest that the store said is on disk.
std::int64_t save_steps(FileSystem& files) {
  CheckpointStore store(kStore, files);
  std::int64_t sure = 0;
  try {
    store.prepare();
    for (std::int64_t step = 1; step <= 4; ++step) {
      if (!save_sample(store, step).doubt.empty()) break;
      sure = step;
      store.keep_newest(kKept);
    }
  } catch (const Error&) {
  }
  return sure;
}

// What is wrong with what the next start finds; empty: nothing. sure: as above; the step after it may be there.
std::string wrong_after_cut(const CheckpointStore& store, std::int64_t sure) {
  if (sure == 0 && store.list().empty()) return {};
  try {
    const VerifiedCheckpoint found = load_all(store);
    const std::int64_t step = found.checkpoint.step;
    if (!found.damaged.empty()) return fmt::format("half a checkpoint: {}", found.damaged[0].why);
    if (step != sure && step != sure + 1) return fmt::format("step {}, but {} was saved", step, sure);
    if (!holds_sample(found, step)) return fmt::format("wrong bytes in step {}", step);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

std::int64_t newest(FileSystem& files) {
  const std::vector<Checkpoint> all = CheckpointStore(kStore, files).list();
  return all.empty() ? 0 : all.back().step;
}

// Of all checkpoints that the next start finds, also old ones, which a removal may have met.
std::string wrong_among_all(FileSystem& files) {
  const CheckpointStore store(kStore, files);
  while (!store.list().empty()) {
    const Checkpoint newest_one = store.list().back();
    try {
      if (!holds_sample(load_all(store), newest_one.step)) return "half an old checkpoint";
    } catch (const Error& error) {
      return error.what();
    }
    remove_all(files, newest_one.directory);
  }
  return {};
}

// A start that saves one step and removes old ones. Returns whether it is sure that the step is on disk.
bool save_next(FileSystem& files, std::int64_t step) {
  CheckpointStore store(kStore, files);
  bool sure = false;
  try {
    store.prepare();
    sure = save_sample(store, step).doubt.empty();
    if (sure) store.keep_newest(kKept);
  } catch (const Error&) {
  }
  return sure;
}

// What is wrong with a start that has power to its end; empty: nothing.
std::string wrong_going_on(FileSystem& files) {
  const std::int64_t next = newest(files) + 1;
  if (!save_next(files, next)) return "the next step could not be saved";
  const CheckpointStore store(kStore, files);
  if (!holds_sample(load_all(store), next)) return "the next step is not what was saved";
  if (store.list().size() > kKept) return "more are kept than asked for";
  for (const std::string& name : list_if_there(files, kStore))
    if (!name.starts_with("step-")) return "left over: " + name;
  return {};
}

TEST_SUITE("power cut") {
  TEST_CASE("after a power cut at any call, the newest saved checkpoint is there, or the one being saved, whole") {
    std::int64_t cuts = 0;
    std::map<std::string, int> wrong;
    for (bool cut = true; cut; ++cuts) {
      MemoryFileSystem files;
      files.cut_power_at(cuts);
      const std::int64_t sure = save_steps(files);
      cut = !files.has_power();
      for (std::uint64_t seed = 0; seed < kDamageSeeds; ++seed) {
        const auto found = files.after_power_cut(seed);
        std::string problem = wrong_after_cut({kStore, *found}, sure);
        if (problem.empty()) problem = wrong_going_on(*found);
        if (problem.empty()) problem = wrong_among_all(*files.after_power_cut(seed));
        if (!problem.empty()) ++wrong[fmt::format("cut at call {}: {}", cuts, problem)];
      }
    }
    CHECK_MESSAGE(wrong.empty(), wrong.size(), " cuts; the first: ", wrong.empty() ? "" : wrong.begin()->first);
    CHECK(cuts > 100);
  }

  TEST_CASE("what a start saves after a kill at any call survives a power cut, whatever the killed one left unsynced") {
    std::map<std::string, int> wrong;
    bool killed = true;
    for (std::int64_t call = 0; killed; ++call) {
      MemoryFileSystem files;
      FaultyFileSystem until_kill(files, {.error = EIO, .call = call, .lasts = true});
      save_steps(until_kill);
      killed = until_kill.has_failed();
      const std::int64_t next = newest(files) + 1;
      CHECK(save_next(files, next));
      for (std::uint64_t seed = 0; seed < 8; ++seed) {
        std::string problem = wrong_after_cut({kStore, *files.after_power_cut(seed)}, next);
        if (problem.empty()) problem = wrong_among_all(*files.after_power_cut(seed));
        if (!problem.empty()) ++wrong[fmt::format("killed at call {}: {}", call, problem)];
      }
    }
    CHECK_MESSAGE(wrong.empty(), wrong.size(), " kills; the first: ", wrong.empty() ? "" : wrong.begin()->first);
  }

  TEST_CASE("directories that were made are there after a power cut, with those above them") {
    MemoryFileSystem files;
    make_directories(files, "/a/b/c/");
    for (std::uint64_t seed = 0; seed < kDamageSeeds; ++seed) {
      const auto found = files.after_power_cut(seed);
      CHECK(list_if_there(*found, "/a/b") == std::vector<std::string>{"c"});
    }
  }

  TEST_CASE("a second power cut, while the next start recovers and saves, loses nothing either") {
    std::map<std::string, int> wrong;
    int second_cuts = 0;
    for (std::int64_t first = 0; first < 200; first += 7) {
      MemoryFileSystem files;
      files.cut_power_at(first);
      save_steps(files);
      bool cut = true;
      for (std::int64_t second = 0; cut; ++second) {
        for (std::uint64_t seed = 0; seed < 4; ++seed, ++second_cuts) {
          const auto found = files.after_power_cut(static_cast<std::uint64_t>(first) + seed);
          const std::int64_t before = newest(*found);
          found->cut_power_at(second);
          const bool saved = save_next(*found, before + 1);
          cut = !found->has_power();
          const auto again = found->after_power_cut(static_cast<std::uint64_t>(second) + 5 * seed);
          const std::string problem = wrong_after_cut({kStore, *again}, before + (saved ? 1 : 0));
          if (!problem.empty()) ++wrong[fmt::format("cuts at calls {} and {}: {}", first, second, problem)];
        }
      }
    }
    CHECK_MESSAGE(wrong.empty(), wrong.size(), " cuts; the first: ", wrong.empty() ? "" : wrong.begin()->first);
    CHECK(second_cuts > 1000);
  }
}

}  // namespace
}  // namespace gesso
