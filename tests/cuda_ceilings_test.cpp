// The kernels that ceilings are measured with do what their figures count.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "cuda/ceilings.h"
#include "tests/emulated_device.h"

namespace gesso {
namespace {

const cuda::CeilingKernels& kernels() { return cuda::ceiling_kernels<cu::Emulated>(); }

TEST_SUITE("cuda ceilings") {
  TEST_CASE("each thread of the loop does all its multiply-adds") {
    constexpr int kBlocks = 2, kRounds = 3;
    float expected = 0;
    for (int chain = 0; chain < cuda::kMultiplyAddChains; ++chain) {
      float x = static_cast<float>(chain);
      for (int step = 0; step < kRounds * cuda::kMultiplyAddSteps; ++step) x = std::fma(x, 0.999f, 1e-3f);
      expected += x;
    }
    const EmulatedMemory<float> y(kBlocks * cuda::kCeilingThreads);
    kernels().multiply_add(nullptr, {.y = y.data(), .blocks = kBlocks, .rounds = kRounds});
    CHECK(y.to_host() == std::vector<float>(kBlocks * cuda::kCeilingThreads, expected));
  }

  TEST_CASE("the copy is the whole of what was there, and nothing behind it") {
    for (const std::size_t count : {std::size_t{0}, std::size_t{4}, std::size_t{4096}, std::size_t{12300}}) {
      CAPTURE(count);
      std::vector<float> values(count);
      std::iota(values.begin(), values.end(), 1.0f);
      const EmulatedMemory<float> x(values), y(std::vector<float>(count + 4));
      kernels().copy(nullptr, static_cast<std::int64_t>(count), x.data(), y.data());
      values.resize(count + 4);
      CHECK(y.to_host() == values);
    }
  }
}

}  // namespace
}  // namespace gesso
