// The calls to the operating system that a durable save stands on, so that tests can refuse them, interrupt them and
// cut the power between them. As bare as the system's own: a call may be interrupted, write or read less than asked,
// and says so; train/file_calls.h repeats such calls and throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gesso {

using Path = std::filesystem::path;

struct IoResult {
  std::int64_t value = 0;  // a handle, or a number of bytes
  int error = 0;           // errno; 0: it worked
};

class FileSystem {
 public:
  FileSystem() = default;
  virtual ~FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;

  // value: a handle, until close().
  virtual IoResult open_file(const Path& path) = 0;       // to read
  virtual IoResult open_directory(const Path& path) = 0;  // to sync
  virtual IoResult create_file(const Path& path) = 0;     // to write; EEXIST where something has that name
  // Takes the lock on a file, made where it is missing, and writes `text` into it, for those who find it locked.
  // EWOULDBLOCK where another handle has it. close() gives it back, as does the end of the process.
  virtual IoResult lock_file(const Path& path, std::string_view text) = 0;

  virtual IoResult size(int handle) = 0;  // value: bytes of a file
  // value: how many bytes, from where the call before ended; 0 at the end of the file.
  virtual IoResult read(int handle, std::span<std::byte> to) = 0;
  virtual IoResult seek(int handle, std::uint64_t offset) = 0;  // the next read() begins there
  virtual IoResult write(int handle, std::span<const std::byte> bytes) = 0;
  // A file's content, or a directory's names, are on disk when it returns. After a failure nobody knows what is.
  virtual IoResult sync(int handle) = 0;
  virtual IoResult close(int handle) = 0;  // the handle is gone, also where an error is told

  virtual IoResult make_directory(const Path& path) = 0;
  // In one piece; an empty directory or a file of the new name is replaced.
  virtual IoResult rename(const Path& from, const Path& to) = 0;
  virtual IoResult remove(const Path& path) = 0;  // a file, or a directory that is empty
  // Replaces `names` by those in a directory, without "." and "..", in any order.
  virtual IoResult list(const Path& path, std::vector<std::string>& names) = 0;
};

// The operating system's; its handles are file descriptors.
FileSystem& posix_file_system();

}  // namespace gesso
