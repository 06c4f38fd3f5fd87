// Makes a step again that stopped a run, from what was kept of it.
#pragma once

#include <functional>
#include <string>

#include "train/first_bad.h"
#include "train/step_dump.h"

namespace gesso {

struct ReplayRequest {
  Path run;
  std::string dump = {};             // name; empty: the newest
  std::string device = {};           // name; empty: the one that the step was made on
  ResultWatch::Tell tell = nullptr;  // of each result of the step's ops; null: nobody asks
};

struct Replay {
  Path directory;     // of the dump
  StepRecord before;  // what was kept
  StepRecord now;
};
// Changes nothing on disk. Throws what open_step_dump() and read_step_dump() throw; ErrorKind::usage where there is no
// such device here.
Replay replay_step(const ReplayRequest& request);

}  // namespace gesso
