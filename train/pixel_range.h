// Between pixels as they are stored, 8 or 16 bits a value, and as models see them: f32 in [-0.5, 0.5].
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/tensor.h"
#include "train/image.h"

namespace gesso {

// [N,H,W,C] u8 or u16 -> f32; the full range becomes [-0.5, 0.5].
Tensor normalise_images(const Tensor& images);

// Clamped before the cast, then rounded.
template <class T>
T to_pixel(float value) {
  constexpr auto kFull = static_cast<float>(std::numeric_limits<T>::max());
  return static_cast<T>(std::lround(std::clamp(value + 0.5f, 0.0f, 1.0f) * kFull));
}
// x: [N,H,W,C] f32.
template <class T>
std::vector<BasicImage<T>> pictures_of(const Tensor& x);

}  // namespace gesso
