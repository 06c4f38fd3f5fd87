// Layer norm and rms norm: what the table rows leave open.
#include "ops/layer_norm.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace gesso {
namespace {

Tensor vector_of(const std::vector<float>& values) {
  return Tensor::from_host<float>(values, {static_cast<std::int64_t>(values.size())}, device(DeviceKind::cpu));
}

TEST_SUITE("layer norm") {
  TEST_CASE("a large mean takes no digits from the variance") {
    const Tensor x = vector_of({8193, 8191, 8193, 8191, 8193, 8191});
    const ops::LayerNormResult result = ops::layer_norm(x);
    CHECK(result.mean.to_host<float>() == std::vector<float>{8192});
    CHECK(result.rstd.to_host<float>()[0] == doctest::Approx(1 / std::sqrt(1 + 1e-5)).epsilon(1e-7));
    CHECK(result.y.to_host<float>()[0] == doctest::Approx(1).epsilon(1e-5));
  }

  TEST_CASE("weight and bias follow the normalisation, and an rms norm takes no mean off") {
    const Tensor x = vector_of({3, 4}), weight = vector_of({2, 1}), bias = vector_of({0, 10});
    const std::vector<float> y = ops::layer_norm(x, weight, bias).y.to_host<float>();
    CHECK(y[0] == doctest::Approx(-2).epsilon(1e-4));
    CHECK(y[1] == doctest::Approx(11).epsilon(1e-4));
    const ops::LayerNormResult rms = ops::rms_norm(x, weight);
    CHECK(rms.y.to_host<float>()[0] == doctest::Approx(6 / std::sqrt(12.5)).epsilon(1e-5));
    CHECK_FALSE(rms.mean);
  }
}

}  // namespace
}  // namespace gesso
