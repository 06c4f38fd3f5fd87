#include "ops/gemm.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/isa.h"
#include "tests/support.h"
#include "tests/worse.h"

namespace gesso {
namespace {

using Random = std::mt19937_64;
using Floats = std::vector<float>;

std::int64_t pick(Random& random, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
}

Floats random_floats(Random& random, std::int64_t count) {
  std::normal_distribution<float> normal;
  Floats x(static_cast<std::size_t>(count));
  for (float& value : x) value = normal(random);
  return x;
}

// The largest error of c, measured in what rounding k products of standard normal numbers may leave; padding is
// untouched.
double worst_error(const gemm::Shape& s, const Floats& a, const Floats& b, const Floats& c) {
  double worst = 0;
  for (std::int64_t i = 0; i < s.m; ++i)
    for (std::int64_t j = 0; j < s.n; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < s.k; ++k) {
        const std::int64_t in_a = s.transpose_a ? k * s.a_stride + i : i * s.a_stride + k;
        const std::int64_t in_b = s.transpose_b ? j * s.b_stride + k : k * s.b_stride + j;
        sum += static_cast<double>(a[static_cast<std::size_t>(in_a)]) *
               static_cast<double>(b[static_cast<std::size_t>(in_b)]);
      }
      const double difference = std::abs(sum - static_cast<double>(c[static_cast<std::size_t>(i * s.c_stride + j)]));
      worst = worse(worst, difference / std::sqrt(10.0 + static_cast<double>(s.k)));
    }
  return worst;
}

void check(gemm::Shape s, Random& random) {
  const auto stride = [&](std::int64_t dense) { return dense + pick(random, 0, 3); };
  s.a_stride = stride(s.transpose_a ? s.m : s.k);
  s.b_stride = stride(s.transpose_b ? s.k : s.n);
  s.c_stride = stride(s.n);
  const Floats a = random_floats(random, s.a_stride * (s.transpose_a ? s.k : s.m));
  const Floats b = random_floats(random, s.b_stride * (s.transpose_b ? s.n : s.k));
  ThreadPool one(1), three(3);
  for (const Isa isa : supported_isas()) {
    INFO(s.m, "x", s.n, "x", s.k, s.transpose_a ? " A^T" : "", s.transpose_b ? " B^T" : "", std::string(name_of(isa)));
    Floats c(static_cast<std::size_t>(s.m * s.c_stride), 77.0f), alone = c;
    gemm::multiply({device(DeviceKind::cpu), three, isa}, s, a.data(), b.data(), c.data());
    gemm::multiply({device(DeviceKind::cpu), one, isa}, s, a.data(), b.data(), alone.data());
    CHECK(worst_error(s, a, b, c) < 2e-6);
    CHECK(c == alone);
    for (std::int64_t i = 0; i < s.m; ++i)
      for (std::int64_t j = s.n; j < s.c_stride; ++j) CHECK(c[static_cast<std::size_t>(i * s.c_stride + j)] == 77.0f);
  }
}

TEST_SUITE("gemm") {
  TEST_CASE("matrix products with strides and transposed operands equal plain loops, whatever the number of threads") {
    const std::uint64_t seed = test_seed();
    INFO("seed ", seed);
    Random random(seed);
    for (int i = 0; i < 40; ++i)
      check({.m = pick(random, 1, 150),
             .n = pick(random, 1, 90),
             .k = pick(random, 1, 90),
             .transpose_a = pick(random, 0, 1) == 1,
             .transpose_b = pick(random, 0, 1) == 1},
            random);
    for (const bool transposed : {false, true}) {
      check({.m = 7, .n = 19, .k = 1000, .transpose_a = transposed, .transpose_b = !transposed}, random);
      check({.m = 200, .n = 300, .k = 3, .transpose_a = transposed, .transpose_b = transposed}, random);
    }
  }

  TEST_CASE("a product over no terms is the epilogue of zero, and an empty product touches nothing") {
    ThreadPool pool(2);
    const Execution run = {device(DeviceKind::cpu), pool, isa()};
    const Floats bias = {1, -2, 3};
    Floats c(6, 9.0f);
    gemm::multiply(run, {.m = 2, .n = 3, .k = 0}, nullptr, nullptr, c.data(),
                   {.bias = bias.data(), .activation = Activation::relu});
    CHECK(c == Floats{1, 0, 3, 1, 0, 3});
    gemm::multiply(run, {.m = 0, .n = 3, .k = 2}, nullptr, c.data(), nullptr);
    gemm::multiply(run, {.m = 2, .n = 0, .k = 2}, c.data(), nullptr, nullptr);
  }

  TEST_CASE("sums over rows are the same bits for any number of threads") {
    Random random(3);
    const std::int64_t rows = 1500, columns = 37;
    const Floats x = random_floats(random, rows * columns);
    for (const Isa isa : supported_isas()) {
      Floats sums(37), alone(37);
      ThreadPool one(1), three(3);
      gemm::sum_rows({device(DeviceKind::cpu), three, isa}, rows, columns, x.data(), sums.data());
      gemm::sum_rows({device(DeviceKind::cpu), one, isa}, rows, columns, x.data(), alone.data());
      CHECK(sums == alone);
      for (std::int64_t j = 0; j < columns; ++j) {
        double sum = 0;
        for (std::int64_t i = 0; i < rows; ++i)
          sum += static_cast<double>(x[static_cast<std::size_t>(i * columns + j)]);
        CHECK(std::abs(sum - static_cast<double>(sums[static_cast<std::size_t>(j)])) < 1e-4);
      }
    }
  }
}

}  // namespace
}  // namespace gesso
