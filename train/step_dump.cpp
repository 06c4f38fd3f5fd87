#include "train/step_dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/error.h"
#include "train/manifest.h"

namespace gesso {
namespace {

constexpr const char *kBatch = "batch.safetensors", *kRecord = "step.json", *kImages = "images";
constexpr std::int64_t kMostKept = 3;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

const std::vector<std::byte>& content_of(const VerifiedCheckpoint& files, const char* name) {
  const auto found = files.files.find(name);
  if (found == files.files.end())
    fail(ErrorKind::data, "{}: it has no {}; expected what gesso train keeps of a step that stopped it",
         files.checkpoint.directory.string(), name);
  return found->second;
}
std::string text_in(const VerifiedCheckpoint& files, const char* name) {
  const std::vector<std::byte>& content = content_of(files, name);
  return {reinterpret_cast<const char*>(content.data()), content.size()};
}

Tensor images_in(const VerifiedCheckpoint& files) {
  const SafetensorsFile file(files.checkpoint.directory / kBatch, content_of(files, kBatch));
  const SafetensorsEntry& images = file.at(kImages);
  const Spec spec = images.spec();
  if (spec.shape.rank() != 4 || spec.shape.count() == 0 || (spec.dtype != DType::u8 && spec.dtype != DType::u16))
    fail(ErrorKind::data, "{}: images are {}, expected [N,H,W,C] u8 or u16", file.path().string(), spec.text());
  return Tensor::from_host_bytes(images.data, spec, device(DeviceKind::cpu));
}

}  // namespace

CheckpointStore step_dumps(const Path& run, FileSystem& files) { return {run / kDumpsFolder, files}; }

Path write_step_dump(CheckpointStore store, const StepDump& dump, std::vector<StoredFile> files) {
  const std::int64_t step = dump.record.step;
  CheckpointSnapshot snapshot(std::move(files));
  snapshot.take(step - 1);
  std::vector<CheckpointFile> all = snapshot.files();
  std::vector<std::byte> images(dump.images.spec().bytes());
  dump.images.copy_to_host(images);
  const SafetensorsEntry entry = safetensors_entry(kImages, dump.images.spec(), {});
  const std::string head = safetensors_head(kBatch, std::span(&entry, 1), {{"format", "pt"}}).bytes;
  const std::string record = text_of(dump.record);
  all.push_back({kBatch, {bytes_of(head), images}});
  all.push_back({kConfigFile, {bytes_of(dump.config)}});
  all.push_back({kRecord, {bytes_of(record)}});
  store.prepare();
  store.remove_from(step);
  const Path directory = store.save(step, all).directory;
  store.keep_newest(kMostKept);
  return directory;
}

VerifiedCheckpoint open_step_dump(const Path& run, const std::string& name) {
  if (!std::filesystem::is_directory(run)) fail(ErrorKind::data, "run {}: no such folder", run.string());
  const CheckpointStore store = step_dumps(run);
  const std::vector<Checkpoint> all = store.list();
  std::vector<std::string> names;
  for (const Checkpoint& dump : all) names.push_back(dump.directory.filename().string());
  if (all.empty())
    fail("run {}: there is no step to replay; gesso train keeps one in dumps/ when it stops at it with exit code 4",
         run.string());
  const auto found = name.empty() ? names.end() - 1 : std::ranges::find(names, name);
  if (found == names.end())
    fail("run {}: there is no dump '{}'; there are {}", run.string(), name, fmt::join(names, ", "));
  return store.load(all[static_cast<std::size_t>(found - names.begin())],
                    [](std::string_view, const Manifest&) { return true; });
}

StepDump read_step_dump(const VerifiedCheckpoint& files) {
  StepDump dump{.record = {}, .images = images_in(files), .config = text_in(files, kConfigFile)};
  try {
    dump.record = parse_step_record(text_in(files, kRecord));
  } catch (const Error& error) {
    fail(error.kind(), "{}: {}", (files.checkpoint.directory / kRecord).string(), error.what());
  }
  if (dump.record.step != files.checkpoint.step)
    fail(ErrorKind::data, "{}: it tells of step {}", (files.checkpoint.directory / kRecord).string(), dump.record.step);
  return dump;
}

}  // namespace gesso
