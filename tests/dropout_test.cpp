// Ops that drop their result in the same pass: bit for bit what they and then dropout give.
#include "ops/dropout.h"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <vector>

#include "core/isa.h"
#include "core/tape.h"
#include "ops/group_norm.h"
#include "tests/support.h"

namespace gesso {
namespace {

Tensor random_tensor(std::mt19937_64& random, const Shape& shape, Device& device) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  for (float& value : values) value = normal(random);
  return Tensor::from_host<float>(values, shape, device);
}

std::vector<float> joined(const std::vector<Tensor>& tensors) {
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

void check_group_norm(std::mt19937_64& random, const Shape& shape, bool silu, Device& device) {
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

TEST_SUITE("dropout") {
  TEST_CASE("group_norm that drops gives the bits of group_norm and dropout, both ways") {
    const std::uint64_t seed = test_seed();
    INFO("seed ", seed);
    std::mt19937_64 random(seed);
    const Isa before = isa();
    // Rows that begin at any bit of a byte, and samples that end at any.
    for (const Shape& shape : {Shape{3, 5, 4, 12}, Shape{2, 7, 111}, Shape{2, 33, 9, 48}})
      for (const bool silu : {false, true}) {
        for (const Isa with : supported_isas()) {
          set_isa(with);
          INFO(shape.text(), silu ? " silu" : "", " on ", std::string(name_of(with)));
          check_group_norm(random, shape, silu, device(DeviceKind::cpu));
        }
        INFO(shape.text(), silu ? " silu" : "", " emulated");
        if (shape.count() < 1000) check_group_norm(random, shape, silu, device(DeviceKind::emulated));
      }
    set_isa(before);
  }
}

}  // namespace
}  // namespace gesso
