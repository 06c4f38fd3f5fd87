// Directories of files, one a step, each there whole or not at all, whatever happens while it is written: a kill, a
// power cut, a full disk. It knows no tensors. One process may write into a store (train/run_lock.h sees to that); any
// number may read.
//
//   step-00000042/           finished: renamed when all of it was on disk
//   .tmp-step-00000042/      being written, or left by a process that was killed while it wrote
//   .trash-step-00000040/    being removed
//   damaged-step-00000041/   found damaged; gesso never removes it
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "train/file_system.h"

namespace gesso {

struct Manifest;

struct Checkpoint {
  std::int64_t step = 0;  // how many were done
  Path directory;
};

// A file to be saved: its content piece by piece.
struct CheckpointFile {
  std::string name;
  std::vector<std::span<const std::byte>> parts;
};

// Read, and found to have every byte that was saved.
struct VerifiedCheckpoint {
  Checkpoint checkpoint;
  std::map<std::string, std::vector<std::byte>> files;  // by name

  struct Damaged {
    Checkpoint checkpoint;
    std::string why;
  };
  std::vector<Damaged> damaged;  // newer ones, which could not be used
};

class CheckpointStore {
 public:
  using Wanted = std::function<bool(std::string_view name, const Manifest& manifest)>;

  // On a directory that need not be there yet.
  CheckpointStore(Path directory, FileSystem& files) : directory_(std::move(directory)), files_(files) {}

  // Those that are finished, by rising step; nothing is said of their content.
  std::vector<Checkpoint> list() const;
  // The newest one that has every byte that was saved. Only files that are `wanted` are read. Changes nothing. Throws
  // ErrorKind::data where none is good, with the reasons, or where one is of a version that is not known; and
  // ErrorKind::io where the system refuses to read: what cannot be read now is not taken for damaged.
  VerifiedCheckpoint load_newest(const Wanted& wanted) const;
  // That one. Throws as load_newest().
  VerifiedCheckpoint load(const Checkpoint& checkpoint, const Wanted& wanted) const;

  // Before the first of the following calls: makes the directory, durably, with what is in it, and removes what killed
  // processes left. Throws ErrorKind::io where the system refuses.
  void prepare();
  // Puts the names of all checkpoints that are there on disk, for certain. Throws ErrorKind::io where that failed.
  void sync_names();
  struct Saved {
    Path directory;
    std::string doubt;  // empty: it is on disk; else why that is not sure
  };
  // Throws ErrorKind::io where the system refuses; the checkpoints that are there are not touched.
  Saved save(std::int64_t step, std::span<const CheckpointFile> files);
  // Removes all but the newest `keep`; 0 keeps all. Throws the first ErrorKind::io after it has removed what it can.
  void keep_newest(std::int64_t keep);
  // Removes those of this step and of later ones. Throws as keep_newest().
  void remove_from(std::int64_t step);
  // Takes a damaged one out of the way. Returns where it is now.
  Path set_aside(const Checkpoint& damaged);

 private:
  std::string read(VerifiedCheckpoint& result, const Wanted& wanted) const;
  void remove(std::span<const Checkpoint> old);

  Path directory_;
  FileSystem& files_;
};

}  // namespace gesso
