#include "train/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "train/file_calls.h"

namespace gesso {

AppendFile::AppendFile(Path path, Open how) : path_(std::move(path)) {
  const int how_to = how == Open::new_file ? O_WRONLY | O_EXCL : O_RDWR;
  descriptor_ = open(path_.c_str(), O_APPEND | O_CREAT | O_CLOEXEC | how_to, 0666);
  if (descriptor_ < 0) fail_io("write", path_, errno);
  whole_ = lseek(descriptor_, 0, SEEK_END);
  char last = '\n';
  if (whole_ > 0) in_line_ = pread(descriptor_, &last, 1, whole_ - 1) == 1 && last != '\n';
}

AppendFile::~AppendFile() { close(descriptor_); }

void AppendFile::append(std::string_view record) {
  if (!in_line_) return write(record);
  write('\n' + std::string(record));
  in_line_ = false;
}

void AppendFile::write(std::string_view record) {
  if (torn_ && !shorten()) fail_io("shorten", path_, errno);
  const IoResult result = write_all(posix_file_system(), descriptor_, std::as_bytes(std::span(record)));
  if (result.error != 0) {
    torn_ = result.value > 0 && !shorten();
    fail_io("write", path_, result.error);
  }
  whole_ += static_cast<std::int64_t>(record.size());
}

bool AppendFile::shorten() {
  torn_ = ftruncate(descriptor_, whole_) != 0;
  return !torn_;
}

}  // namespace gesso
