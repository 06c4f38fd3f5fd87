// The op table on the emulated device, and what the device itself promises.
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "core/tape.h"
#include "cuda/devices.h"
#include "ops/device_kernels.h"
#include "ops/op_list.h"
#include "ops/random.h"
#include "ops/unary.h"
#include "tests/expect_error.h"
#include "tests/own_process.h"
#include "tests/support.h"

namespace gesso {
namespace {

// `gesso check --device emulated` runs more of them.
constexpr int kRandomCases = 1;

Device& emulated() { return device(DeviceKind::emulated); }
Tensor vector_of(const std::vector<float>& values) {
  return Tensor::from_host<float>(values, {static_cast<std::int64_t>(values.size())}, emulated());
}

TEST_SUITE("emulated") {
  TEST_CASE("every row has kernels and passes every check on the emulated device") {
    const check::DeviceUnderCheck under_check = device_under_check(DeviceKind::emulated);
    const check::Options options{.seed = test_seed(), .random_cases = kRandomCases};
    const check::DeviceReport all = check::check_rows_on(all_rows(), options, under_check);
    CHECK(all.report.failed == 0);
    CHECK(all.report.ops == static_cast<int>(all_rows().size()));
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

  TEST_CASE("gradients of two uses are joined on the device") {
    Tape tape;
    const Tensor x = vector_of({1, -2, 3, -4, 5});
    tape.watch(x);
    const Tensor y = ops::square(x), z = ops::neg(x);
    const Tensor ones = vector_of({1, 1, 1, 1, 1});
    const std::vector<Tensor> seeds{y, z}, dy{ones, ones};
    CHECK(tape.backward(seeds, dy, std::vector<Tensor>{x})[0].to_host<float>() == std::vector<float>{1, -5, 5, -9, 9});
  }

  TEST_CASE("noise has the same bits as on the CPU") {
    constexpr std::int64_t kFirst = (std::int64_t{1} << 40) + 7;
    for (const Shape& shape : {Shape{3, 5, 7}, Shape{2, 64}, Shape{301, 1}, Shape{1, 4099}}) {
      CAPTURE(shape.text());
      const auto draw = [&](Device& device) {
        const Tensor step = Tensor::from_host<std::int64_t>(std::array{std::int64_t{123456}}, {1}, device);
        const Tensor ones =
            Tensor::from_host<float>(std::vector<float>(static_cast<std::size_t>(shape.count()), 1), shape, device);
        const Tensor t = Tensor::zeros({{shape[0]}, DType::i32}, device);
        const Tensor alpha_bar = Tensor::from_host<float>(std::array{0.3f}, {1}, device);
        const ops::RandomAttrs attrs{.shape = shape, .key = test_seed(), .first_sample = kFirst};
        const ops::Noised noised = ops::add_noise(ones, t, alpha_bar, step, {test_seed(), kFirst});
        return std::vector<std::vector<float>>{
            ops::uniform(step, attrs).to_host<float>(),
            ops::normal(step, attrs).to_host<float>(),
            ops::gumbel(step, attrs).to_host<float>(),
            ops::dropout(ones, step, {.rate = 0.3, .key = test_seed(), .first_sample = kFirst}).to_host<float>(),
            noised.x_t.to_host<float>(),
            noised.eps.to_host<float>()};
      };
      CHECK(draw(emulated()) == draw(device(DeviceKind::cpu)));
    }
  }

  TEST_CASE("memory of the device is copied, filled and counted") {
    const Tensor x = vector_of({1, 2, 3}), y(x.spec(), emulated());
    y.copy_from(x);
    CHECK(y.to_host<float>() == std::vector<float>{1, 2, 3});
    y.fill_zero();
    CHECK(y.to_host<float>() == std::vector<float>{0, 0, 0});
    CHECK(x.to_host<float>() == std::vector<float>{1, 2, 3});
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
