// One process to a run directory.
#pragma once

#include "train/file_calls.h"

namespace gesso {

inline constexpr const char* kLockFile = "lock";

// Held while it lives, and given back by the system where the process is killed. The file `lock` stays: removing it
// would let two processes lock two files of that name.
class RunLock {
 public:
  // On a directory that is there. Throws ErrorKind::usage, saying which process has it, where another one does.
  RunLock(FileSystem& files, const Path& run);

 private:
  OpenFile file_;
};

}  // namespace gesso
