#include "ops/softmax.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace gesso {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr DeviceKind kDevices[] = {DeviceKind::cpu, DeviceKind::reference};

// Rows of 19: a vector of each instruction set, and a rest.
Tensor rows(const std::vector<float>& values, DeviceKind kind) {
  return Tensor::from_host<float>(values, {static_cast<std::int64_t>(values.size()) / 19, 19}, device(kind));
}

std::vector<float> gradient(Tensor (*f)(const Tensor&), const Tensor& x, const Tensor& dy) {
  Tape tape;
  tape.watch(x);
  const Tensor y = f(x);
  return tape.backward({&y, 1}, {&dy, 1}, {&x, 1})[0].to_host<float>();
}

TEST_SUITE("softmax") {
  TEST_CASE("a row of -infinity leaves nothing to choose: zeros, and a finite gradient") {
    for (const DeviceKind kind : kDevices) {
      std::vector<float> values(19, -kInfinity), slopes;
      for (int i = 0; i < 38; ++i) slopes.push_back(static_cast<float>(i % 7));
      values.resize(38, 0.5f);  // the next row is an ordinary one
      const Tensor x = rows(values, kind), dy = rows(slopes, kind);
      const std::vector<float> y = ops::softmax(x).to_host<float>(), log_y = ops::log_softmax(x).to_host<float>();
      for (std::size_t i = 0; i < 19; ++i) {
        CHECK(y[i] == 0);
        CHECK(log_y[i] == -kInfinity);
        CHECK(y[19 + i] == doctest::Approx(1.0 / 19));
        CHECK(log_y[19 + i] == doctest::Approx(-std::log(19.0)));
      }
      for (const float dx : gradient(ops::softmax, x, dy)) CHECK(std::isfinite(dx));
      for (const float dx : gradient(ops::log_softmax, x, dy)) CHECK(std::isfinite(dx));
    }
  }

  TEST_CASE("what is -infinity has no share, and the others share as if it were not there") {
    for (const DeviceKind kind : kDevices) {
      std::vector<float> values(19, -kInfinity);
      values[3] = values[18] = 1000;  // e^1000 would overflow
      const std::vector<float> y = ops::softmax(rows(values, kind)).to_host<float>();
      const std::vector<float> log_y = ops::log_softmax(rows(values, kind)).to_host<float>();
      for (std::size_t i = 0; i < 19; ++i) {
        CHECK(y[i] == (i == 3 || i == 18 ? 0.5f : 0.0f));
        CHECK((i == 3 || i == 18 ? log_y[i] == doctest::Approx(-std::log(2.0)) : log_y[i] == -kInfinity));
      }
    }
  }

  TEST_CASE("a NaN or +infinity makes its row NaN, and no other") {
    for (const DeviceKind kind : kDevices)
      for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity})
        for (const std::size_t place : {0u, 7u, 18u}) {
          std::vector<float> values(38, -kInfinity);
          values[place] = bad;
          values[20] = 1;
          for (const Tensor& y : {ops::softmax(rows(values, kind)), ops::log_softmax(rows(values, kind))}) {
            const std::vector<float> all = y.to_host<float>();
            for (std::size_t i = 0; i < 38; ++i) CHECK(std::isnan(all[i]) == (i < 19));
          }
        }
  }
}

}  // namespace
}  // namespace gesso
