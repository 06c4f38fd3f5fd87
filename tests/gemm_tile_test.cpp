#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/isa.h"
#include "tests/support.h"
#include "tests/wide_tile.h"
#include "tests/worse.h"

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

constexpr std::int64_t kTaps = 3, kChannels = 21, kFirst = 2, kRows = 6, kWidth = 64, kLongestStep = 16;
constexpr std::int64_t kImage = 2 * kWidth, kImages = 3;  // two rows of the result each

// Operands of a tile, and what plain loops make of them.
struct TileCase {
  Random random{test_seed()};
  Floats x = random_floats(random, kTaps* kRows*(kFirst + kChannels) * kLongestStep);
  Floats panel = random_floats(random, kTaps*kChannels*kWidth), bias = random_floats(random, kImages*kWidth);
  Floats held = random_floats(random, kRows* kWidth);
  std::vector<const float*> rows;
  std::vector<std::int64_t> offsets = {320, 0, 64, 256, 128, 192};                       // rows need not lie in order
  std::vector<std::uint8_t> kept = std::vector<std::uint8_t>(kImages * kKeptApart + 4);  // from bit 5 of each image on
  static constexpr std::int64_t kKeptApart = 17;
  GemmEpilogue epilogue = {.bias = bias.data(),
                           .residual = held.data(),
                           .activation = Activation::silu,
                           .image = kImage,
                           .bias_apart = kWidth,
                           .kept = {.bits = kept.data(), .first = 5, .scale = 1.25f},
                           .kept_apart = kKeptApart};

  TileCase() {
    for (std::uint8_t& bits : kept) bits = static_cast<std::uint8_t>(random());
    for (std::int64_t i = 0; i < kTaps * kRows; ++i) rows.push_back(x.data() + i * (kFirst + kChannels) * kLongestStep);
  }

  GemmTile tile(std::int64_t count, std::int64_t columns, bool add, bool finish) const {
    return {.taps = kTaps,
            .channels = kChannels,
            .rows = rows.data(),
            .first_channel = kFirst,
            .panel = panel.data(),
            .out = nullptr,
            .row_offsets = offsets.data(),
            .row_count = count,
            .column_count = columns,
            .add = add,
            .epilogue = finish ? &epilogue : nullptr};
  }
  double result(const GemmTile& tile, std::size_t i, std::size_t j) const {
    const auto old = static_cast<double>(held[static_cast<std::size_t>(offsets[i]) + j]);
    double sum = tile.add ? old : 0;
    for (std::size_t t = 0; t < kTaps; ++t)
      for (std::size_t c = 0; c < kChannels; ++c)
        sum += static_cast<double>(rows[t * 6 + i][(kFirst + c) * static_cast<std::size_t>(tile.step)]) *
               static_cast<double>(panel[(t * kChannels + c) * 64 + j]);
    if (tile.epilogue == nullptr) return sum;
    const std::size_t row = static_cast<std::size_t>(offsets[i]), image = row / kImage;
    sum += static_cast<double>(bias[image * kWidth + j]) + old;
    const std::size_t bit = row % kImage + j + 5;
    const bool is_kept = (kept[image * kKeptApart + bit / 8] >> bit % 8 & 1) != 0;
    return is_kept ? 1.25 * sum / (1 + std::exp(-sum)) : 0;
  }
};

void check_tile(Isa isa, const TileCase& given, GemmTile tile) {
  INFO(std::string(name_of(isa)), " ", tile.row_count, " rows, ", tile.column_count, " columns, add ", tile.add,
       ", epilogue ", tile.epilogue != nullptr, ", step ", tile.step);
  Floats out = given.held;
  tile.out = out.data();
  wide(isa).tile[(tile.column_count - 1) / 16](tile);
  double worst = 0;
  bool outside_kept = true;
  for (std::size_t i = 0; i < 6; ++i)
    for (std::size_t j = 0; j < 64; ++j) {
      const std::size_t at = static_cast<std::size_t>(given.offsets[i]) + j;
      if (static_cast<std::int64_t>(i) >= tile.row_count || static_cast<std::int64_t>(j) >= tile.column_count)
        outside_kept = outside_kept && out[at] == given.held[at];
      else
        worst = worse(worst, std::abs(given.result(tile, i, j) - static_cast<double>(out[at])));
    }
  CHECK(worst < 5e-5);
  CHECK(outside_kept);
}

// Rows of more than one register tile, whose channels are no multiple of a chain, with and without what comes next,
// added to what is there or not.
void check_rows(Isa isa, std::int64_t columns, std::int64_t rows, const float* next_panel, bool add) {
  INFO(std::string(name_of(isa)), " ", rows, " rows, ", columns, " columns");
  constexpr std::int64_t kApart = kChannels + 3, kWhole = 2 * kRows;
  Random random(test_seed());
  const Floats x = random_floats(random, kWhole * kApart), panel = random_floats(random, kChannels * kWidth);
  constexpr float kHeld = 3;
  Floats out(static_cast<std::size_t>(kWhole * kWidth), add ? kHeld : NAN);
  wide(isa).multiply_rows[(columns - 1) / 16]({.rows = rows,
                                               .channels = kChannels,
                                               .chain = 8,
                                               .x = x.data(),
                                               .x_apart = kApart,
                                               .panel = panel.data(),
                                               .next_panel = next_panel,
                                               .out = out.data(),
                                               .out_apart = kWidth,
                                               .column_count = columns,
                                               .add = add});
  double worst = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i)
    for (std::size_t j = 0; j < static_cast<std::size_t>(columns); ++j) {
      double sum = add ? static_cast<double>(kHeld) : 0;
      for (std::size_t c = 0; c < kChannels; ++c)
        sum += static_cast<double>(x[i * kApart + c]) * static_cast<double>(panel[c * kWidth + j]);
      worst = worse(worst, std::abs(sum - static_cast<double>(out[i * kWidth + j])));
    }
  CHECK(worst < 5e-5);
}

TEST_SUITE("gemm tile") {
  TEST_CASE("the tile of AVX-512 equals plain loops for every part of it that is stored, and every way to sum") {
    const TileCase given;
    for (const Isa isa : supported_isas())
      for (const std::int64_t columns : {1, 15, 16, 17, 40, 48, 63, 64})
        for (std::int64_t count = 1; count <= kRows; ++count)
          for (const bool add : {false, true})
            for (const bool finish : {false, true}) {
              GemmTile tile = given.tile(count, columns, add, finish);
              check_tile(isa, given, tile);
              tile.step = kLongestStep;
              check_tile(isa, given, tile);
            }
  }

  TEST_CASE("rows at equal distances times a panel of AVX-512 equal plain loops, whatever comes next") {
    const Floats next(static_cast<std::size_t>(kChannels * kWidth));
    for (const Isa isa : supported_isas())
      for (const std::int64_t columns : {1, 16, 40, 63, 64})
        for (const std::int64_t rows : {1, 6, 7, 12})
          for (const float* next_panel : {static_cast<const float*>(nullptr), next.data()})
            for (const bool add : {false, true}) check_rows(isa, columns, rows, next_panel, add);
  }
}

}  // namespace
}  // namespace gesso
