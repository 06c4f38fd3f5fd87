// Every call of saving, removing and loading fails, once or from then on, by every error.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "core/error.h"
#include "tests/checkpoint_samples.h"
#include "tests/faulty_file_system.h"
#include "tests/memory_file_system.h"
#include "train/file_calls.h"
#include "train/run_lock.h"

namespace gesso {
namespace {

constexpr std::int64_t kKept = 2;
const Path kRun = "/run", kStore = kRun / "checkpoints";

// Does one thing that may fail. Returns its words where it did, as ErrorKind::io.
template <class Work>
std::string failure(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::io ? error.what() : fmt::format("WRONG KIND: {}", error.what());
  }
  return {};
}

// What a process does with a store, each part of it whether or not the one before failed.
struct Process {
  bool saved = false;             // for sure
  std::int64_t calls_before = 0;  // those of the start
  std::vector<std::string> failures = {};

  explicit Process(FaultyFileSystem& files) {
    CheckpointStore store(kStore, files);
    const auto part = [&](auto&& work) {
      if (std::string words = failure(work); !words.empty()) failures.push_back(std::move(words));
    };
    part([&] { const RunLock lock(files, kRun); });
    part([&] { store.prepare(); });
    calls_before = files.calls();
    part([&] {
      const CheckpointStore::Saved result = save_sample(store, 3);
      saved = result.doubt.empty();
      if (!saved) failures.push_back(result.doubt);
    });
    if (saved) part([&] { store.keep_newest(kKept); });
    part([&] {
      const VerifiedCheckpoint found = load_all(store);
      if (!found.damaged.empty() || !holds_sample(found, found.checkpoint.step)) failures.push_back("WRONG LOAD");
    });
  }
};

// What is wrong afterwards, when calls work again; empty: nothing.
std::string wrong_afterwards(MemoryFileSystem& files, bool saved) {
  if (files.open_handles() != 0) return "handles are left open";
  if (saved && !holds_sample(load_all({kStore, *files.after_power_cut(0)}), 3))
    return "said to be on disk, and was not";
  CheckpointStore store(kStore, files);
  const VerifiedCheckpoint found = load_all(store);
  if (!found.damaged.empty()) return "half a checkpoint";
  if (found.checkpoint.step != 3 && (saved || found.checkpoint.step != 2)) return "a checkpoint is lost";
  if (!holds_sample(found, found.checkpoint.step)) return "wrong bytes";
  if (!save_sample(store, 4).doubt.empty()) return "the next save failed";
  store.keep_newest(kKept);
  if (!holds_sample(load_all(store), 4)) return "the next save is wrong";
  for (const std::string& name : list_if_there(files, kStore))
    if (!name.starts_with("step-")) return "left over: " + name;
  return {};
}

// Both runs of the process, before and with the fault. Returns what is wrong; sets whether the fault came.
std::string try_fault(const Fault& fault, bool& came) {
  MemoryFileSystem files;
  CheckpointStore store(kStore, files);
  store.prepare();
  save_sample(store, 1);
  save_sample(store, 2);
  FaultyFileSystem faulty(files, fault);
  const Process process(faulty);
  came = faulty.has_failed();
  for (const std::string& words : process.failures)
    if (words.starts_with("WRONG")) return words;
  const bool is_harmless = fault.error == 0 || (fault.error == EINTR && !fault.lasts);
  if (is_harmless && !process.failures.empty()) return "not tried again: " + process.failures[0];
  if (faulty.has_failed_to_save() && fault.call >= process.calls_before && !is_harmless && process.failures.empty())
    return "a save that failed is not told";
  if (fault.lasts && fault.error != 0 && came && process.failures.empty() && fault.call + 3 < faulty.calls())
    return "a lasting failure is not told";
  return wrong_afterwards(files, process.saved);
}

// With steps 1 and 2, and a power cut at that call of saving step 3 and removing the others.
std::unique_ptr<MemoryFileSystem> cut_while_saving(std::int64_t call) {
  auto files = std::make_unique<MemoryFileSystem>();
  CheckpointStore store(kStore, *files);
  store.prepare();
  save_sample(store, 1);
  save_sample(store, 2);
  files->cut_power_at(files->calls() + call);
  (void)failure([&] {
    save_sample(store, 3);
    store.keep_newest(1);
  });
  return files;
}

TEST_SUITE("i/o faults") {
  TEST_CASE("whatever call fails, once or from then on: it is told, nothing is lost, and the next save is whole") {
    for (const int error : {EIO, ENOSPC, EDQUOT, EINTR, 0})
      for (const bool lasts : {false, true}) {
        CAPTURE(error);
        CAPTURE(lasts);
        std::int64_t calls = 0;
        int wrong = 0;
        std::string first;
        for (bool came = true; came; ++calls) {
          const std::string problem = try_fault({.error = error, .call = calls, .lasts = lasts}, came);
          if (!problem.empty() && wrong++ == 0) first = fmt::format("call {}: {}", calls, problem);
        }
        CHECK_MESSAGE(wrong == 0, first);
        CHECK(calls > 50);
      }
  }

  TEST_CASE("faults while the next start recovers from a power cut lose nothing either") {
    int wrong = 0, tried = 0;
    std::string first;
    for (std::int64_t cut = 0; cut < 60; cut += 5) {
      const auto before = cut_while_saving(cut);
      for (const int error : {EIO, ENOSPC, EINTR, 0})
        for (const bool lasts : {false, true}) {
          bool came = true;
          for (std::int64_t call = 0; came; ++call, ++tried) {
            const auto files = before->after_power_cut(static_cast<std::uint64_t>(call));
            const bool has_three = CheckpointStore(kStore, *files).list().back().step == 3;
            FaultyFileSystem faulty(*files, {.error = error, .call = call, .lasts = lasts});
            CheckpointStore again(kStore, faulty);
            (void)failure([&] { again.prepare(); });
            (void)failure([&] { (void)load_all(again); });
            came = faulty.has_failed();
            const std::string problem = wrong_afterwards(*files, has_three);
            if (!problem.empty() && wrong++ == 0) first = fmt::format("cut {}, call {}: {}", cut, call, problem);
          }
        }
    }
    CHECK_MESSAGE(wrong == 0, first);
    CHECK(tried > 1000);
  }

  TEST_CASE("an error names the call, the file and the system's words") {
    MemoryFileSystem files;
    CheckpointStore(kStore, files).prepare();
    std::vector<std::string> told;
    bool came = true;
    for (std::int64_t call = 0; came; ++call) {
      FaultyFileSystem faulty(files, {.error = ENOSPC, .call = call});
      CheckpointStore store(kStore, faulty);
      const std::string words = failure([&] { save_sample(store, 1); });
      came = faulty.has_failed();
      if (!words.empty()) told.push_back(words);
      for (const std::string& name : list_if_there(files, kStore))
        CHECK_MESSAGE(!name.starts_with(kTemporaryPrefix), "it takes the room that is wanting");
      remove_all(files, kStore / "step-00000001");
    }
    CHECK(told.size() > 10);
    for (const std::string& words : told) {
      CHECK_MESSAGE(words.find("No space left on device") != std::string::npos, words);
      CHECK_MESSAGE(words.find("step-00000001") != std::string::npos, words);
    }
  }

  TEST_CASE(
      "a file that the system refuses to sync, or reports about only when it is closed, is not said to be written") {
    MemoryFileSystem files;
    for (std::int64_t call = 1; call < 3; ++call) {
      FaultyFileSystem faulty(files, {.error = EIO, .call = call});
      const std::string words = failure([&] {
        OpenFile file = OpenFile::to_write(faulty, "/a");
        file.sync();
        file.close();
      });
      CHECK_MESSAGE(words.find("/a: Input/output error") != std::string::npos, words);
      remove_all(files, "/a");
    }
  }
}

}  // namespace
}  // namespace gesso
