// The larger error of two, as tests look for the largest.
#pragma once

#include <cmath>

namespace gesso {

// What is no number is worse than all that are; std::max would pass over it.
inline double worse(double a, double b) { return b <= a || std::isnan(a) ? a : b; }

}  // namespace gesso
