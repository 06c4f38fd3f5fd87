#include "core/isa.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "core/error.h"
#include "tests/own_process.h"

namespace gesso {
namespace {

TEST_SUITE("isa") {
  TEST_CASE("the baseline always runs and the best supported one is the default") {
    REQUIRE(!supported_isas().empty());
    CHECK(supported_isas().front() == Isa::baseline);
    CHECK(std::ranges::is_sorted(supported_isas()));
    CHECK(std::ranges::find(supported_isas(), isa()) != supported_isas().end());
  }

  TEST_CASE("each supported instruction set can be chosen, and no other") {
    const Isa before = isa();
    for (const Isa choice : {Isa::baseline, Isa::avx2, Isa::avx512}) {
      if (std::ranges::find(supported_isas(), choice) != supported_isas().end()) {
        set_isa(choice);
        CHECK(isa() == choice);
        CHECK(by_isa(isa(), 1, 2, 3) == 1 + static_cast<int>(choice));
      } else {
        CHECK_THROWS_WITH_AS(set_isa(choice), doctest::Contains("cannot run"), Error);
      }
    }
    set_isa(before);
  }

  TEST_CASE("names and instruction sets map onto each other") {
    for (const Isa known : {Isa::baseline, Isa::avx2, Isa::avx512}) CHECK(isa_named(name_of(known)) == known);
    CHECK_THROWS_WITH_AS(isa_named("sse9"),
                         doctest::Contains("unknown instruction set 'sse9'; choose one of: baseline"), Error);
  }

  TEST_CASE("the instruction set of this process is printed on request" * doctest::skip()) {
    MESSAGE("isa is ", std::string(name_of(isa())));
  }

  TEST_CASE("GESSO_ISA chooses, and is refused where it names none") {
    const std::string name = "the instruction set of this process is printed on request";
    CHECK(run_own_test("GESSO_ISA=baseline", name).output.find("isa is baseline") != std::string::npos);
    const OwnProcess refused = run_own_test("GESSO_ISA=sse9", name);
    CHECK(refused.status != 0);
    CHECK(refused.output.find("unknown instruction set 'sse9'") != std::string::npos);
  }
}

}  // namespace
}  // namespace gesso
