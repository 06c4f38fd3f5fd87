// Signals as a run takes them (docs/runs.md): SIGTERM and the first SIGINT save and stop, a second SIGINT stops at
// once, SIGUSR1 saves, SIGUSR2 makes pictures; where those who watch are gone (SIGPIPE) it goes on untold.
#pragma once

#include "train/run_controls.h"

namespace gesso {

// From now on the signals of this process set what is returned.
RunControls& controls_by_signals();

}  // namespace gesso
