// The op table on the emulated device, and what the device itself promises.
#include <doctest/doctest.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "cuda/devices.h"
#include "ops/device_kernels.h"
#include "ops/op_list.h"
#include "ops/unary.h"
#include "tests/expect_error.h"
#include "tests/own_process.h"
#include "tests/support.h"

namespace gesso {
namespace {

// `gesso check --device emulated` runs more of them.
constexpr int kRandomCases = 1;

// Those that the variable GESSO_TEST_OPS names, between spaces; without it, all.
std::vector<const RowInfo*> rows_under_test() {
  const char* names = std::getenv("GESSO_TEST_OPS");
  if (names == nullptr) return {all_rows().begin(), all_rows().end()};
  std::vector<const RowInfo*> rows;
  std::istringstream words(names);
  for (std::string name; words >> name;) rows.push_back(&row_named(name));
  return rows;
}

Device& emulated() { return device(DeviceKind::emulated); }
Tensor vector_of(const std::vector<float>& values) {
  return Tensor::from_host<float>(values, {static_cast<std::int64_t>(values.size())}, emulated());
}

TEST_SUITE("emulated") {
  TEST_CASE("every row has kernels and passes every check on the emulated device") {
    const check::DeviceUnderCheck under_check = device_under_check(DeviceKind::emulated);
    const check::Options options{.seed = test_seed(), .random_cases = kRandomCases};
    const std::vector<const RowInfo*> rows = rows_under_test();
    const check::DeviceReport all = check::check_rows_on(rows, options, under_check);
    CHECK(all.report.failed == 0);
    CHECK(all.report.ops == static_cast<int>(rows.size()));
    CHECK(all.missing.empty());
    for (const std::string& failure : all.report.failures) MESSAGE(failure);
  }

  TEST_CASE("an op without a kernel there says so, and none takes doubles") {
    RowInfo absent;
    absent.name = "absent";
    expect_error(ErrorKind::usage, {"absent", "no kernel on emulated", "--device cpu"},
                 [&] { (void)absent.kernels(DeviceKind::emulated, {}); });
    const Tensor x = Tensor::zeros({{3}, DType::f64}, emulated());
    expect_error(ErrorKind::usage, {"relu", "emulated", "[3] f64"}, [&] { (void)ops::relu(x); });
    expect_error(ErrorKind::usage, {"relu", "registered already"},
                 [] { register_kernels(DeviceKind::emulated, "relu", {}); });
  }

  TEST_CASE("a read of device memory that no copy made" * doctest::skip()) {
    CHECK(vector_of({1}).data<float>()[0] == 1);
  }
  TEST_CASE("the host cannot read memory of the device") {
    const OwnProcess reader = run_own_test("", "a read of device memory that no copy made");
    CHECK(reader.status != 0);
    CHECK_MESSAGE(reader.output.find("device memory") != std::string::npos, reader.output);
  }
}

}  // namespace
}  // namespace gesso
