// Ops that drop their result in the same pass: bit for bit what they and then dropout give.
#include "ops/dropout.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "core/isa.h"
#include "tests/fused_dropout.h"
#include "tests/support.h"

namespace gesso {
namespace {

TEST_SUITE("dropout") {
  TEST_CASE("group_norm that drops gives the bits of group_norm and dropout, both ways") {
    const std::uint64_t seed = test_seed();
    INFO("seed ", seed);
    std::mt19937_64 random(seed);
    const Isa before = isa();
    // Rows that begin at any bit of a byte, and samples that end at any.
    for (const Shape& shape : {Shape{3, 5, 4, 12}, Shape{2, 7, 111}, Shape{2, 33, 9, 48}})
      for (const bool silu : {false, true})
        for (const Isa with : supported_isas()) {
          set_isa(with);
          INFO(shape.text(), silu ? " silu" : "", " on ", std::string(name_of(with)));
          check_group_norm_drops(random, shape, silu, device(DeviceKind::cpu));
        }
    set_isa(before);
  }
}

}  // namespace
}  // namespace gesso
