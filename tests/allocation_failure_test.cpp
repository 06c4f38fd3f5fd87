// Every allocation of loading, saving and parsing fails, once and from then on, whoever asks for it: what comes out is
// an error that says so (exit code 5), or what would have come out anyway. Nothing on disk is lost, no file stays open,
// and under the address sanitizer nothing leaks.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <new>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "tests/checkpoint_samples.h"
#include "tests/failing_memory.h"
#include "tests/faulty_file_system.h"
#include "tests/fuzz_targets.h"
#include "tests/gzip.h"
#include "tests/handmade_jpeg.h"
#include "tests/handmade_png.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "tests/xz.h"
#include "train/checkpoint_writer.h"
#include "train/cifar_dataset.h"
#include "train/codes_file.h"
#include "train/event_file.h"
#include "train/extremes.h"
#include "train/folder_dataset.h"
#include "train/idx.h"
#include "train/idx_dataset.h"
#include "train/jpeg.h"
#include "train/manifest.h"
#include "train/png.h"
#include "train/recipe.h"
#include "train/run_history.h"
#include "train/run_log.h"
#include "train/step_record.h"

#if !defined(__SANITIZE_THREAD__)  // tests/failing_memory.h
namespace gesso {
namespace {

using namespace std::string_literals;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::ptrdiff_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return std::distance(begin(files), end(files));
}

// What came of `work` where that allocation failed; empty: it ended well, or for want of memory.
std::string wrong_outcome(const std::function<void()>& work, std::int64_t number, OutOfMemory how) {
  try {
    const FailingMemory failing(number, how);
    work();
  } catch (const std::bad_alloc&) {
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::memory) return fmt::format("another kind of error: {}", error.what());
  } catch (const std::system_error& error) {  // tools/gesso.cpp takes these for it as well
    if (error.code() != std::errc::not_enough_memory && error.code() != std::errc::resource_unavailable_try_again)
      return fmt::format("an error of the system: {}", error.what());
  } catch (const std::exception& error) {
    return fmt::format("another exception: {}", error.what());
  }
  return {};
}

struct Failures {
  std::int64_t tried = 0, wrong = 0;
  std::string first;
};

// Each allocation of `work` fails in turn; `after` throws where something is then not as it must be.
Failures fail_each(
    const std::function<void()>& work, const std::function<void()>& after = [] {}) {
  Failures result;
  work();  // what is made once in a process is there then
  after();
  const std::ptrdiff_t open_before = open_files();
  for (const OutOfMemory how : {OutOfMemory::once, OutOfMemory::from_then_on})
    for (std::int64_t number = 0;; ++number, ++result.tried) {
      std::string problem = wrong_outcome(work, number, how);
      if (problem.empty() && open_files() != open_before) problem = "files stay open";
      try {
        after();
      } catch (const std::exception& error) {
        problem = fmt::format("{}; afterwards: {}", problem, error.what());
      }
      if (!problem.empty() && result.wrong++ == 0)
        result.first = fmt::format("allocation {} fails{}: {}", number,
                                   how == OutOfMemory::once ? "" : ", and all after it", problem);
      if (FailingMemory::refused() == 0) break;
    }
  return result;
}

struct Reading {
  std::string name;
  std::function<void()> work;
};

void check_all(const std::vector<Reading>& readings) {
  for (const Reading& reading : readings) {
    const Failures failures = fail_each(reading.work);
    INFO(reading.name, ": ", failures.tried, " allocations");
    CHECK_MESSAGE(failures.wrong == 0, failures.first);
    CHECK(failures.tried > 4);
  }
}

void require(bool holds, const std::string& what) {
  if (!holds) throw std::logic_error(what);
}

std::string idx_file() { return "\0\0\x08\x03\0\0\0\2\0\0\0\2\0\0\0\2"s + "abcdefgh"; }

Image picture(std::int64_t channels) {
  Image image({9, 7, channels});
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(37 * i);
  return image;
}
std::string png_file() {
  const std::vector<std::byte> bytes = encode_png(picture(3), {{"Comment", "text"}});
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The real disk, which nobody waits for.
class UnsyncedDisk final : public FaultyFileSystem {
 public:
  UnsyncedDisk() : FaultyFileSystem(posix_file_system(), {.call = INT64_MAX}) {}
  IoResult sync(int) override { return {}; }
};

TEST_SUITE("allocation failures") {
  TEST_CASE("a checkpoint that cannot be saved for want of memory costs no other, and the next save is whole") {
    const TemporaryDirectory folder;
    UnsyncedDisk disk;
    CheckpointStore store(folder / "checkpoints", disk);
    store.prepare();
    save_sample(store, 1);
    const Contents contents = sample_contents(2);
    const std::vector<CheckpointFile> files = files_of(contents);
    CheckpointStore::Saved saved;
    const auto look = [&] {
      const VerifiedCheckpoint found = load_all(store);
      require(found.damaged.empty(), "half a checkpoint");
      require(holds_sample(found, found.checkpoint.step), "other bytes");
      require(saved.directory.empty() || found.checkpoint.step == 2, "it was said to be saved");
      require(found.checkpoint.step == 1 || !saved.directory.empty(), "it was said not to be saved");
      remove_all(disk, folder / "checkpoints" / "step-00000002");
      save_sample(store, 3);
      require(holds_sample(load_all(store), 3), "the next save is wrong");
      remove_all(disk, folder / "checkpoints" / "step-00000003");
      require(list_directory(folder / "checkpoints").size() == 1, "something is left over");
    };
    const Failures failures = fail_each(
        [&] {
          saved = {};
          saved = store.save(2, files);
        },
        look);
    CHECK_MESSAGE(failures.wrong == 0, failures.first);
    CHECK(failures.tried > 50);
  }

  TEST_CASE("the thread that saves lives through any want of memory, and tells it") {
    const TemporaryDirectory folder;
    UnsyncedDisk disk;
    nn::ParamStore params;
    params.declare("conv.weight", {.shape = {3, 2, 2, 5}, .disk_order = nn::DiskOrder::channels_second});
    params.declare("codes", {.shape = {4, 2}, .kind = nn::ParamKind::state});
    params.materialize(device(DeviceKind::cpu), 1);
    const nn::Optimizer optimizer(params, {.ema_decay = 0.9});
    CheckpointStore store = checkpoint_store(folder.path(), disk);
    store.prepare();
    CheckpointWriter writer(store, 2, training_files(params, optimizer, {}));
    std::int64_t step = 0;
    const auto save = [&] {
      writer.start(++step);
      writer.wait();
    };
    const auto look = [&] {
      for (const SaveReport& report : writer.reports())
        require(report.directory.empty() ? !report.problem.empty() : std::filesystem::exists(report.directory),
                "a false report");
      writer.start(++step);
      writer.wait();
      const std::vector<SaveReport> reports = writer.reports();
      require(reports.size() == 1 && reports[0].problem.empty(), "the next save is not made");
      load_checkpoint(load_all(store), params, training_files(params, optimizer, {}));
    };
    const Failures failures = fail_each(save, look);
    CHECK_MESSAGE(failures.wrong == 0, failures.first);
    CHECK(failures.tried > 50);

    const Failures of_loading = fail_each([&] {
      const VerifiedCheckpoint found = load_all(store);
      require(found.damaged.empty() && found.checkpoint.step == step, "a good checkpoint is taken for a damaged one");
      load_checkpoint(found, params, training_files(params, optimizer, {}));
    });
    CHECK_MESSAGE(of_loading.wrong == 0, of_loading.first);
  }

  TEST_CASE("files that are written whole or not at all are so without memory, too") {
    const TemporaryDirectory folder;
    const std::string data(24, 'x');
    const std::vector<SafetensorsEntry> entries = {{"a", SafetensorsDType::f32, {2, 3}, bytes_of(data)}};
    const std::vector<std::int32_t> values = {0, 1, 2, 3}, sizes = {8, 8};
    const CodesInfo info{.tokenizer = "0123",
                         .codebook = 4,
                         .images = 1,
                         .height = 2,
                         .width = 2,
                         .image = {8, 8, 3},
                         .made_by = "test",
                         .names = {"one"}};
    const std::vector<Reading> writings = {{"a.safetensors",
                                            [&] {
                                              write_safetensors(folder / "a.safetensors", entries, {{"k", "v"}});
                                            }},
                                           {"a.codes", [&] {
                                              CodesWriter writer(folder / "a.codes", info);
                                              writer.add({.count = 1, .height = 2, .width = 2, .values = values});
                                              writer.finish({}, sizes);
                                            }}};
    for (const Reading& writing : writings) {
      writing.work();
      const std::string good = read_text_file(folder / writing.name, 1 << 16);
      const Failures failures = fail_each(writing.work, [&] {
        require(read_text_file(folder / writing.name, 1 << 16) == good, "the file that was there is lost");
        for (const std::string& name : list_directory(folder.path()))
          require(!name.starts_with(kTemporaryPrefix), "left over: " + name);
      });
      CHECK_MESSAGE(failures.wrong == 0, writing.name, ": ", failures.first);
    }
    check_all({{"safetensors", [&] { (void)SafetensorsFile(folder / "a.safetensors").at("a").spec(); }},
               {"codes", [&] {
                  CodesFile file(folder / "a.codes");
                  require(file.read(0, 1).values == values, "other codes");
                }}});
  }

  TEST_CASE("readers of data sets and pictures say that memory is short, and not that a file is bad") {
    const TemporaryDirectory folder;
    const std::string labels = "\0\0\x08\x01\0\0\0\2\1\2"s;
    for (const std::string name : {"plain", "gz", "pictures"}) std::filesystem::create_directory(folder / name);
    for (const std::string name : {"train", "t10k"}) {
      folder.write("plain/" + name + "-images-idx3-ubyte", idx_file());
      folder.write("plain/" + name + "-labels-idx1-ubyte", labels);
      folder.write("gz/" + name + "-images-idx3-ubyte.gz", gzip(idx_file()));
      folder.write("gz/" + name + "-labels-idx1-ubyte.gz", gzip(labels));
    }
    folder.write("packed.xz", xz(idx_file()));
    folder.write("test_batch.bin", "\3" + std::string(3072, 'p'));
    const std::string png = png_file(), jpeg = handmade_jpeg(picture(3), {.exif = exif_block(6)}),
                      progressive = handmade_jpeg(picture(3), {.progressive = true});
    folder.write("pictures/a.png", png);
    folder.write("pictures/b.jpg", jpeg);
    check_all({{"idx", [&] { (void)open_idx_dataset(folder / "plain", Split::train)->image(1); }},
               {"gzip", [&] { (void)open_idx_dataset(folder / "gz", Split::train)->image(1); }},
               {"xz", [&] { require(read_idx(folder / "packed.xz").values.size() == 8, "another array"); }},
               {"cifar", [&] { (void)open_cifar_dataset(folder.path(), Split::validation)->image(0); }},
               {"folder",
                [&] {
                  const auto data = open_folder_dataset(
                      {.path = folder / "pictures", .size = 8, .classes = false, .validation = 0, .max_bad = 1},
                      Split::train);
                  require(data->size() == 2 && data->skipped().empty(), "a good file is taken for a bad one");
                }},
               {"png",
                [&] {
                  require(decode_png<std::uint8_t>(bytes_of(png), "a.png").pixels == picture(3).pixels, "other pixels");
                }},
               {"png of 16 bits", [&] { (void)decode_png<std::uint16_t>(bytes_of(png), "a.png"); }},
               {"png written",
                [&] {
                  require(encode_png(picture(3), {{"Comment", "text"}}).size() == png.size(), "another picture");
                }},
               {"jpeg", [&] { (void)decode_jpeg(bytes_of(jpeg), "b.jpg"); }},
               {"progressive jpeg", [&] { (void)decode_jpeg(bytes_of(progressive), "b.jpg"); }}});
  }

  TEST_CASE("texts that are parsed, and records that are made, end without memory as they must") {
    const TemporaryDirectory folder;
    const std::string manifest =
        text_of(Manifest{.step = 3, .files = {{"a.safetensors", 4, 5}, {"b.safetensors", 6, 7}}});
    const std::string record =
        text_of(StepRecord{.step = 7, .values = {{"loss", 1.5}, {"grad_norm", 2}}, .samples = {3, 1}, .version = "1"});
    const std::string extremes = text_of(Extremes{.step = 1, .looked_at = 2, .worst = {{1, 0.5}}, .best = {{0, 0.25}}});
    const std::string recipe = RecipeFile().config().text();
    folder.write(kConfigFile, recipe);
    folder.write(kMetricsFile,
                 metrics_line(1, "train", {{"loss", 1}, {"usage", NAN}}) + metrics_line(2, "train", {{"loss", 2}}));
    folder.write(kStartsFile, R"({"step":0,"command":"gesso train"})" + "\n"s);
    folder.write(kExtremesFile, extremes);
    check_all({{"manifest", [&] { require(text_of(parse_manifest(manifest)) == manifest, "another manifest"); }},
               {"record of a step", [&] { require(text_of(parse_step_record(record)) == record, "another record"); }},
               {"extremes", [&] { require(text_of(extremes_of(extremes).value()) == extremes, "other extremes"); }},
               {"recipe",
                [&] {
                  RecipeFile file;
                  file.config().load_file(recipe_path("vqvae"));
                  file.config().assign("train.steps=7");
                  (void)file.config().text();
                }},
               {"lists in settings",
                [&] {
                  std::vector<std::int64_t> values = {1};
                  JsonConfig config;
                  config.field("some.values", values, {0, 9}, "");
                  config.load(R"({"some": {"values": [1, 2, 3]}})", "text");
                  config.assign("some.values=4,5");
                  require(config.text() == "{\n  \"some\": {\n    \"values\": [4,5]\n  }\n}\n", "other settings");
                }},
               {"history", [&] { require(read_history(folder.path()).metrics.size() == 2, "another history"); }},
               {"line of metrics", [&] {
                  MetricsFile(folder.path(), 2).append(event_line(2, "spike", "text", {{"loss", 1}}));
                }}});
  }

  TEST_CASE("TensorBoard's events are written, or not, and those before stay") {
    const TemporaryDirectory folder;
    const Failures failures = fail_each(
        [&] {
          EventFile file(folder.path(), 0);
          file.scalars(1, "train", std::vector<Metric>{{"loss", 1}});
          file.histogram(1, "weights", histogram_of(std::vector<float>{1, 2, 3}));
          file.image(1, "samples", {9, 7, 3}, bytes_of("png"));
          file.settings(std::vector<EventFile::Setting>{{"a", "1"}, {"b", "\"x\""}, {"c", "[1,2]"}});
        },
        [&] {
          for (const std::string& name : list_directory(folder.path())) std::filesystem::remove(folder / name);
        });
    CHECK_MESSAGE(failures.wrong == 0, failures.first);
  }

  TEST_CASE("every reader goes through want of memory on files that it refuses, too") {
    std::mt19937_64 random(test_seed());
    for (const FuzzTarget& target : fuzz_targets()) {
      const std::vector<std::string> seeds = target.seeds();
      for (int round = 0; round < 4; ++round) {
        const std::size_t seed = random() % seeds.size();
        const Failures failures = fail_each([&] { target.run(bytes_of(seeds[seed])); });
        CHECK_MESSAGE(failures.wrong == 0, std::string(target.name), ", seed ", seed, ": ", failures.first);
      }
    }
  }
}

}  // namespace
}  // namespace gesso
#endif
