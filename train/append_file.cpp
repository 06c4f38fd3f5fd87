#include "train/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "train/file_calls.h"

namespace gesso {

AppendFile::AppendFile(Path path, Open how) : path_(std::move(path)) {
  const int when_there = how == Open::new_file ? O_EXCL : 0;
  descriptor_ = open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | when_there, 0666);
  if (descriptor_ < 0) fail_io("write", path_, errno);
  whole_ = lseek(descriptor_, 0, SEEK_END);
}

AppendFile::~AppendFile() { close(descriptor_); }

void AppendFile::append(std::string_view record) {
  if (torn_ && !shorten()) fail_io("shorten", path_, errno);
  for (std::size_t done = 0; done < record.size();) {
    const ssize_t went = write(descriptor_, record.data() + done, record.size() - done);
    if (went < 0 && errno == EINTR) continue;
    if (went < 0) {
      const int error = errno;
      torn_ = done > 0 && !shorten();
      fail_io("write", path_, error);
    }
    done += static_cast<std::size_t>(went);
  }
  whole_ += static_cast<std::int64_t>(record.size());
}

bool AppendFile::shorten() {
  torn_ = ftruncate(descriptor_, whole_) != 0;
  return !torn_;
}

}  // namespace gesso
