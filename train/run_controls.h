// What is asked of a run while it goes on, by signals or other threads. The run looks after every step, after its
// pictures and between the pictures of its last evaluation.
#pragma once

#include <atomic>

namespace gesso {

struct RunControls {
  std::atomic<bool> stop = false;        // save and return
  std::atomic<bool> checkpoint = false;  // save after this step; the run takes it back
  std::atomic<bool> pictures = false;    // make pictures after this step; the run takes it back
  // Set by the run once it will look. Before, all that it may have written is what the next start writes anew.
  std::atomic<bool> looked_after = false;
};

}  // namespace gesso
