#include "train/file_calls.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace gesso {
namespace {

ErrorKind kind_of(int error) { return error == ENOMEM ? ErrorKind::memory : ErrorKind::io; }

// Repeats an interrupted call. A system that interrupts without end is not waited for.
template <class Call>
IoResult uninterrupted(Call&& call) {
  constexpr int kMostTries = 1000;
  IoResult result = call();
  for (int i = 1; i < kMostTries && result.error == EINTR; ++i) result = call();
  return result;
}

template <class Call>
std::int64_t done(std::string_view verb, const Path& path, Call&& call) {
  const IoResult result = uninterrupted(call);
  if (result.error != 0) fail_io(verb, path, result.error);
  return result.value;
}

IoResult list_sorted(FileSystem& system, const Path& path, std::vector<std::string>& names) {
  const IoResult result = uninterrupted([&] { return system.list(path, names); });
  std::ranges::sort(names);
  return result;
}

}  // namespace

void fail_io(std::string_view verb, const Path& path, int error) {
  fail(kind_of(error), "cannot {} {}: {}", verb, path.string(), std::generic_category().message(error));
}

OpenFile OpenFile::to_read(FileSystem& system, const Path& path) {
  return {system, path, static_cast<int>(done("open", path, [&] { return system.open_file(path); }))};
}

std::optional<OpenFile> OpenFile::to_read_if_there(FileSystem& system, const Path& path) {
  OpenFile file(system, path, kClosed);
  const IoResult opened = uninterrupted([&] { return system.open_file(path); });
  if (opened.error == ENOENT || opened.error == ENOTDIR) return std::nullopt;
  if (opened.error != 0) fail_io("open", path, opened.error);
  file.handle_ = static_cast<int>(opened.value);
  return file;
}

OpenFile OpenFile::to_write(FileSystem& system, const Path& path, const Path& final_path) {
  return {system, final_path, static_cast<int>(done("write", final_path, [&] { return system.create_file(path); }))};
}

OpenFile OpenFile::directory(FileSystem& system, const Path& path) {
  return {system, path, static_cast<int>(done("open for syncing", path, [&] { return system.open_directory(path); }))};
}

std::optional<OpenFile> OpenFile::locked(FileSystem& system, const Path& path, std::string_view text) {
  OpenFile file(system, path, kClosed);
  const IoResult locked = uninterrupted([&] { return system.lock_file(path, text); });
  if (locked.error == EWOULDBLOCK) return std::nullopt;
  if (locked.error != 0) fail_io("lock", path, locked.error);
  file.handle_ = static_cast<int>(locked.value);
  return file;
}

OpenFile::OpenFile(OpenFile&& other) noexcept
    : system_(other.system_), path_(std::move(other.path_)), handle_(std::exchange(other.handle_, kClosed)) {}

OpenFile::~OpenFile() {
  if (handle_ >= 0) system_->close(handle_);
}

std::uint64_t OpenFile::size() const {
  return static_cast<std::uint64_t>(done("look at", path_, [&] { return system_->size(handle_); }));
}

std::size_t OpenFile::read(std::span<std::byte> to) const {
  std::size_t filled = 0;
  while (filled < to.size()) {
    const std::int64_t got = done("read", path_, [&] { return system_->read(handle_, to.subspan(filled)); });
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

void OpenFile::seek(std::uint64_t offset) const {
  done("move within", path_, [&] { return system_->seek(handle_, offset); });
}

void OpenFile::write(std::span<const std::byte> bytes) const {
  if (const IoResult result = write_all(*system_, handle_, bytes); result.error != 0)
    fail_io("write", path_, result.error);
}

void OpenFile::sync() const {
  const IoResult result = uninterrupted([&] { return system_->sync(handle_); });
  if (result.error != 0 && result.error != EINVAL) fail_io("sync", path_, result.error);
}

void OpenFile::close() {
  const IoResult result = system_->close(std::exchange(handle_, kClosed));
  if (result.error != 0 && result.error != EINTR) fail_io("write", path_, result.error);
}

IoResult write_all(FileSystem& system, int handle, std::span<const std::byte> bytes) {
  IoResult all;
  while (!bytes.empty()) {
    const IoResult piece = uninterrupted([&] { return system.write(handle, bytes); });
    if (piece.error != 0 || piece.value == 0)  // no progress and no error: no way to go on
      return {.value = all.value, .error = piece.error != 0 ? piece.error : EIO};
    all.value += piece.value;
    bytes = bytes.subspan(static_cast<std::size_t>(piece.value));
  }
  return all;
}

Path directory_of(const Path& path) {
  const Path parent = path.parent_path();
  return parent.empty() ? Path(".") : parent;
}

std::optional<std::vector<std::byte>> read_file_if_there(FileSystem& system, const Path& path,
                                                         std::uint64_t max_bytes) {
  const std::optional<OpenFile> file = OpenFile::to_read_if_there(system, path);
  if (!file) return std::nullopt;
  const std::uint64_t expected = file->size();
  if (expected > max_bytes)
    fail(ErrorKind::data, "{} has {} bytes; at most {} are read", path.string(), expected, max_bytes);
  std::vector<std::byte> bytes(static_cast<std::size_t>(expected));
  bytes.resize(file->read(bytes));
  return bytes;
}

void sync_directory(FileSystem& system, const Path& path) {
  const OpenFile directory = OpenFile::directory(system, path);
  directory.sync();
}

void make_directory(FileSystem& system, const Path& path) {
  done("make the directory", path, [&] { return system.make_directory(path); });
}

void make_directories(FileSystem& system, const Path& path) {
  // "runs/a/" is "runs/a"; only that has a directory that it lies in.
  if (!path.has_filename() && path.has_relative_path()) return make_directories(system, path.parent_path());
  IoResult made = uninterrupted([&] { return system.make_directory(path); });
  if (made.error == ENOENT && directory_of(path) != path) {
    make_directories(system, directory_of(path));
    made = uninterrupted([&] { return system.make_directory(path); });
  }
  if (made.error == 0) return sync_directory(system, directory_of(path));
  if (made.error != EEXIST) fail_io("make the directory", path, made.error);
  const IoResult opened = uninterrupted([&] { return system.open_directory(path); });
  if (opened.error == ENOTDIR) fail_io("make the directory", path, ENOTDIR);
  if (opened.error == 0) system.close(static_cast<int>(opened.value));
}

void rename(FileSystem& system, const Path& from, const Path& to) {
  const IoResult result = uninterrupted([&] { return system.rename(from, to); });
  if (result.error == 0) return;
  fail(kind_of(result.error), "cannot rename {} to {}: {}", from.string(), to.string(),
       std::generic_category().message(result.error));
}

void remove_all(FileSystem& system, const Path& path) {
  const auto remove = [&] { return uninterrupted([&] { return system.remove(path); }); };
  IoResult result = remove();
  if (result.error == ENOTEMPTY || result.error == EEXIST) {
    for (const std::string& name : list_if_there(system, path)) remove_all(system, path / name);
    result = remove();
  }
  if (result.error != 0 && result.error != ENOENT) fail_io("remove", path, result.error);
}

std::vector<std::string> list_directory(FileSystem& system, const Path& path) {
  std::vector<std::string> names;
  if (const IoResult result = list_sorted(system, path, names); result.error != 0) fail_io("list", path, result.error);
  return names;
}

std::vector<std::string> list_if_there(FileSystem& system, const Path& path) {
  std::vector<std::string> names;
  const IoResult result = list_sorted(system, path, names);
  if (result.error != 0 && result.error != ENOENT) fail_io("list", path, result.error);
  return names;
}

}  // namespace gesso
