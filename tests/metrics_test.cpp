// Metrics and the grid of pictures.
#include "train/metrics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/brute_force_ssim.h"
#include "tests/expect_error.h"
#include "tests/support.h"
#include "train/comparison.h"
#include "train/grid.h"

namespace gesso {
namespace {

using Bytes = std::vector<std::uint8_t>;

TEST_SUITE("metrics") {
  TEST_CASE("mean squared error and PSNR have the values known by hand") {
    CHECK(mean_squared_error(Bytes{0, 255}, Bytes{0, 0}) == doctest::Approx(0.5));
    CHECK(mean_squared_error(std::vector{0.0, 0.5}, std::vector{0.1, 0.5}) == doctest::Approx(0.005));
    CHECK(psnr(0.01) == doctest::Approx(20));
    CHECK(psnr(1) == doctest::Approx(0));
    CHECK(psnr(mean_squared_error(Bytes{100, 100}, Bytes{101, 99})) == doctest::Approx(48.1308036));  // 20 log10 255
    CHECK(std::isinf(psnr(0)));
    // 16 bits: one step is 1/65535 of the range, and the largest square overflows nothing.
    const std::vector<std::uint16_t> low(1000, 0), high(1000, 65535), step(1000, 1);
    CHECK(mean_squared_error(low, high) == 1.0);
    CHECK(psnr(mean_squared_error(low, step)) == doctest::Approx(96.3294661));  // 20 log10 65535
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
    const std::vector<std::uint16_t> white16(121, 65535), fifth16(121, 13107);
    CHECK(ssim(fifth16, white16, shape).value == doctest::Approx((0.4 + 1e-4) / (1.04 + 1e-4)));
    // A chessboard and its inverse: means m and 1 - m, both variances m(1 - m), covariance the same but negative.
    std::vector<double> board(121), inverse(121);
    double mean = 0, total = 0;
    for (int i = 0; i < 121; ++i) {
      const double dy = i / 11 - 5, dx = i % 11 - 5, weight = std::exp(-(dx * dx + dy * dy) / 4.5);
      board[static_cast<std::size_t>(i)] = i % 2;
      inverse[static_cast<std::size_t>(i)] = 1 - i % 2;
      mean += weight * (i % 2);
      total += weight;
    }
    mean /= total;
    const double v = mean * (1 - mean);
    CHECK(ssim(board, inverse, shape).value ==
          doctest::Approx((2 * v + 1e-4) / (mean * mean + (1 - mean) * (1 - mean) + 1e-4) * (9e-4 - 2 * v) /
                          (2 * v + 9e-4)));
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

  TEST_CASE("code usage is what has occurred by then") {
    CodeUsage usage(8);
    CHECK(usage.perplexity() == 0);
    CHECK(usage.usage() == 0);
    usage.add(std::vector<std::int32_t>{0, 0, 1, 1});
    CHECK(usage.counted() == 4);
    CHECK(usage.usage() == doctest::Approx(0.25));
    CHECK(usage.entropy_bits() == doctest::Approx(1.0));
    CHECK(usage.perplexity() == doctest::Approx(2.0));
    usage.add(std::vector<std::int32_t>{2, 3, 4, 5});
    CHECK(usage.counted() == 8);
    CHECK(usage.usage() == doctest::Approx(0.75));
    CHECK(usage.entropy_bits() == doctest::Approx(2.5));
  }

  TEST_CASE("a code outside the codebook is refused and nothing is counted") {
    CodeUsage usage(4);
    expect_error(ErrorKind::usage, {"code 4", "codebook of 4"}, [&] { usage.add(std::vector<std::int32_t>{0, 4}); });
    expect_error(ErrorKind::usage, {"code -1"}, [&] { usage.add(std::vector<std::int32_t>{-1}); });
    CHECK(usage.counted() == 0);
    expect_error(ErrorKind::usage, {"0 codes"}, [] { CodeUsage none(0); });
  }

  TEST_CASE("triptychs are a picture, what was made of it, and four times their difference") {
    std::vector<Image> before, after;
    for (std::uint8_t i = 0; i < 3; ++i) {
      before.emplace_back(ImageShape{96, 96, 3}, static_cast<std::uint8_t>(100 + i));
      after.emplace_back(ImageShape{96, 96, 3}, static_cast<std::uint8_t>(100 - 20 * i));
    }
    const Image grid = triptych_grid(before, after);
    CHECK(grid.shape == ImageShape{3 * 98 + 2, 3 * 98 + 2, 3});
    const auto at = [&](std::int64_t row, std::int64_t column) {
      return int{grid.pixels[static_cast<std::size_t>(3 * ((row * 98 + 50) * grid.shape.width + column * 98 + 50))]};
    };
    CHECK(at(0, 2) == 102);
    CHECK(at(1, 2) == 60);
    CHECK(at(2, 0) == 0);
    CHECK(at(2, 1) == 84);
    CHECK(at(2, 2) == 168);
    after[0].pixels[3 * (96 * 48 + 48)] = 0;
    const Image clipped = triptych_grid(before, after);
    CHECK(clipped.pixels[static_cast<std::size_t>(3 * ((2 * 98 + 50) * clipped.shape.width + 50))] == 255);
    after[2] = Image({96, 95, 3});
    expect_error(ErrorKind::usage, {"96x95x3", "96x96x3"}, [&] { triptych_grid(before, after); });
    after.pop_back();
    expect_error(ErrorKind::usage, {"3 pictures before and 2 after"}, [&] { triptych_grid(before, after); });
    CHECK(most_triptychs({64, 64, 3}, 4) == 4);
    CHECK(most_triptychs({4096, 4096, 3}, 4) == 1);
    CHECK(most_triptychs({16384, 64, 1}, 4) == 0);
  }

  TEST_CASE("pictures side by side are rows of up to eight, of the pictures' own bits") {
    std::vector<Image16> before, after;
    for (std::uint16_t i = 0; i < 9; ++i) {
      before.emplace_back(ImageShape{96, 96, 1}, static_cast<std::uint16_t>(1000 + i));
      after.emplace_back(ImageShape{96, 96, 1}, static_cast<std::uint16_t>(2000 + i));
    }
    const Image16 grid = comparison_grid(before, after);
    CHECK(grid.shape == ImageShape{4 * 98 + 2, 8 * 98 + 2, 1});
    const auto at = [&](std::int64_t row, std::int64_t column) {
      return grid.pixels[static_cast<std::size_t>((row * 98 + 50) * grid.shape.width + column * 98 + 50)];
    };
    CHECK(at(0, 7) == 1007);
    CHECK(at(1, 7) == 2007);
    CHECK(at(2, 0) == 1008);
    CHECK(at(3, 0) == 2008);
    CHECK(at(2, 1) == 65535);
    CHECK(grid.pixels[0] == 65535);
    CHECK(picture_grid(after).shape == ImageShape{2 * 98 + 2, 8 * 98 + 2, 1});
    CHECK(picture_grid(std::vector<Image16>{before[0]}).shape == ImageShape{100, 100, 1});
    after[3] = Image16({96, 95, 1});
    expect_error(ErrorKind::usage, {"96x95x1", "96x96x1"}, [&] { comparison_grid(before, after); });
    after.pop_back();
    expect_error(ErrorKind::usage, {"9 pictures before and 8 after"}, [&] { comparison_grid(before, after); });
    expect_error(ErrorKind::usage, {"no picture"}, [&] { picture_grid(std::vector<Image>()); });
    expect_error(ErrorKind::usage, {"8x20000", "above the limit"}, [&] {
      picture_grid(std::vector<Image>(1, Image({8, 20000, 1})));
    });
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
    expect_error(ErrorKind::usage, {"6 values", "2x2x1"}, [&] { make_grid(images, {2, 2, 1}); });
    expect_error(ErrorKind::usage, {"0 columns"}, [&] { make_grid(images, {1, 2, 1}, {.columns = 0}); });
  }
}

}  // namespace
}  // namespace gesso
