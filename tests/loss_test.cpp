#include "ops/loss.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <string>

namespace gesso {
namespace {

std::string message_of(DeviceKind kind, std::int32_t bad) {
  Device& on = device(kind);
  const Tensor logits = Tensor::zeros({{2, 3}, DType::f32}, on);
  const Tensor index = Tensor::from_host<std::int32_t>(std::array{2, bad}, {2}, on);
  try {
    ops::cross_entropy(logits, index);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_SUITE("loss") {
  TEST_CASE("an index without a class is an error that names it and its place") {
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
      CHECK(message_of(kind, 3) == "cross_entropy: index 3 at position 1 of [2] i32 does not lie in [0, 3)");
      CHECK(message_of(kind, -1) == "cross_entropy: index -1 at position 1 of [2] i32 does not lie in [0, 3)");
    }
  }

  TEST_CASE("cross entropy of huge logits neither overflows nor loses the small ones") {
    Device& cpu = device(DeviceKind::cpu);
    const Tensor logits = Tensor::from_host<float>(std::array{1e4f, 1e4f, -1e4f}, {1, 3}, cpu);
    const Tensor index = Tensor::from_host<std::int32_t>(std::array{1}, {1}, cpu);
    CHECK(ops::cross_entropy(logits, index).to_host<float>()[0] == doctest::Approx(std::log(2.0)));
    const Tensor last = Tensor::from_host<std::int32_t>(std::array{2}, {1}, cpu);
    CHECK(ops::cross_entropy(logits, last).to_host<float>()[0] == doctest::Approx(2e4 + std::log(2.0)));
  }
}

}  // namespace gesso
