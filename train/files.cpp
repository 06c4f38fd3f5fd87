#include "train/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <exception>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace gesso {
namespace {

// "runs/a/" is the directory "runs/a"; its last part must not be empty here.
Path without_trailing_slash(Path path) { return path.has_filename() ? path : path.parent_path(); }

// A name beside `path` that nothing has: the process and a count within it. Killed processes leave theirs, and in
// containers numbers come again.
Path name_beside(const Path& path) {
  static std::atomic<unsigned> count = 0;
  std::error_code ignored;
  Path free;
  do
    free =
        directory_of(path) / fmt::format("{}{}-{}-{}", kTemporaryPrefix, path.filename().string(), getpid(), ++count);
  while (std::filesystem::exists(free, ignored));
  return free;
}

// What name_beside() made this name for; none where it did not make it.
std::optional<UnfinishedFile> unfinished_file(std::string_view name) {
  if (!name.starts_with(kTemporaryPrefix)) return std::nullopt;
  name.remove_prefix(kTemporaryPrefix.size());
  std::int64_t number = 0;  // the count, then the process
  for (int numbers = 0; numbers < 2; ++numbers) {
    const std::size_t dash = name.find_last_not_of("0123456789");
    if (dash == std::string_view::npos || name[dash] != '-') return std::nullopt;
    if (std::from_chars(name.data() + dash + 1, name.data() + name.size(), number).ec != std::errc())
      return std::nullopt;
    name = name.substr(0, dash);
  }
  if (number > std::numeric_limits<pid_t>::max()) return std::nullopt;
  return UnfinishedFile{name, static_cast<pid_t>(number)};
}

void sync_path(const Path& path) { OpenFile::to_read(posix_file_system(), path).sync(); }

// The name is there when this fails, so what is reported is not that the saving failed.
void sync_name(const Path& path) {
  try {
    sync_directory(posix_file_system(), directory_of(path));
  } catch (const Error& error) {
    fail(ErrorKind::io, "{} is saved, but not surely on disk: {}", path.string(), error.what());
  }
}

}  // namespace

std::vector<std::byte> read_file(const Path& path, std::size_t max_bytes) {
  const OpenFile file = OpenFile::to_read(posix_file_system(), path);
  const std::uint64_t expected = file.size();
  if (expected > max_bytes)
    fail(ErrorKind::data, "{} has {} bytes; at most {} are read", path.string(), expected, max_bytes);
  // One byte more than expected shows that the end is reached. Pipes and the like have size 0: grow as it comes.
  std::vector<std::byte> bytes(static_cast<std::size_t>(expected) + 1);
  std::size_t filled = 0;
  while (true) {
    filled += file.read(std::span(bytes).subspan(filled));
    if (filled > max_bytes)
      fail(ErrorKind::data, "{} has more than the {} bytes that are read", path.string(), max_bytes);
    if (filled < bytes.size()) break;
    bytes.resize(bytes.size() + std::min(bytes.size() + 4096, max_bytes - filled + 1));
  }
  bytes.resize(filled);
  return bytes;
}

std::string read_text_file(const Path& path, std::size_t max_bytes) {
  const std::vector<std::byte> bytes = read_file(path, max_bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

AtomicFile::AtomicFile(Path path)
    : path_(std::move(path)),
      temporary_(name_beside(path_)),
      file_(OpenFile::to_write(posix_file_system(), temporary_, path_)) {}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) posix_file_system().remove(temporary_);
}

void AtomicFile::commit() {
  file_.sync();
  file_.close();
  rename(posix_file_system(), temporary_, path_);
  temporary_.clear();
  sync_name(path_);
}

void write_file_atomically(const Path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const Path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text)));
}

void remove_unfinished(const Path& directory, const std::function<bool(const UnfinishedFile&)>& ours) {
  std::vector<std::string> names;
  posix_file_system().list(directory, names);
  for (const std::string& name : names)
    if (const auto file = unfinished_file(name); file && ours(*file))
      if (std::error_code ignored; is_regular_file(symlink_status(directory / name, ignored)))
        posix_file_system().remove(directory / name);
}

StagedDirectory::StagedDirectory(Path final_path)
    : final_path_(without_trailing_slash(std::move(final_path))), temporary_(name_beside(final_path_)) {
  if (std::error_code ignored; std::filesystem::exists(final_path_, ignored))
    fail(ErrorKind::io, "cannot write {}: it exists already", final_path_.string());
  make_directory(posix_file_system(), temporary_);
}

StagedDirectory::~StagedDirectory() {
  try {
    if (!temporary_.empty()) remove_all(posix_file_system(), temporary_);
  } catch (const std::exception&) {  // it stays, under a name that says what it is
  }
}

void StagedDirectory::publish() {
  for (const std::string& name : list_directory(temporary_)) sync_path(temporary_ / name);
  sync_directory(posix_file_system(), temporary_);
  rename(posix_file_system(), temporary_, final_path_);
  temporary_.clear();
  sync_name(final_path_);
}

FileStamp file_stamp(const Path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) fail_io("look at", path, errno);
  return {static_cast<std::uint64_t>(status.st_size),
          fmt::format("{} {}:{} {} {}.{:09} {}.{:09}", std::filesystem::absolute(path).string(), status.st_dev,
                      status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                      status.st_ctim.tv_sec, status.st_ctim.tv_nsec)};
}

void make_directories(const Path& path) { make_directories(posix_file_system(), path); }

std::vector<std::string> list_directory(const Path& path) { return list_directory(posix_file_system(), path); }

}  // namespace gesso
