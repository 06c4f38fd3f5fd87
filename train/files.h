// Files as gesso uses them: read whole within a limit, written whole or not at all. Errors are ErrorKind::io with the
// path and the system's words, except content above a limit, which is ErrorKind::data.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/file_calls.h"

namespace gesso {

// The whole content. Throws if it has more than `max_bytes`.
std::vector<std::byte> read_file(const Path& path, std::size_t max_bytes);
std::string read_text_file(const Path& path, std::size_t max_bytes);

// A file that appears under its name with commit(), durably, and until then leaves what had that name alone. Written
// under a temporary name in the same directory; without commit() nothing stays.
class AtomicFile {
 public:
  explicit AtomicFile(Path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes) { file_.write(bytes); }
  void commit();

 private:
  Path path_, temporary_;
  OpenFile file_;
};

void write_file_atomically(const Path& path, std::span<const std::byte> bytes);
void write_file_atomically(const Path& path, std::string_view text);

// A file that a process did not finish, or still writes (see AtomicFile).
struct UnfinishedFile {
  std::string_view final_name;
  pid_t process = 0;
};
// Removes those in a directory that are `ours`. What cannot be removed stays.
void remove_unfinished(const Path& directory, const std::function<bool(const UnfinishedFile&)>& ours);

// A directory of files that appears under its name with publish(), durably, whole or not at all. The files are written
// into path(), which starts with kTemporaryPrefix; without publish() it is removed.
class StagedDirectory {
 public:
  // Throws if something has the final name already.
  explicit StagedDirectory(Path final_path);
  ~StagedDirectory();
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;

  const Path& path() const { return temporary_; }
  void publish();

 private:
  Path final_path_, temporary_;
};

struct FileStamp {
  std::uint64_t size = 0;  // bytes
  // Where the file lies, which one it is (device and inode), its size, and the times of the last change of its content
  // and of its inode. Another text wherever the content was changed, also by a program that sets the first time back;
  // only two changes within one tick of the file system's clock can look alike.
  std::string text{};
};
// To be taken before the content is read: what changes in between is then read again the next time.
FileStamp file_stamp(const Path& path);

void make_directories(const Path& path);
// Names in a directory without "." and "..", sorted.
std::vector<std::string> list_directory(const Path& path);

}  // namespace gesso
