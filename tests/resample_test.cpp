// Resampling: what the table rows leave open.
#include "ops/resample.h"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <vector>

#include "core/tape.h"
#include "tests/expect_error.h"

namespace gesso {
namespace {

Tensor picture(const std::vector<float>& values, const Shape& shape, DeviceKind kind = DeviceKind::cpu) {
  return Tensor::from_host<float>(values, shape, device(kind));
}

TEST_SUITE("resample") {
  TEST_CASE("a pixel is repeated down and to the right, with its channels") {
    const Tensor x = picture({1, 2, 3, 4}, {1, 1, 2, 2});
    const Tensor y = ops::upsample_nearest(x, 2);
    CHECK(y.spec().text() == "[1,2,4,2] f32");
    CHECK(y.to_host<float>() == std::vector<float>{1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4});
  }

  TEST_CASE("averaging undoes repeating") {
    std::vector<float> values;
    for (int i = 0; i < 2 * 3 * 5 * 3; ++i) values.push_back(static_cast<float>(i));
    const Tensor x = picture(values, {2, 3, 5, 3});
    CHECK(ops::average_pool(ops::upsample_nearest(x, 4), 4).to_host<float>() == values);
  }

  TEST_CASE("shrinking by two interpolates half way between pixels, on every device") {
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference})
      CHECK(
          ops::resize_bilinear(picture({1, 3, 5, 9}, {1, 1, 4, 1}, kind), {.height = 1, .width = 2}).to_host<float>() ==
          std::vector<float>{2, 7});
  }

  TEST_CASE("an infinite pixel stays alone where the size does not change, and so does an infinite gradient") {
    const std::vector<float> values = {1, std::numeric_limits<float>::infinity(), 2};
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
      Tape tape;
      const Tensor x = picture(values, {1, 1, 3, 1}, kind);
      tape.watch(x);
      const Tensor y = ops::resize_bilinear(x, {.height = 1, .width = 3});
      CHECK(y.to_host<float>() == values);
      CHECK(tape.backward(std::array{y}, std::array{x}, std::array{x})[0].to_host<float>() == values);
    }
  }

  TEST_CASE("a picture that blocks do not divide is refused with what to do") {
    const Tensor x = picture(std::vector<float>(12), {1, 3, 4, 1});
    expect_error(ErrorKind::usage, {"average_pool", "height of x [1,3,4,1] f32", "pad or slice"},
                 [&] { ops::average_pool(x, 2); });
  }
}

}  // namespace
}  // namespace gesso
