#include "ops/loss.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "tests/expect_error.h"

namespace gesso {

TEST_SUITE("loss") {
  TEST_CASE("an index without a class is an error that names it and its place") {
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference})
      for (const std::int32_t bad : {3, -1})
        expect_error(ErrorKind::data,
                     {fmt::format("cross_entropy: index {} at position 1 of [2] i32 does not lie in [0, 3)", bad)},
                     [&] {
                       ops::cross_entropy(Tensor::zeros({{2, 3}, DType::f32}, device(kind)),
                                          Tensor::from_host<std::int32_t>(std::array{2, bad}, {2}, device(kind)));
                     });
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
