// A FileSystem as gesso uses it: calls are repeated where a signal interrupted them and until all bytes went through;
// what the system refuses is thrown as ErrorKind::io with call, path and the system's words, and as ErrorKind::memory
// where it lacks memory.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "train/file_system.h"

namespace gesso {

// Names of what is being written, or removed: not there for those who look for finished things.
inline constexpr std::string_view kTemporaryPrefix = ".tmp-", kTrashPrefix = ".trash-";

// An open handle; closed at the end, whatever happened.
class OpenFile {
 public:
  static OpenFile to_read(FileSystem& system, const Path& path);
  // none: there is nothing of that name.
  static std::optional<OpenFile> to_read_if_there(FileSystem& system, const Path& path);
  static OpenFile to_write(FileSystem& system, const Path& path) { return to_write(system, path, path); }  // a new file
  // As above, of a file that shall be `final_path` in the end: messages name that.
  static OpenFile to_write(FileSystem& system, const Path& path, const Path& final_path);
  static OpenFile directory(FileSystem& system, const Path& path);
  // See FileSystem::lock_file. none: another handle has the lock.
  static std::optional<OpenFile> locked(FileSystem& system, const Path& path, std::string_view text);
  OpenFile(OpenFile&& other) noexcept;
  OpenFile& operator=(OpenFile&&) = delete;
  ~OpenFile();

  std::uint64_t size() const;
  const Path& path() const { return path_; }
  // Fills `to` from the current position on, which moves; less only at the end of the file. Returns the bytes read.
  std::size_t read(std::span<std::byte> to) const;
  // Moves the current position to `offset` bytes behind the beginning.
  void seek(std::uint64_t offset) const;
  void write(std::span<const std::byte> bytes) const;
  // On a file system that cannot sync this kind of file there is no more to ask of it.
  void sync() const;
  // Tells what a late failure of writing the system reports here. After sync() nothing depends on an interrupted one.
  void close();

 private:
  static constexpr int kClosed = -1;
  // The path is there before the file is opened, so that no want of memory comes between.
  OpenFile(FileSystem& system, Path path, int handle) : system_(&system), path_(std::move(path)), handle_(handle) {}
  FileSystem* system_;
  Path path_;
  int handle_;
};

// The directory that a path lies in: "." where it names none.
Path directory_of(const Path& path);

// The whole content, none where there is no such file. Throws ErrorKind::data above `max_bytes`.
std::optional<std::vector<std::byte>> read_file_if_there(FileSystem& system, const Path& path, std::uint64_t max_bytes);

void sync_directory(FileSystem& system, const Path& path);
void make_directory(FileSystem& system, const Path& path);  // a new one
// Made durably with those above it that are missing; one that is there is good.
void make_directories(FileSystem& system, const Path& path);
void rename(FileSystem& system, const Path& from, const Path& to);
// A file, or a directory with all in it; gone already is good. Not in one piece: rename it out of sight before.
void remove_all(FileSystem& system, const Path& path);
// The names in a directory without "." and "..", sorted.
std::vector<std::string> list_directory(FileSystem& system, const Path& path);
// As above; none in a directory that is not there.
std::vector<std::string> list_if_there(FileSystem& system, const Path& path);

// Writes until all went through or the system refuses; value: how many bytes did.
IoResult write_all(FileSystem& system, int handle, std::span<const std::byte> bytes);

// Throws as every call here does.
[[noreturn]] void fail_io(std::string_view verb, const Path& path, int error);

}  // namespace gesso
