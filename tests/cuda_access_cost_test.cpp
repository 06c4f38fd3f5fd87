// Bank conflicts and sectors, counted by the checker where no device measures them.
#include <doctest/doctest.h>

#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "cuda/gemm_mma.h"
#include "ops/matmul.h"
#include "tests/cuda/probes.h"
#include "tests/emulated_device.h"

namespace gesso {
namespace {

using emulator::AccessCost;
using emulator::AccessKind;

// What the launches of the body cost, by source line.
template <class Body>
std::vector<AccessCost> costs_of(Body&& body) {
  const KeepOptions keep;
  (void)emulator::take_access_costs();
  emulator::options().trace = true;
  body();
  return emulator::take_access_costs();
}

double ratio(const std::vector<AccessCost>& costs, AccessKind kind) {
  AccessCost sum;
  for (const AccessCost& cost : costs) {
    if (cost.kind != kind) continue;
    sum.cost += cost.cost;
    sum.at_best += cost.at_best;
  }
  return sum.ratio();
}

std::vector<float> zeros(std::size_t count) { return std::vector<float>(count); }

TEST_SUITE("cuda access costs") {
  TEST_CASE("a column of a tile costs a cycle a lane, unless the rows are padded") {
    if (!emulator::is_checked()) return;
    const EmulatedMemory<float> x(zeros(1024)), y(1024);
    const auto plain = costs_of([&] { probes::transpose(nullptr, x.data(), y.data(), /*padded=*/false); });
    const auto padded = costs_of([&] { probes::transpose(nullptr, x.data(), y.data(), /*padded=*/true); });
    CHECK(ratio(plain, AccessKind::shared_load) == 32.0);
    CHECK(ratio(plain, AccessKind::shared_store) == 1.0);
    CHECK(ratio(padded, AccessKind::shared_load) == 1.0);
    CHECK(ratio(padded, AccessKind::shared_store) == 1.0);
    CHECK(ratio(padded, AccessKind::global_store) == 1.0);
  }

  TEST_CASE("a strided store touches more sectors, and the line is named") {
    if (!emulator::is_checked()) return;
    const EmulatedMemory<float> x(zeros(probes::kBlock)), y(probes::kBlock * 8);
    const auto costs = costs_of([&] { probes::copy_strided(nullptr, x.data(), y.data(), 8); });
    REQUIRE(costs.size() == 2);
    CHECK(costs[0].source == costs[1].source);
    CHECK(costs[0].source.starts_with("probes.cu:"));
    CHECK(ratio(costs, AccessKind::global_load) == 1.0);
    CHECK(ratio(costs, AccessKind::global_store) == 8.0);
    CHECK(costs[0].requests == probes::kBlock / 32);
    CHECK(emulator::name_of(costs[1].kind) == "global store");
  }

  TEST_CASE("the swizzled tiles of the bf16 product have no bank conflicts") {
    if (!emulator::is_checked()) return;
    constexpr int kSize = 128, kDepth = 96;
    const EmulatedMemory<bf16> a(std::vector<bf16>(kSize * kDepth)), b(std::vector<bf16>(kSize * kDepth));
    const EmulatedMemory<float> c(kSize * kSize);
    const auto costs = costs_of([&] {
      cuda::gemm_mma_kernels<cu::Emulated>().multiply(nullptr, {a.data(), b.data(), c.data(), kSize, kSize, kDepth});
    });
    CHECK(ratio(costs, AccessKind::shared_load) == 1.0);
    CHECK(ratio(costs, AccessKind::shared_store) == 1.0);
    CHECK(ratio(costs, AccessKind::global_load) == 1.0);
    CHECK(ratio(costs, AccessKind::global_store) == 1.0);
  }

  TEST_CASE("the tiles of the fp32 product have no bank conflicts, whichever operand lies transposed") {
    if (!emulator::is_checked()) return;
    Device& device = gesso::device(DeviceKind::emulated);
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true}) {
        const Tensor a = Tensor::zeros({transpose_a ? Shape{16, 128} : Shape{128, 16}, DType::f32}, device);
        const Tensor b = Tensor::zeros({transpose_b ? Shape{64, 16} : Shape{16, 64}, DType::f32}, device);
        const auto costs = costs_of([&] { (void)ops::matmul(a, b, {transpose_a, transpose_b}); });
        CHECK(ratio(costs, AccessKind::shared_load) == 1.0);
        CHECK(ratio(costs, AccessKind::shared_store) == 1.0);
        CHECK(ratio(costs, AccessKind::global_load) == 1.0);
        CHECK(ratio(costs, AccessKind::global_store) == 1.0);
      }
  }

  TEST_CASE("without tracing nothing is counted") {
    const EmulatedMemory<float> x(zeros(1024)), y(1024);
    (void)emulator::take_access_costs();
    probes::transpose(nullptr, x.data(), y.data(), /*padded=*/false);
    CHECK(emulator::take_access_costs().empty());
  }
}

}  // namespace
}  // namespace gesso
