// The kernels of layers with few channels on one side, each against plain loops.
#include <doctest/doctest.h>

#include <algorithm>
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
using Offsets = std::vector<std::int64_t>;

constexpr float kUntouched = 77;

Floats random_floats(Random& random, std::int64_t count) {
  std::normal_distribution<float> normal;
  Floats x(static_cast<std::size_t>(count));
  for (float& value : x) value = normal(random);
  return x;
}

Offsets random_offsets(Random& random, std::int64_t count, std::uint64_t below) {
  Offsets offsets(static_cast<std::size_t>(count));
  for (std::int64_t& offset : offsets) offset = static_cast<std::int64_t>(random() % below);
  return offsets;
}

float at(const Floats& x, std::int64_t i) { return x[static_cast<std::size_t>(i)]; }
std::int64_t at(const Offsets& x, std::int64_t i) { return x[static_cast<std::size_t>(i)]; }

// Rows of a result, `apart` floats from one to the next, backwards in memory.
Offsets rows_apart(std::int64_t count, std::int64_t apart) {
  Offsets rows;
  for (std::int64_t i = 0; i < count; ++i) rows.push_back((count - 1 - i) * apart);
  return rows;
}

double finished(double sum, const GemmEpilogue* epilogue, std::int64_t row, std::int64_t column) {
  if (epilogue == nullptr) return sum;
  if (epilogue->bias != nullptr) sum += static_cast<double>(epilogue->bias[column]);
  if (epilogue->residual != nullptr) sum += static_cast<double>(epilogue->residual[row + column]);
  if (epilogue->activation == Activation::relu) sum = std::max(sum, 0.0);
  if (epilogue->activation == Activation::silu) sum /= 1 + std::exp(-sum);
  const KeptBits& kept = epilogue->kept;
  if (kept.bits == nullptr) return sum;
  const std::int64_t bit = kept.first + row + column;
  return (kept.bits[bit / 8] >> bit % 8 & 1) == 0 ? 0 : sum * static_cast<double>(kept.scale);
}

// The kernels in the size of AVX-512, on each instruction set.
template <class Check>
void for_each_kernels(Check check) {
  for (const Isa isa : supported_isas()) {
    INFO(std::string(name_of(isa)));
    check(by_isa(isa, wide_tile<simd::Baseline>, wide_tile<simd::Avx2>, wide_tile<simd::Avx512>)().patches);
  }
}

void check_close(const Floats& got, const std::vector<double>& want) {
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) worst = worse(worst, std::abs(want[i] - static_cast<double>(got[i])));
  CHECK(worst < 5e-5);
}

// Operands of what follows a sum, in all combinations that take ways of their own.
std::vector<const GemmEpilogue*> epilogues(const Floats& bias, const Floats& residual) {
  static std::vector<GemmEpilogue> kept;
  static std::vector<std::uint8_t> bits;
  for (std::size_t i = bits.size(); i < 300; ++i) bits.push_back(static_cast<std::uint8_t>(i * 37));
  kept = {{.bias = bias.data()},
          {.bias = bias.data(), .kept = {bits.data(), 3, 2.0f}},
          {.activation = Activation::relu},
          {.bias = bias.data(), .activation = Activation::relu},
          {.bias = bias.data(), .residual = residual.data(), .activation = Activation::silu}};
  std::vector<const GemmEpilogue*> all = {nullptr};
  for (const GemmEpilogue& epilogue : kept) all.push_back(&epilogue);
  return all;
}

TEST_SUITE("patch tile") {
  TEST_CASE("products of patches equal plain loops for all widths and numbers of pixels, whatever follows them") {
    Random random(test_seed());
    constexpr std::int64_t kEntries = 7, kApart = 150, kWidth = 64;
    const Floats image = random_floats(random, 100), panels = random_floats(random, 3 * kEntries * kWidth);
    const Floats bias = random_floats(random, kApart), residual = random_floats(random, 13 * kApart);
    const Offsets offsets = random_offsets(random, kEntries, 50),
                  places = random_offsets(random, 13 + kMostTilePixels, 50);
    for_each_kernels([&](const PatchKernels& kernels) {
      for (const std::int64_t pixels : {1, 6, 13})
        for (const std::int64_t last : {1, 16, 17, 40, 64, 65, 130})
          for (const std::int64_t first : {0, 64})
            for (const GemmEpilogue* epilogue : epilogues(bias, residual)) {
              if (first >= last) continue;
              INFO(pixels, " pixels, columns ", first, " to ", last);
              const Offsets results = rows_apart(pixels, kApart);
              Floats out(13 * kApart, kUntouched);
              std::vector<double> want(13 * kApart, kUntouched);
              for (std::int64_t i = 0; i < pixels; ++i)
                for (std::int64_t j = first; j < last; ++j) {
                  double sum = 0;
                  for (std::int64_t e = 0; e < kEntries; ++e)
                    sum += static_cast<double>(at(image, at(places, i) + at(offsets, e))) *
                           static_cast<double>(at(panels, (j / kWidth * kEntries + e) * kWidth + j % kWidth));
                  want[static_cast<std::size_t>(at(results, i) + j)] = finished(sum, epilogue, at(results, i), j);
                }
              kernels.product({.pixels = pixels,
                               .image = image.data(),
                               .places = places.data(),
                               .results = results.data(),
                               .entries = kEntries,
                               .offsets = offsets.data(),
                               .panels = panels.data() + first * kEntries,
                               .first_column = first,
                               .last_column = last,
                               .out = out.data(),
                               .epilogue = epilogue});
              check_close(out, want);
            }
    });
  }

  TEST_CASE("gradients of patches equal plain loops for all numbers of entries and channels") {
    Random random(test_seed());
    constexpr std::int64_t kLines = 3, kColumns = 5, kImageLine = 40, kImageStep = 2, kWideLine = 700, kWideStep = 135;
    const Floats image = random_floats(random, 200), wide = random_floats(random, 3 * kWideLine);
    const Floats held = random_floats(random, 27 * 130);
    for_each_kernels([&](const PatchKernels& kernels) {
      for (const std::int64_t entries : {1, 4, 5, 6, 7, 13, 16, 27})
        for (const std::int64_t channels : {1, 15, 16, 33, 64, 130})
          for (const bool add : {false, true}) {
            INFO(entries, " entries, ", channels, " channels, add ", add);
            const Offsets offsets = random_offsets(random, entries, 50);
            std::vector<double> want(held.begin(), held.end());
            for (std::int64_t e = 0; e < entries; ++e)
              for (std::int64_t j = 0; j < channels; ++j) {
                double& sum = want[static_cast<std::size_t>(e * channels + j)];
                if (!add) sum = 0;
                for (std::int64_t p = 0; p < kLines * kColumns; ++p) {
                  const std::int64_t line = p / kColumns, column = p % kColumns;
                  sum += static_cast<double>(at(image, line * kImageLine + column * kImageStep + at(offsets, e))) *
                         static_cast<double>(at(wide, line * kWideLine + column * kWideStep + j));
                }
              }
            Floats sums = held;
            kernels.gradient({.lines = kLines,
                              .columns = kColumns,
                              .image = image.data(),
                              .image_line = kImageLine,
                              .image_step = kImageStep,
                              .wide = wide.data(),
                              .wide_line = kWideLine,
                              .wide_step = kWideStep,
                              .entries = entries,
                              .offsets = offsets.data(),
                              .channels = channels,
                              .sums = sums.data(),
                              .add = add});
            check_close(sums, want);
          }
    });
  }

  TEST_CASE("dot products with patches equal plain loops for all numbers of results and channels") {
    Random random(test_seed());
    constexpr std::int64_t kTaps = 5, kPlaces = 30, kMost = 37;
    const Floats image = random_floats(random, kPlaces * kMost), weights = random_floats(random, 1000);
    const Floats bias = random_floats(random, 4), residual = random_floats(random, 17 * 4);
    const Offsets places = random_offsets(random, 17 + kMostTilePixels, kPlaces / 2);
    std::vector<const float*> table;
    for (std::int64_t i = 0; i < kPlaces; ++i) table.push_back(image.data() + i * kMost);
    std::vector<DotTap> taps;
    for (std::int64_t t = 0; t < kTaps; ++t) taps.push_back({static_cast<std::int64_t>(random() % 15), t * kMost});
    for_each_kernels([&](const PatchKernels& kernels) {
      for (const std::int64_t pixels : {1, 8, 17})
        for (const std::int64_t channels : {8, 16, 37})
          for (std::int64_t rows = 1; rows <= PatchDots::kMostRows; ++rows)
            for (const GemmEpilogue* epilogue : epilogues(bias, residual)) {
              INFO(pixels, " pixels, ", channels, " channels, ", rows, " results");
              const Offsets results = rows_apart(pixels, rows);
              std::vector<double> want(17 * 4, kUntouched);
              for (std::int64_t i = 0; i < pixels; ++i)
                for (std::int64_t j = 0; j < rows; ++j) {
                  double sum = 0;
                  for (const DotTap& tap : taps)
                    for (std::int64_t c = 0; c < channels; ++c)
                      sum += static_cast<double>(table[static_cast<std::size_t>(at(places, i) + tap.place)][c]) *
                             static_cast<double>(at(weights, tap.weight + j * kTaps * kMost + c));
                  want[static_cast<std::size_t>(at(results, i) + j)] = finished(sum, epilogue, at(results, i), j);
                }
              Floats out(17 * 4, kUntouched);
              kernels.dots({.pixels = pixels,
                            .table = table.data(),
                            .places = places.data(),
                            .results = results.data(),
                            .taps = kTaps,
                            .tap = taps.data(),
                            .channels = channels,
                            .weights = weights.data(),
                            .rows = rows,
                            .apart = kTaps * kMost,
                            .out = out.data(),
                            .epilogue = epilogue});
              check_close(out, want);
            }
    });
  }

  TEST_CASE("sums of products equal plain loops for all numbers of pixels") {
    Random random(test_seed());
    constexpr std::int64_t kTaps = 5;
    const Floats products = random_floats(random, 100), bias = random_floats(random, 1);
    const Floats residual = random_floats(random, 17);
    const Offsets places = random_offsets(random, 17 + kMostTilePixels, 50),
                  offsets = random_offsets(random, kTaps, 50);
    for_each_kernels([&](const PatchKernels& kernels) {
      for (const std::int64_t pixels : {1, 4, 17})
        for (const GemmEpilogue* epilogue : epilogues(bias, residual)) {
          INFO(pixels, " pixels");
          const Offsets results = rows_apart(pixels, 1);
          std::vector<double> want(17, kUntouched);
          for (std::int64_t i = 0; i < pixels; ++i) {
            double sum = 0;
            for (const std::int64_t offset : offsets) sum += static_cast<double>(at(products, at(places, i) + offset));
            want[static_cast<std::size_t>(at(results, i))] = finished(sum, epilogue, at(results, i), 0);
          }
          Floats out(17, kUntouched);
          kernels.sums({.pixels = pixels,
                        .products = products.data(),
                        .places = places.data(),
                        .results = results.data(),
                        .taps = kTaps,
                        .offsets = offsets.data(),
                        .out = out.data(),
                        .epilogue = epilogue});
          check_close(out, want);
        }
    });
  }
}

}  // namespace
}  // namespace gesso
