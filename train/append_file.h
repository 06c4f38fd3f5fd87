// A file that grows by whole records: metrics.jsonl, event files.
#pragma once

#include <cstdint>
#include <string_view>

#include "train/files.h"

namespace gesso {

// What append() has returned from outlives the process, though not the power: nothing is synced.
class AppendFile {
 public:
  enum class Open : bool { new_file, at_end };

  // new_file: throws where something has that name. at_end: made where it is missing; behind a torn line a new one
  // begins.
  AppendFile(Path path, Open how);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // Throws ErrorKind::io where the system refuses; of the record nothing stays then, or is taken away before the next
  // one: half of it would spoil what follows.
  void append(std::string_view record);
  const Path& path() const { return path_; }

 private:
  void write(std::string_view record);
  bool shorten();  // to whole records; false where the system refuses

  Path path_;
  int descriptor_;
  std::int64_t whole_ = 0;  // bytes of whole records
  bool torn_ = false;       // more than those stand in the file
  bool in_line_ = false;    // what stood there has no end of a line
};

}  // namespace gesso
