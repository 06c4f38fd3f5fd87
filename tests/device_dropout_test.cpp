// Ops that drop their result in the same pass, on a device.
#include <doctest/doctest.h>

#include <random>

#include "tests/fused_dropout.h"
#include "tests/support.h"

namespace gesso {
namespace {

TEST_SUITE("device dropout") {
  TEST_CASE("group_norm that drops gives the bits of group_norm and dropout, both ways") {
    const std::uint64_t seed = test_seed();
    INFO("seed ", seed);
    std::mt19937_64 random(seed);
    for (const Shape& shape : {Shape{3, 5, 4, 12}, Shape{1, 7, 111}})
      for (const bool silu : {false, true}) {
        INFO(shape.text(), silu ? " silu" : "");
        check_group_norm_drops(random, shape, silu, device(test_device()));
      }
  }
}

}  // namespace
}  // namespace gesso
