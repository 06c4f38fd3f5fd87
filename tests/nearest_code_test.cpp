#include "ops/nearest_code.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "core/isa.h"

namespace gesso {
namespace {

TEST_SUITE("nearest_code") {
  TEST_CASE("a vector that holds a NaN takes code 0, on every device and instruction set") {
    const std::vector<float> z{NAN, 1, 0, 1}, codebook{0, 0, 0, 1};
    const Isa before = isa();
    for (const DeviceKind kind : {DeviceKind::reference, DeviceKind::cpu})
      for (const Isa with : supported_isas()) {
        set_isa(with);
        const auto nearest = ops::nearest_code(Tensor::from_host<float>(z, {2, 2}, device(kind)),
                                               Tensor::from_host<float>(codebook, {2, 2}, device(kind)));
        CHECK(nearest.index.to_host<std::int32_t>() == std::vector<std::int32_t>{0, 1});
        CHECK(nearest.counts.to_host<float>() == std::vector<float>{1, 1});
      }
    set_isa(before);
  }
}

}  // namespace
}  // namespace gesso
