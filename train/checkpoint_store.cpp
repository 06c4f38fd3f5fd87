#include "train/checkpoint_store.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <new>
#include <optional>

#include "core/error.h"
#include "train/file_calls.h"
#include "train/manifest.h"
#include "train/text.h"

namespace gesso {
namespace {

constexpr std::string_view kPrefix = "step-", kDamaged = "damaged-", kNewName = ".tmp-names";
constexpr const char* kManifest = "manifest.json";
constexpr std::uint64_t kMaxManifestBytes = 1 << 20;

std::string name_of(std::int64_t step) { return fmt::format("{}{:08}", kPrefix, step); }

std::optional<std::int64_t> step_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const char* const end = name.data() + name.size();
  std::int64_t step = -1;
  const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, step);
  if (parsed.ec != std::errc() || parsed.ptr != end || step < 0) return std::nullopt;
  return step;
}

// What killed processes were writing or removing there.
void remove_leftovers(FileSystem& system, const Path& directory) {
  const auto is_leftover = [](std::string_view name) {
    const auto is_of_a_step = [&](std::string_view prefix) {
      return name.starts_with(prefix) && step_of(name.substr(prefix.size()));
    };
    return name == kNewName || is_of_a_step(kTemporaryPrefix) || is_of_a_step(kTrashPrefix);
  };
  for (const std::string& name : list_if_there(system, directory))
    if (is_leftover(name)) remove_all(system, directory / name);
}

// A new file, on disk when this returns, as the manifest has it.
Manifest::File write_file(FileSystem& system, const Path& directory, const CheckpointFile& content) {
  OpenFile file = OpenFile::to_write(system, directory / content.name);
  Checksum checksum;
  Manifest::File written{.name = content.name};
  for (const std::span<const std::byte> part : content.parts) {
    file.write(part);
    checksum.add(part);
    written.bytes += part.size();
  }
  file.sync();
  file.close();
  written.checksum = checksum.value();
  return written;
}

void write_directory(FileSystem& system, const Path& directory, std::int64_t step,
                     std::span<const CheckpointFile> files) {
  make_directory(system, directory);
  Manifest manifest{.step = step};
  for (const CheckpointFile& file : files) manifest.files.push_back(write_file(system, directory, file));
  const std::string text = text_of(manifest);
  write_file(system, directory, {kManifest, {std::as_bytes(std::span(text))}});
  sync_directory(system, directory);
}

Manifest read_manifest(FileSystem& system, const Checkpoint& checkpoint) {
  const auto bytes = read_file_if_there(system, checkpoint.directory / kManifest, kMaxManifestBytes);
  if (!bytes)
    fail(ErrorKind::data, "it has no {}; checkpoints of version 1, which had none, can no longer be read", kManifest);
  const Manifest manifest = parse_manifest({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  if (manifest.version == Manifest::kVersion && manifest.step != checkpoint.step)
    fail(ErrorKind::data, "{} is that of step {}", kManifest, manifest.step);
  return manifest;
}

std::vector<std::byte> read_file(FileSystem& system, const Path& directory, const Manifest::File& expected) {
  const std::optional<OpenFile> file = OpenFile::to_read_if_there(system, directory / expected.name);
  if (!file) fail(ErrorKind::data, "{} is missing", expected.name);
  if (const std::uint64_t found = file->size(); found != expected.bytes)
    fail(ErrorKind::data, "{} has {} bytes, but {} were written", expected.name, found, expected.bytes);
  std::vector<std::byte> bytes(static_cast<std::size_t>(expected.bytes));
  if (file->read(bytes) != bytes.size() || checksum_of(bytes) != expected.checksum)
    fail(ErrorKind::data, "{} does not have the checksum of what was written", expected.name);
  return bytes;
}

// Does a part of reading a checkpoint. Returns what is wrong with it, empty where it is good.
template <class Part>
std::string damage(const Checkpoint& checkpoint, Part&& part) {
  try {
    part();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::data) return error.what();
    if (error.kind() == ErrorKind::memory) throw;
    fail(error.kind(), "{}; if this stays so, move {} away to go on from the checkpoint before it", error.what(),
         checkpoint.directory.string());
  }
  return {};
}

std::string reasons(const std::vector<VerifiedCheckpoint::Damaged>& damaged) {
  std::vector<std::string> all;
  for (const auto& [checkpoint, why] : damaged)
    all.push_back(fmt::format("{}: {}", checkpoint.directory.filename().string(), why));
  return fmt::format("{}", fmt::join(all, "; "));
}

// Failing here is no failure of what was asked for.
template <class Work>
void ignoring_errors(Work&& work) {
  try {
    work();
  } catch (const Error&) {
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace

std::vector<Checkpoint> CheckpointStore::list() const {
  std::vector<Checkpoint> found;
  for (const std::string& name : list_if_there(files_, directory_))
    if (const auto step = step_of(name)) found.push_back({*step, directory_ / name});
  std::ranges::sort(found, {}, &Checkpoint::step);
  return found;
}

// Reads the files of result.checkpoint. Returns what is wrong with it, empty where it is good.
std::string CheckpointStore::read(VerifiedCheckpoint& result, const Wanted& wanted) const {
  const Checkpoint& checkpoint = result.checkpoint;
  Manifest manifest;
  std::string why = damage(checkpoint, [&] { manifest = read_manifest(files_, checkpoint); });
  if (manifest.version != Manifest::kVersion)
    fail(ErrorKind::data, "{} is of version {}, but this gesso reads version {}; use the gesso that made it",
         checkpoint.directory.string(), manifest.version, Manifest::kVersion);
  if (why.empty())
    why = damage(checkpoint, [&] {
      for (const Manifest::File& file : manifest.files)
        if (wanted(file.name, manifest)) result.files[file.name] = read_file(files_, checkpoint.directory, file);
    });
  if (!why.empty()) result.files.clear();
  return why;
}

VerifiedCheckpoint CheckpointStore::load(const Checkpoint& checkpoint, const Wanted& wanted) const {
  VerifiedCheckpoint result{.checkpoint = checkpoint, .files = {}, .damaged = {}};
  if (const std::string why = read(result, wanted); !why.empty())
    fail(ErrorKind::data, "{} cannot be used: {}", checkpoint.directory.string(), why);
  return result;
}

VerifiedCheckpoint CheckpointStore::load_newest(const Wanted& wanted) const {
  VerifiedCheckpoint result;
  std::vector<Checkpoint> all = list();
  while (!all.empty()) {
    result.checkpoint = all.back();
    const std::string why = read(result, wanted);
    if (why.empty()) return result;
    const auto is_same = [&](const Checkpoint& other) { return other.directory == all.back().directory; };
    if (std::vector<Checkpoint> now = list(); std::ranges::none_of(now, is_same)) {
      all = std::move(now);  // whoever writes here removed it meanwhile: it has newer ones
      result.damaged.clear();
      continue;
    }
    result.damaged.push_back({all.back(), why});
    all.pop_back();
  }
  if (result.damaged.empty())
    fail(ErrorKind::data, "no checkpoint in {}; expected folders {}<digits> there, as gesso train writes them",
         directory_.string(), kPrefix);
  fail(ErrorKind::data, "no checkpoint in {} can be used: {}", directory_.string(), reasons(result.damaged));
}

void CheckpointStore::prepare() {
  make_directories(files_, directory_);
  // Their names, and those of checkpoints, are on disk then also where a process made them that was killed before it
  // could say so, or was refused. Directories further up may be closed to us.
  Path above = directory_of(directory_);
  sync_directory(files_, above);
  for (; above != directory_of(above); above = directory_of(above))
    ignoring_errors([&] { sync_directory(files_, directory_of(above)); });
  remove_leftovers(files_, directory_);  // may be what a disk is full of
  sync_names();
}

// A sync that follows a failed one may find nothing left to write, and prove nothing; with a new name it writes them
// all.
void CheckpointStore::sync_names() {
  const Path name = directory_ / kNewName;
  const auto remove_it = [&] { remove_all(files_, name); };
  remove_it();  // that of a process that was killed here
  make_directory(files_, name);
  try {
    sync_directory(files_, directory_);
  } catch (const Error&) {
    ignoring_errors(remove_it);
    throw;
  }
  ignoring_errors(remove_it);
}

CheckpointStore::Saved CheckpointStore::save(std::int64_t step, std::span<const CheckpointFile> files) {
  Saved saved{directory_ / name_of(step), {}};
  const Path temporary = directory_ / (std::string(kTemporaryPrefix) + name_of(step));
  ignoring_errors([&] { remove_leftovers(files_, directory_); });
  try {
    write_directory(files_, temporary, step, files);
    rename(files_, temporary, saved.directory);
  } catch (...) {
    ignoring_errors([&] { remove_all(files_, temporary); });
    throw;
  }
  try {
    sync_directory(files_, directory_);
  } catch (const std::exception& error) {  // it is there: not even a want of memory may say otherwise
    saved.doubt = words_of(error);
  }
  return saved;
}

void CheckpointStore::remove(std::span<const Checkpoint> old) {
  if (old.empty()) return;
  std::exception_ptr first;
  const auto go_on_after = [&](auto&& work) {
    try {
      work();
    } catch (const Error&) {
      if (!first) first = std::current_exception();
    }
  };
  for (const Checkpoint& checkpoint : old)
    go_on_after([&] {
      rename(files_, checkpoint.directory,
             directory_ / (std::string(kTrashPrefix) + checkpoint.directory.filename().string()));
    });
  go_on_after([&] {
    sync_directory(files_, directory_);  // else a cut could bring back one that is half removed
    remove_leftovers(files_, directory_);
  });
  if (first) std::rethrow_exception(first);
}

void CheckpointStore::keep_newest(std::int64_t keep) {
  const std::vector<Checkpoint> all = list();
  if (keep <= 0 || std::cmp_less_equal(all.size(), keep)) return;
  remove(std::span(all).first(all.size() - static_cast<std::size_t>(keep)));
}

void CheckpointStore::remove_from(std::int64_t step) {
  const std::vector<Checkpoint> all = list();
  const auto first = std::ranges::lower_bound(all, step, {}, &Checkpoint::step);
  remove(std::span(first, all.end()));
}

Path CheckpointStore::set_aside(const Checkpoint& damaged) {
  const std::string name = std::string(kDamaged) + damaged.directory.filename().string();
  const std::vector<std::string> taken = list_if_there(files_, directory_);
  std::string free = name;
  for (int i = 2; std::ranges::find(taken, free) != taken.end(); ++i) free = fmt::format("{}-{}", name, i);
  rename(files_, damaged.directory, directory_ / free);
  sync_directory(files_, directory_);
  return directory_ / free;
}

}  // namespace gesso
