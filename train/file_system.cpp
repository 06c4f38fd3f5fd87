#include "train/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

namespace gesso {
namespace {

// The result of a call that answers -1 where it failed.
IoResult result_of(std::int64_t answer) { return answer < 0 ? IoResult{.error = errno} : IoResult{.value = answer}; }

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

class PosixFileSystem final : public FileSystem {
 public:
  IoResult open_file(const Path& path) override { return result_of(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); }
  IoResult open_directory(const Path& path) override {
    return result_of(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  IoResult create_file(const Path& path) override {
    return result_of(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  }
  IoResult lock_file(const Path& path, std::string_view text) override {
    const IoResult opened = result_of(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (opened.error != 0) return opened;
    const auto handle = static_cast<int>(opened.value);
    IoResult done = result_of(::flock(handle, LOCK_EX | LOCK_NB));
    if (done.error == 0) done = result_of(::ftruncate(handle, 0));
    if (done.error == 0) done = result_of(::write(handle, text.data(), text.size()));
    if (done.error == 0) return opened;
    ::close(handle);
    return done;
  }
  IoResult size(int handle) override {
    struct stat status {};
    const IoResult done = result_of(::fstat(handle, &status));
    return done.error != 0 ? done : IoResult{.value = status.st_size};
  }
  IoResult read(int handle, std::span<std::byte> to) override {
    return result_of(::read(handle, to.data(), to.size()));
  }
  IoResult seek(int handle, std::uint64_t offset) override {
    if (!std::in_range<off_t>(offset)) return {.error = EOVERFLOW};
    return result_of(::lseek(handle, static_cast<off_t>(offset), SEEK_SET));
  }
  IoResult write(int handle, std::span<const std::byte> bytes) override {
    return result_of(::write(handle, bytes.data(), bytes.size()));
  }
  IoResult sync(int handle) override { return result_of(::fsync(handle)); }
  IoResult close(int handle) override { return result_of(::close(handle)); }
  IoResult make_directory(const Path& path) override { return result_of(::mkdir(path.c_str(), 0777)); }
  IoResult rename(const Path& from, const Path& to) override { return result_of(::rename(from.c_str(), to.c_str())); }
  IoResult remove(const Path& path) override { return result_of(::remove(path.c_str())); }
  IoResult list(const Path& path, std::vector<std::string>& names) override {
    // Not by std::filesystem, whose iterator ends the program where it finds no memory.
    names.clear();
    const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
    if (!directory) return {.error = errno};
    while (true) {
      errno = 0;  // readdir answers with nothing at the end, too
      const dirent* entry = ::readdir(directory.get());
      if (entry == nullptr) return {.error = errno};
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem system;
  return system;
}

}  // namespace gesso
