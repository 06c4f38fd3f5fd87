#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/isa.h"
#include "tests/support.h"
#include "tests/wide_tile.h"

namespace gesso {
namespace {

using Random = std::mt19937_64;
using Floats = std::vector<float>;

Floats random_floats(Random& random, std::int64_t count) {
  std::normal_distribution<float> normal;
  Floats x(static_cast<std::size_t>(count));
  for (float& value : x) value = normal(random);
  return x;
}

const WideTile& wide(Isa isa) {
  return by_isa(isa, wide_tile<simd::Baseline>, wide_tile<simd::Avx2>, wide_tile<simd::Avx512>)();
}

TEST_SUITE("gemm tile") {
  TEST_CASE("the tile of AVX-512 equals plain loops for every part of it that is stored") {
    Random random(test_seed());
    constexpr std::int64_t kTaps = 3, kChannels = 21, kFirst = 2, kRows = 6, kWidth = 64;
    const Floats x = random_floats(random, kTaps * kRows * (kFirst + kChannels));
    const Floats panel = random_floats(random, kTaps * kChannels * kWidth), bias = random_floats(random, kWidth);
    std::vector<const float*> rows;
    for (std::int64_t i = 0; i < kTaps * kRows; ++i) rows.push_back(x.data() + i * (kFirst + kChannels));
    const std::vector<std::int64_t> offsets = {320, 0, 64, 256, 128, 192};  // rows need not lie in order
    const Floats held = random_floats(random, kRows * kWidth);
    for (const Isa isa : supported_isas())
      for (const std::int64_t columns : {1, 15, 16, 17, 40, 48, 63, 64})
        for (std::int64_t count = 1; count <= kRows; ++count) {
          INFO(std::string(name_of(isa)), " ", count, " rows, ", columns, " columns");
          Floats out = held;
          const GemmEpilogue epilogue = {.bias = bias.data(), .residual = held.data(), .activation = Activation::silu};
          wide(isa).tile[(columns - 1) / 16]({.taps = kTaps,
                                              .channels = kChannels,
                                              .rows = rows.data(),
                                              .first_channel = kFirst,
                                              .panel = panel.data(),
                                              .out = out.data(),
                                              .row_offsets = offsets.data(),
                                              .row_count = count,
                                              .column_count = columns,
                                              .add = true,
                                              .epilogue = &epilogue});
          double worst = 0;
          bool outside_kept = true;
          for (std::size_t i = 0; i < 6; ++i)
            for (std::size_t j = 0; j < 64; ++j) {
              const std::size_t at = static_cast<std::size_t>(offsets[i]) + j;
              if (static_cast<std::int64_t>(i) >= count || static_cast<std::int64_t>(j) >= columns) {
                outside_kept = outside_kept && out[at] == held[at];
                continue;
              }
              double sum = static_cast<double>(held[at]) + static_cast<double>(bias[j]) + static_cast<double>(held[at]);
              for (std::size_t t = 0; t < kTaps; ++t)
                for (std::size_t c = 0; c < kChannels; ++c)
                  sum += static_cast<double>(rows[t * 6 + i][kFirst + c]) *
                         static_cast<double>(panel[(t * kChannels + c) * 64 + j]);
              worst = std::max(worst, std::abs(sum / (1 + std::exp(-sum)) - static_cast<double>(out[at])));
            }
          CHECK(worst < 5e-5);
          CHECK(outside_kept);
        }
  }
}

}  // namespace
}  // namespace gesso
