#include "train/checkpoint_store.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "tests/checkpoint_samples.h"
#include "tests/expect_error.h"
#include "tests/faulty_file_system.h"
#include "tests/memory_file_system.h"
#include "tests/small_run.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "tests/tiny_training.h"
#include "train/file_calls.h"
#include "train/manifest.h"

namespace gesso {
namespace {

using Names = std::vector<std::string>;

const Path kStore = "/run/checkpoints";

// A store with steps 1 and 2.
struct Fixture {
  MemoryFileSystem files;
  CheckpointStore store{kStore, files};

  Fixture() {
    store.prepare();
    save_sample(store, 1);
    save_sample(store, 2);
  }
  std::vector<std::byte>& content(const std::string& name) { return files.content(kStore / name); }
  Names names() { return list_if_there(files, kStore); }
};

void set_text(std::vector<std::byte>& content, const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  content.assign(bytes.begin(), bytes.end());
}

// Whether a flipped bit of the newest checkpoint is found, and the one before it is taken.
bool is_found(const CheckpointStore& store, std::vector<std::byte>& content, std::size_t bit) {
  std::byte& byte = content[bit / 8];
  byte ^= std::byte{1} << (bit % 8);
  const VerifiedCheckpoint found = load_all(store);
  byte ^= std::byte{1} << (bit % 8);
  return found.damaged.size() == 1 && found.checkpoint.step == 1;
}

// A checkpoint of which the system refuses to rename.
class Immovable final : public MemoryFileSystem {
 public:
  IoResult rename(const Path& from, const Path& to) override {
    return from.filename() == "step-00000001" ? IoResult{.error = EACCES} : MemoryFileSystem::rename(from, to);
  }
};

// A disk that refuses to sync the directory of checkpoints, and nothing else.
class RefusedSyncs final : public FaultyFileSystem {
 public:
  explicit RefusedSyncs(FileSystem& below) : FaultyFileSystem(below, {.call = INT64_MAX}) {}

  IoResult open_directory(const Path& path) override {
    const IoResult opened = FaultyFileSystem::open_directory(path);
    if (path == kStore) refused_ = static_cast<int>(opened.value);
    return opened;
  }
  IoResult sync(int handle) override {
    return handle == refused_ ? IoResult{.error = EIO} : FaultyFileSystem::sync(handle);
  }
  IoResult close(int handle) override {
    if (handle == refused_) refused_ = -1;
    return FaultyFileSystem::close(handle);
  }

 private:
  int refused_ = -1;
};

// A disk that has no room for a new name while the remains of a save are there.
class FullWhileSaving final : public FaultyFileSystem {
 public:
  explicit FullWhileSaving(FileSystem& below) : FaultyFileSystem(below, {.call = INT64_MAX}), below_(below) {}

  IoResult make_directory(const Path& path) override {
    const bool is_full = path.parent_path() == kStore && !list_if_there(below_, kStore).empty();
    return is_full ? IoResult{.error = ENOSPC} : FaultyFileSystem::make_directory(path);
  }

 private:
  FileSystem& below_;
};

TEST_SUITE("checkpoint store") {
  TEST_CASE("what is saved on a real disk is read back, byte for byte, newest first") {
    const TemporaryDirectory directory;
    CheckpointStore store(directory / "run" / "checkpoints", posix_file_system());
    CHECK(store.list().empty());
    expect_error(ErrorKind::data, {"no checkpoint", "checkpoints", "step-"}, [&] { load_all(store); });
    store.prepare();
    for (const std::int64_t step : std::vector<std::int64_t>{9, 10, 100'000'000'000}) {
      const CheckpointStore::Saved saved = save_sample(store, step);
      CHECK(saved.doubt.empty());
      CHECK(saved.directory == store.list().back().directory);
      CHECK(holds_sample(load_all(store), step));
    }
    store.keep_newest(0);
    CHECK(store.list().size() == 3);
    store.keep_newest(2);
    CHECK(list_if_there(posix_file_system(), directory / "run" / "checkpoints") ==
          Names{"step-00000010", "step-100000000000"});
  }

  TEST_CASE("only what is wanted is read") {
    Fixture fixture;
    fixture.content("step-00000002/moment1.safetensors").clear();
    const VerifiedCheckpoint found =
        fixture.store.load_newest([](std::string_view name, const Manifest&) { return name.starts_with("w"); });
    CHECK(found.checkpoint.step == 2);
    CHECK(found.files.size() == 1);
    CHECK(found.files.at("weights.safetensors") == sample_contents(2).at("weights.safetensors"));
  }

  TEST_CASE("each kind of damage is told, and the checkpoint before it is taken") {
    struct Damage {
      std::string word;
      std::function<void(Fixture&)> work;
    };
    const std::vector<Damage> kinds = {
        {"weights.safetensors is missing",
         [](Fixture& f) { f.files.remove(kStore / "step-00000002/weights.safetensors"); }},
        {"weights.safetensors has", [](Fixture& f) { f.content("step-00000002/weights.safetensors").pop_back(); }},
        {"weights.safetensors has", [](Fixture& f) { f.content("step-00000002/weights.safetensors").push_back({}); }},
        {"empty.safetensors has 1 bytes, but 0",
         [](Fixture& f) { f.content("step-00000002/empty.safetensors").push_back({}); }},
        {"does not have the checksum",
         [](Fixture& f) { std::ranges::reverse(f.content("step-00000002/weights.safetensors")); }},
        {"has no manifest.json", [](Fixture& f) { f.files.remove(kStore / "step-00000002/manifest.json"); }},
        {"manifest.json is that of step 2",
         [](Fixture& f) { f.files.rename(kStore / "step-00000002", kStore / "step-00000003"); }},
        {"has no manifest.json", [](Fixture& f) { f.files.make_directory(kStore / "step-00000004"); }},
        {"has no manifest.json", [](Fixture& f) { f.files.create_file(kStore / "step-00000004"); }},
    };
    for (const Damage& kind : kinds) {
      INFO(kind.word);
      Fixture fixture;
      kind.work(fixture);
      const Names before = fixture.names();
      const VerifiedCheckpoint found = load_all(fixture.store);
      CHECK(found.damaged.at(0).why.find(kind.word) != std::string::npos);
      CHECK(holds_sample(found, found.damaged.at(0).checkpoint.step == 4 ? 2 : 1));
      CHECK_MESSAGE(fixture.names() == before, "reading changes nothing");
    }
  }

  TEST_CASE("where no checkpoint is good, each is named with what is wrong") {
    Fixture fixture;
    fixture.content("step-00000001/state.safetensors").pop_back();
    fixture.content("step-00000002/manifest.json").pop_back();
    expect_error(ErrorKind::data, {"step-00000001: state.safetensors has", "step-00000002: the manifest"},
                 [&] { load_all(fixture.store); });
  }

  TEST_CASE("a damaged checkpoint is set aside under a free name, and retention leaves it alone") {
    Fixture fixture;
    for (const char* name : {"damaged-step-00000002", "damaged-step-00000002-2"}) {
      fixture.content("step-00000002/state.safetensors").pop_back();
      const VerifiedCheckpoint found = load_all(fixture.store);
      CHECK(fixture.store.set_aside(found.damaged.at(0).checkpoint) == kStore / name);
      save_sample(fixture.store, 2);
    }
    fixture.store.keep_newest(1);
    CHECK(fixture.names() == Names{"damaged-step-00000002", "damaged-step-00000002-2", "step-00000002"});
    CHECK(holds_sample(load_all(fixture.store), 2));
  }

  TEST_CASE("flipped bits in each file, and every bit of the manifest, are found") {
    Fixture fixture;
    std::mt19937_64 random(test_seed());
    Names files = {"manifest.json"};
    for (const auto& [name, content] : sample_contents(2))
      if (!content.empty()) files.push_back(name);
    int unseen = 0;
    for (const std::string& name : files) {
      std::vector<std::byte>& content = fixture.content("step-00000002/" + name);
      const bool is_manifest = name == files.front();
      const std::size_t bits = 8 * content.size();
      for (std::size_t i = 0; i < (is_manifest ? bits : 2'000); ++i)
        if (!is_found(fixture.store, content, is_manifest ? i : random() % bits)) ++unseen;
    }
    CHECK(unseen == 0);
    CHECK(holds_sample(load_all(fixture.store), 2));
  }

  TEST_CASE("every one of 10000 bits flipped anywhere in a run's checkpoint is found") {
    const TemporaryDirectory folder;
    (void)train_small({"train.steps=2", "checkpoint.every=1"}, {.directory = folder / "run"});
    MemoryFileSystem files;
    for (const Checkpoint& checkpoint : list_checkpoints(folder / "run")) {
      const Path directory = kStore / checkpoint.directory.filename();
      make_directories(files, directory);
      for (const std::string& name : list_directory(checkpoint.directory)) {
        const std::vector<std::byte> content = read_file(checkpoint.directory / name, 1 << 24);
        OpenFile::to_write(files, directory / name).write(content);
      }
    }
    const Path directory = kStore / "step-00000002";
    const Names names = list_if_there(files, directory);
    REQUIRE(names.size() == 8);
    const CheckpointStore store(kStore, files);
    std::mt19937_64 random(test_seed());
    int unseen = 0;
    for (int i = 0; i < times("GESSO_TEST_FLIPS", 10'000); ++i) {
      std::vector<std::byte>& content = files.content(directory / names[random() % names.size()]);
      if (!is_found(store, content, random() % (8 * content.size()))) ++unseen;
    }
    CHECK(unseen == 0);
    CHECK(load_all(store).checkpoint.step == 2);
  }

  TEST_CASE("a manifest has whole numbers, whatever its checksum says") {
    const auto refused = [](const std::string& text, const std::string& what) {
      const std::string sealed =
          fmt::format("{}  \"xxh3\": \"{:016x}\"\n}}\n", text, checksum_of(std::as_bytes(std::span(text))));
      expect_error(ErrorKind::data, {what, "expected a whole number"}, [&] { (void)parse_manifest(sealed); });
    };
    for (const char* number : {"1e30", "1.5", "-1e30", "\"x\"", "18446744073709551616"}) {
      refused(fmt::format("{{\"version\": {}, \"step\": 1, \"files\": [],\n", number), "version");
      refused(fmt::format("{{\"version\": 2, \"step\": {}, \"files\": [],\n", number), "step");
    }
    for (const char* number : {"1e30", "-1"})
      refused(fmt::format(
                  "{{\"version\": 2, \"step\": 1, \"files\": [{{\"name\": \"a\", \"bytes\": {}, \"xxh3\": \"\"}}],\n",
                  number),
              "bytes");
  }

  TEST_CASE("a manifest that was cut anywhere is found damaged") {
    Fixture fixture;
    std::vector<std::byte>& manifest = fixture.content("step-00000002/manifest.json");
    while (!manifest.empty()) {
      manifest.pop_back();
      CHECK(holds_sample(load_all(fixture.store), 1));
    }
  }

  TEST_CASE("a manifest that says more than gesso would is refused, checksum or not") {
    Fixture fixture;
    std::vector<std::byte>& manifest = fixture.content("step-00000002/manifest.json");
    const std::vector<std::byte> reachable = sample_contents(1).at("weights.safetensors");
    for (const char* name : {"../step-00000001/weights.safetensors",
                             "/run/checkpoints/step-00000001/weights.safetensors", "/etc/passwd", "", "..", "a/b"}) {
      INFO(name);
      set_text(manifest, text_of(Manifest{.step = 2, .files = {{name, reachable.size(), checksum_of(reachable)}}}));
      const VerifiedCheckpoint found = load_all(fixture.store);
      CHECK(holds_sample(found, 1));
      CHECK(found.damaged.at(0).why.find("for a file's name") != std::string::npos);
    }
    set_text(manifest, text_of(Manifest{.step = 2, .files = {{"weights.safetensors", std::uint64_t{1} << 60, 2}}}));
    CHECK(holds_sample(load_all(fixture.store), 1));
    set_text(manifest, std::string(3 << 20, '['));
    CHECK(holds_sample(load_all(fixture.store), 1));
  }

  TEST_CASE("a checkpoint of a later version stops the search: an older one would go on without it") {
    Fixture fixture;
    set_text(fixture.content("step-00000002/manifest.json"), text_of(Manifest{.version = 3, .step = 2}));
    expect_error(ErrorKind::data, {"step-00000002", "version 3", "version 2"}, [&] { load_all(fixture.store); });
  }

  TEST_CASE("what killed processes left is removed, by the next start and by the next save") {
    Fixture fixture;
    const auto leave = [&] {
      for (const char* name : {".tmp-step-00000003", ".trash-step-00000000", ".tmp-names"}) {
        make_directories(fixture.files, kStore / name / "deeper");
        OpenFile::to_write(fixture.files, kStore / name / "file").write(std::vector<std::byte>(5));
      }
    };
    leave();
    fixture.store.prepare();
    CHECK(fixture.names() == Names{"step-00000001", "step-00000002"});
    leave();
    save_sample(fixture.store, 3);
    CHECK(fixture.names() == Names{"step-00000001", "step-00000002", "step-00000003"});
  }

  TEST_CASE("a start puts on disk what a save before it could not, and takes away what it needed for that") {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      MemoryFileSystem files;
      CheckpointStore(kStore, files).prepare();
      RefusedSyncs refusing(files);
      CheckpointStore doubtful(kStore, refusing);
      CHECK_FALSE(save_sample(doubtful, 1).doubt.empty());
      expect_error(ErrorKind::io, {"sync", kStore.string()}, [&] { doubtful.prepare(); });
      CHECK(list_if_there(files, kStore) == Names{"step-00000001"});
      CheckpointStore(kStore, files).prepare();
      CHECK(list_if_there(files, kStore) == Names{"step-00000001"});
      const std::unique_ptr<MemoryFileSystem> after = files.after_power_cut(seed + test_seed());
      CHECK(holds_sample(load_all(CheckpointStore(kStore, *after)), 1));
    }
  }

  TEST_CASE("what a killed save filled a disk with goes before a start needs room of its own") {
    MemoryFileSystem files;
    CheckpointStore(kStore, files).prepare();
    make_directories(files, kStore / ".tmp-step-00000001");
    FullWhileSaving full(files);
    CheckpointStore(kStore, full).prepare();
    CHECK(list_if_there(files, kStore).empty());
  }

  TEST_CASE("an old checkpoint that cannot be renamed is told, and keeps no other from being removed") {
    Immovable files;
    CheckpointStore store(kStore, files);
    store.prepare();
    for (const std::int64_t step : {1, 2, 3, 4}) save_sample(store, step);
    expect_error(ErrorKind::io, {"rename", "step-00000001", "Permission denied"}, [&] { store.keep_newest(1); });
    CHECK(list_if_there(files, kStore) == Names{"step-00000001", "step-00000004"});
  }

  TEST_CASE("a step that is there already is not replaced") {
    Fixture fixture;
    expect_error(ErrorKind::io, {"rename", "step-00000002"}, [&] { save_sample(fixture.store, 2); });
    CHECK(holds_sample(load_all(fixture.store), 2));
    CHECK(fixture.names() == Names{"step-00000001", "step-00000002"});
  }
}

}  // namespace
}  // namespace gesso
