// Ops that drop their result in the same pass, held against themselves and then dropout: bit for bit.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <vector>

#include "core/tape.h"
#include "ops/dropout.h"
#include "ops/group_norm.h"

namespace gesso {

inline Tensor random_tensor(std::mt19937_64& random, const Shape& shape, Device& device) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  for (float& value : values) value = normal(random);
  return Tensor::from_host<float>(values, shape, device);
}

inline std::vector<float> joined(const std::vector<Tensor>& tensors) {
  std::vector<float> all;
  for (const Tensor& t : tensors) {
    const std::vector<float> values = t.to_host<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

// y and the gradients of `leaves`, of f's result, whose gradient is `dy`.
template <class F>
std::vector<float> both_passes(const Tensors& leaves, const Tensor& dy, F&& f) {
  Tape tape;
  for (const Tensor& leaf : leaves) tape.watch(leaf);
  const Tensor y = f();
  Tensors all = tape.backward(Tensors{y}, Tensors{dy}, leaves);
  all.push_back(y);
  return joined(all);
}

// y and all gradients of group_norm that drops, against group_norm and dropout after it.
inline void check_group_norm_drops(std::mt19937_64& random, const Shape& shape, bool silu, Device& device) {
  const Tensor x = random_tensor(random, shape, device), dy = random_tensor(random, shape, device);
  const Tensor weight = random_tensor(random, {shape.back()}, device),
               bias = random_tensor(random, {shape.back()}, device);
  const Tensor step = Tensor::from_host<std::int64_t>(std::array<std::int64_t, 1>{3}, {1}, device);
  const ops::DropoutAttrs dropout{.rate = 0.3, .key = 5, .first_sample = 2};
  const auto fused = both_passes({x, weight, bias}, dy, [&] {
    return ops::group_norm(x, weight, bias, {.groups = 3, .silu = silu, .dropout = dropout}, step).y;
  });
  const auto composed = both_passes({x, weight, bias}, dy, [&] {
    return ops::dropout(ops::group_norm(x, weight, bias, {.groups = 3, .silu = silu}).y, step, dropout);
  });
  CHECK(fused == composed);
}

}  // namespace gesso
