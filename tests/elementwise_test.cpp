// Elementwise ops at borders, ties and special values, which the table's samples keep away from.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "ops/binary.h"
#include "ops/unary.h"
#include "ops/where.h"

namespace gesso {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Tensor floats(std::vector<float> values, DeviceKind kind) {
  const auto count = static_cast<std::int64_t>(values.size());
  return Tensor::from_host<float>(values, {count}, device(kind));
}

// The gradients of f's elements, each weighted with 1, for each operand.
std::vector<std::vector<float>> gradients(const std::function<Tensor(const Tensors&)>& f, const Tensors& operands) {
  Tape tape;
  for (const Tensor& operand : operands) tape.watch(operand);
  const Tensor y = f(operands);
  const Tensor ones = floats(std::vector<float>(static_cast<std::size_t>(y.count()), 1.0f), y.device().kind());
  std::vector<std::vector<float>> gradients;
  for (const Tensor& dx : tape.backward({&y, 1}, {&ones, 1}, operands)) gradients.push_back(dx.to_host<float>());
  return gradients;
}

constexpr DeviceKind kDevices[] = {DeviceKind::cpu, DeviceKind::reference};

TEST_SUITE("elementwise") {
  TEST_CASE("clamp keeps its borders, and the gradient passes there") {
    for (const DeviceKind kind : kDevices) {
      const Tensor x = floats({-2, -1, 0, 3, 4, kNan}, kind);
      const auto clamp = [](const Tensors& in) { return ops::clamp(in[0], {.low = -1, .high = 3}); };
      const std::vector<float> y = clamp({x}).to_host<float>();
      CHECK(std::vector(y.begin(), y.end() - 1) == std::vector<float>{-1, -1, 0, 3, 3});
      CHECK(std::isnan(y.back()));
      CHECK(gradients(clamp, {x})[0] == std::vector<float>{0, 1, 1, 1, 0, 0});
    }
  }

  TEST_CASE("equal operands of maximum and minimum share the gradient, and NaN wins") {
    for (const DeviceKind kind : kDevices) {
      const Tensor a = floats({1, 2, 3, kNan, 1}, kind), b = floats({2, 2, 1, 1, kNan}, kind);
      const auto maximum = [](const Tensors& in) { return ops::maximum(in[0], in[1]); };
      const auto minimum = [](const Tensors& in) { return ops::minimum(in[0], in[1]); };
      for (const auto& f :
           {std::function<Tensor(const Tensors&)>(maximum), std::function<Tensor(const Tensors&)>(minimum)})
        for (const float y : f({a, b}).slice(3, 5).to_host<float>()) CHECK(std::isnan(y));
      for (const auto& dx : gradients(maximum, {a, b}))
        CHECK(std::vector(dx.begin() + 3, dx.end()) == std::vector<float>{0, 0});
      for (const auto& dx : gradients(minimum, {a, b}))
        CHECK(std::vector(dx.begin() + 3, dx.end()) == std::vector<float>{0, 0});
      CHECK(maximum({a, b}).slice(0, 3).to_host<float>() == std::vector<float>{2, 2, 3});
      CHECK(minimum({a, b}).slice(0, 3).to_host<float>() == std::vector<float>{1, 2, 1});
      const Tensors numbers{floats({1, 2, 3}, kind), floats({2, 2, 1}, kind)};
      CHECK(gradients(maximum, numbers) == std::vector<std::vector<float>>{{0, 0.5f, 1}, {1, 0.5f, 0}});
      CHECK(gradients(minimum, numbers) == std::vector<std::vector<float>>{{1, 0.5f, 0}, {0, 0.5f, 1}});
    }
  }

  TEST_CASE("what where does not choose has no influence, even where it is NaN") {
    for (const DeviceKind kind : kDevices) {
      const std::vector<std::uint8_t> yes{0, 1, 255};
      const Tensor condition = Tensor::from_host<std::uint8_t>(yes, {3}, device(kind));
      const Tensor a = floats({kNan, 2, 3}, kind), b = floats({4, kNan, -kInfinity}, kind);
      const auto where = [&](const Tensors& in) { return ops::where(condition, in[0], in[1]); };
      CHECK(where({a, b}).to_host<float>() == std::vector<float>{4, 2, 3});
      CHECK(gradients(where, {a, b}) == std::vector<std::vector<float>>{{0, 1, 1}, {1, 0, 0}});
    }
  }

  TEST_CASE("at 0 the gradient of abs is 0, that of leaky_relu its slope") {
    for (const DeviceKind kind : kDevices) {
      const Tensor x = floats({-1, 0, 1}, kind);
      CHECK(gradients([](const Tensors& in) { return ops::abs(in[0]); }, {x})[0] == std::vector<float>{-1, 0, 1});
      const auto leaky = [](const Tensors& in) { return ops::leaky_relu(in[0], {.slope = 0.25f}); };
      CHECK(leaky({x}).to_host<float>() == std::vector<float>{-0.25f, 0, 1});
      CHECK(gradients(leaky, {x})[0] == std::vector<float>{0.25f, 0.25f, 1});
    }
  }

  TEST_CASE("functions that level off stay finite far out, and so do their gradients") {
    const Tensor x = floats({-1e30f, -200, -20, 20, 200, 1e30f}, DeviceKind::cpu);
    const auto gelu = [](GeluKind kind) { return [=](const Tensors& in) { return ops::gelu(in[0], {.kind = kind}); }; };
    for (const auto& f : std::vector<std::function<Tensor(const Tensors&)>>{
             gelu(GeluKind::erf), gelu(GeluKind::tanh), [](const Tensors& in) { return ops::softplus(in[0]); },
             [](const Tensors& in) { return ops::sigmoid(in[0]); },
             [](const Tensors& in) { return ops::tanh(in[0]); }}) {
      for (const float y : f({x}).to_host<float>()) CHECK(std::isfinite(y));
      const std::vector<float> slopes = gradients(f, {x})[0];
      for (const float dx : slopes) CHECK((dx >= 0 && dx <= 1));
    }
    CHECK(ops::softplus(x).to_host<float>()[2] == doctest::Approx(2.0611536e-9).epsilon(1e-6));
    CHECK(ops::softplus(x).to_host<float>()[5] == 1e30f);
  }
}

}  // namespace
}  // namespace gesso
