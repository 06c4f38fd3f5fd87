// A box in a larger tensor of the same rank and type: what pad and slice share. It begins at `begin`, one number a
// dimension, and lies inside.
#pragma once

#include "ops/op.h"

namespace gesso {

// box = what lies there.
void take_window(const Execution& run, const Tensor& whole, const Shape& begin, const Tensor& box);
// whole = the box, and zeros around it.
void place_window(const Execution& run, const Tensor& box, const Shape& begin, const Tensor& whole);

// The same element by element, for references.
void take_window_naively(const Tensor& whole, const Shape& begin, const Tensor& box);
void place_window_naively(const Tensor& box, const Shape& begin, const Tensor& whole);

}  // namespace gesso
