// Metrics and the grid of pictures.
#include "train/metrics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/expect_error.h"
#include "tests/support.h"
#include "train/grid.h"

namespace gesso {
namespace {

using Bytes = std::vector<std::uint8_t>;

// The definition, window by window, with centred sums where metrics.cpp has differences of means.
double brute_force_ssim(const std::vector<double>& a, const std::vector<double>& b, const ImageShape& s, int window) {
  std::vector<double> weights;
  double total = 0;
  for (int i = 0; i < window * window; ++i) {
    const double dy = i / window - window / 2, dx = i % window - window / 2;
    weights.push_back(std::exp(-(dx * dx + dy * dy) / 4.5));
    total += weights.back();
  }
  double sum = 0;
  int positions = 0;
  for (std::int64_t c = 0; c < s.channels; ++c)
    for (std::int64_t top = 0; top + window <= s.height; ++top)
      for (std::int64_t left = 0; left + window <= s.width; ++left, ++positions) {
        const auto value = [&](const std::vector<double>& image, int i) {
          return image[static_cast<std::size_t>(((top + i / window) * s.width + left + i % window) * s.channels + c)];
        };
        const auto mean = [&](auto&& term) {
          double m = 0;
          for (int i = 0; i < window * window; ++i) m += weights[static_cast<std::size_t>(i)] / total * term(i);
          return m;
        };
        const double ma = mean([&](int i) { return value(a, i); }), mb = mean([&](int i) { return value(b, i); });
        const double va = mean([&](int i) { return (value(a, i) - ma) * (value(a, i) - ma); });
        const double vb = mean([&](int i) { return (value(b, i) - mb) * (value(b, i) - mb); });
        const double cov = mean([&](int i) { return (value(a, i) - ma) * (value(b, i) - mb); });
        sum += (2 * ma * mb + 1e-4) / (ma * ma + mb * mb + 1e-4) * (2 * cov + 9e-4) / (va + vb + 9e-4);
      }
  return sum / positions;
}

TEST_SUITE("metrics") {
  TEST_CASE("mean squared error and PSNR have the values known by hand") {
    CHECK(mean_squared_error(Bytes{0, 255}, Bytes{0, 0}) == doctest::Approx(0.5));
    CHECK(mean_squared_error(std::vector{0.0, 0.5}, std::vector{0.1, 0.5}) == doctest::Approx(0.005));
    CHECK(psnr(0.01) == doctest::Approx(20));
    CHECK(psnr(1) == doctest::Approx(0));
    CHECK(psnr(mean_squared_error(Bytes{100, 100}, Bytes{101, 99})) == doctest::Approx(48.1308036));  // 20 log10 255
    CHECK(std::isinf(psnr(0)));
    expect_error(ErrorKind::usage, {"1 and 2 values"}, [] { mean_squared_error(Bytes{1}, Bytes{1, 2}); });
    expect_error(ErrorKind::usage, {"0 and 0 values"}, [] { mean_squared_error(Bytes{}, Bytes{}); });
  }

  TEST_CASE("SSIM has the values known by hand") {
    // Of constant pictures only the luminance term is left.
    const std::vector<double> black(121, 0.0), white(121, 1.0), grey(121, 0.5);
    const ImageShape shape{11, 11, 1};
    CHECK(ssim(black, white, shape).value == doctest::Approx(1e-4 / 1.0001));
    CHECK(ssim(grey, white, shape).value == doctest::Approx(1.0001 / 1.2501));
    CHECK(ssim(grey, grey, shape).value == doctest::Approx(1.0));
    CHECK(ssim(Bytes(121, 255), Bytes(121, 0), shape).value == doctest::Approx(1e-4 / 1.0001));
  }

  TEST_CASE("SSIM equals its definition summed window by window, on any size") {
    std::mt19937_64 random(test_seed());
    std::uniform_real_distribution<double> uniform(0, 1);
    struct Case {
      ImageShape shape;
      int window;
    };
    for (const Case& c : {Case{{11, 11, 1}, 11}, Case{{20, 14, 3}, 11}, Case{{12, 30, 1}, 11}, Case{{10, 40, 3}, 9},
                          Case{{5, 7, 1}, 5}, Case{{8, 8, 1}, 7}, Case{{2, 9, 1}, 1}, Case{{1, 1, 3}, 1}}) {
      INFO(c.shape.text());
      std::vector<double> a(static_cast<std::size_t>(c.shape.count())), b = a;
      for (std::size_t i = 0; i < a.size(); ++i) {
        a[i] = uniform(random);
        b[i] = 0.7 * a[i] + 0.3 * uniform(random);
      }
      const Ssim got = ssim(a, b, c.shape);
      CHECK(got.window == c.window);
      CHECK(got.value == doctest::Approx(brute_force_ssim(a, b, c.shape, c.window)).epsilon(1e-10));
      CHECK(ssim(b, a, c.shape).value == doctest::Approx(got.value).epsilon(1e-12));
      CHECK(ssim(a, a, c.shape).value == doctest::Approx(1.0));
    }
    expect_error(ErrorKind::usage, {"4 values", "2x2x3"}, [] { ssim(Bytes(4), Bytes(4), {2, 2, 3}); });
  }

  TEST_CASE("code usage counts all codes, or the last ones only") {
    CodeUsage all(8, CodeUsage::kAll), last(8, 4);
    CHECK(all.perplexity() == 0);
    CHECK(all.usage() == 0);
    for (CodeUsage* usage : {&all, &last}) {
      usage->add(std::vector<std::int32_t>{0, 0, 1, 1});
      CHECK(usage->counted() == 4);
      CHECK(usage->usage() == doctest::Approx(0.25));
      CHECK(usage->entropy_bits() == doctest::Approx(1.0));
      CHECK(usage->perplexity() == doctest::Approx(2.0));
      usage->add(std::vector<std::int32_t>{2, 3, 4, 5});
    }
    CHECK(all.counted() == 8);
    CHECK(all.usage() == doctest::Approx(0.75));
    CHECK(all.entropy_bits() == doctest::Approx(2.5));
    CHECK(last.counted() == 4);
    CHECK(last.usage() == doctest::Approx(0.5));
    CHECK(last.perplexity() == doctest::Approx(4.0));
  }

  TEST_CASE("a window of codes equals counting its content alone") {
    std::mt19937_64 random(test_seed());
    CodeUsage windowed(16, 100);
    std::vector<std::int32_t> history;
    for (int round = 0; round < 30; ++round) {
      std::vector<std::int32_t> codes(random() % 60);
      for (std::int32_t& code : codes) code = static_cast<std::int32_t>(random() % 16);
      windowed.add(codes);
      history.insert(history.end(), codes.begin(), codes.end());
      CodeUsage alone(16, CodeUsage::kAll);
      const std::size_t kept = std::min<std::size_t>(history.size(), 100);
      alone.add(std::span(history).last(kept));
      REQUIRE(windowed.counted() == alone.counted());
      REQUIRE(windowed.usage() == alone.usage());
      REQUIRE(windowed.perplexity() == alone.perplexity());
    }
  }

  TEST_CASE("a code outside the codebook is refused and nothing is counted") {
    CodeUsage usage(4);
    expect_error(ErrorKind::usage, {"code 4", "codebook of 4"}, [&] { usage.add(std::vector<std::int32_t>{0, 4}); });
    expect_error(ErrorKind::usage, {"code -1"}, [&] { usage.add(std::vector<std::int32_t>{-1}); });
    CHECK(usage.counted() == 0);
    expect_error(ErrorKind::usage, {"0 codes"}, [] { CodeUsage none(0); });
  }

  TEST_CASE("a grid has its pictures where they belong") {
    const Bytes images = {1, 2, 3, 4, 5, 6};  // three of 1x2
    const Image grid = make_grid(images, {1, 2, 1}, {.columns = 2, .padding = 1, .background = 9});
    CHECK(grid.shape == ImageShape{5, 7, 1});
    CHECK(grid.pixels == Bytes{9, 9, 9, 9, 9, 9, 9,  //
                               9, 1, 2, 9, 3, 4, 9,  //
                               9, 9, 9, 9, 9, 9, 9,  //
                               9, 5, 6, 9, 9, 9, 9,  //
                               9, 9, 9, 9, 9, 9, 9});
    CHECK(make_grid(images, {1, 1, 3}, {.columns = 2, .padding = 0}).pixels == images);
    CHECK(make_grid(Bytes{7, 8}, {1, 2, 1}, {.columns = 1, .padding = 0, .scale = 2}).pixels ==
          Bytes{7, 7, 8, 8, 7, 7, 8, 8});
    CHECK(make_grid(Bytes{}, {1, 2, 1}).shape == ImageShape{2, 8 * 4 + 2, 1});
    expect_error(ErrorKind::usage, {"6 bytes", "2x2x1"}, [&] { make_grid(images, {2, 2, 1}); });
    expect_error(ErrorKind::usage, {"0 columns"}, [&] { make_grid(images, {1, 2, 1}, {.columns = 0}); });
  }
}

}  // namespace
}  // namespace gesso
