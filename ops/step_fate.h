// What becomes of a step: its verdict, and what a window of steps keeps of it. Plain C, for the kernels' sake.
#pragma once

#include <stdint.h>

namespace gesso::ops {

enum class StepVerdict : uint8_t {
  passed,      // nothing is strange
  spike,       // a spike that is let through
  skipped,     // a spike: this step changes nothing
  too_many,    // a spike more than may be skipped: nothing is changed from now on
  not_finite,  // nothing is changed from now on
};
constexpr bool stops(StepVerdict verdict) { return verdict >= StepVerdict::too_many; }

// What stands in the window's third row: numbers of its type, so no enumeration. 0: there is no step.
constexpr int kPassedFate = 1, kSkippedFate = 2;

constexpr int kMostStepsKnown = 1024;  // the longest window

}  // namespace gesso::ops
