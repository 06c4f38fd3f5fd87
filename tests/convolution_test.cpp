#include "ops/convolution.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/isa.h"
#include "core/tape.h"
#include "ops/conv2d.h"
#include "ops/winograd.h"
#include "tests/own_process.h"
#include "tests/support.h"

namespace gesso {
namespace {

using Random = std::mt19937_64;
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

std::int64_t pick(Random& random, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
}

Floats random_floats(Random& random, std::int64_t count) {
  std::normal_distribution<float> normal;
  Floats x(static_cast<std::size_t>(count));
  for (float& value : x) value = normal(random);
  return x;
}

std::string text(const ConvGeometry& g) {
  return fmt::format("N{} {}x{} C{} K{} k{}x{} s{}x{} d{}x{} pad {},{} groups {} -> {}x{} {}", g.N, g.H, g.W, g.C, g.K,
                     g.kernel_h, g.kernel_w, g.stride_h, g.stride_w, g.dilation_h, g.dilation_w, g.pad_top, g.pad_left,
                     g.groups, g.OH, g.OW, name_of(g.algorithm));
}

ConvGeometry random_geometry(Random& random) {
  ConvGeometry g;
  g.groups = pick(random, 0, 3) == 0 ? pick(random, 2, 3) : 1;
  g.N = pick(random, 1, 3);
  g.C = g.groups * pick(random, 1, 40);
  g.K = g.groups * pick(random, 1, 40);
  g.kernel_h = pick(random, 1, 4);
  g.kernel_w = pick(random, 1, 4);
  g.stride_h = pick(random, 1, 3);
  g.stride_w = pick(random, 1, 3);
  g.dilation_h = pick(random, 1, 2);
  g.dilation_w = pick(random, 1, 2);
  g.pad_top = pick(random, 0, 3);
  g.pad_left = pick(random, 0, 3);
  g.H = pick(random, 1, 14) + (g.kernel_h - 1) * g.dilation_h;
  g.W = pick(random, 1, 14) + (g.kernel_w - 1) * g.dilation_w;
  g.OH = (g.H + g.pad_top + pick(random, 0, 2) - (g.kernel_h - 1) * g.dilation_h - 1) / g.stride_h + 1;
  g.OW = (g.W + g.pad_left + pick(random, 0, 2) - (g.kernel_w - 1) * g.dilation_w - 1) / g.stride_w + 1;
  return g;
}

// 3x3, stride 1: where Winograd applies.
ConvGeometry square_geometry(std::int64_t N, std::int64_t height, std::int64_t width, std::int64_t C, std::int64_t K,
                             ConvAlgorithm algorithm) {
  return {.N = N,
          .H = height,
          .W = width,
          .C = C,
          .K = K,
          .kernel_h = 3,
          .kernel_w = 3,
          .pad_top = 1,
          .pad_left = 1,
          .OH = height,
          .OW = width,
          .algorithm = algorithm};
}

// 4x4, stride 2: the same.
ConvGeometry halving_geometry(std::int64_t N, std::int64_t height, std::int64_t width, std::int64_t C, std::int64_t K,
                              ConvAlgorithm algorithm) {
  ConvGeometry g = square_geometry(N, height, width, C, K, algorithm);
  g.kernel_h = g.kernel_w = 4;
  g.stride_h = g.stride_w = 2;
  g.OH = height / 2;
  g.OW = width / 2;
  return g;
}

ConvGeometry random_square_geometry(Random& random) {
  ConvGeometry g = square_geometry(pick(random, 1, 3), pick(random, 3, 14), pick(random, 3, 14), pick(random, 1, 40),
                                   pick(random, 1, 40), static_cast<ConvAlgorithm>(pick(random, 2, 3)));
  g.groups = pick(random, 1, 2);
  g.C *= g.groups;
  g.K *= g.groups;
  g.pad_top = pick(random, 0, 6);
  g.pad_left = pick(random, 0, 6);
  if (pick(random, 0, 1) == 0) {
    g.kernel_h = g.kernel_w = 4;
    g.stride_h = g.stride_w = 2;
    g.algorithm = ConvAlgorithm::winograd4;
  }
  g.OH = (g.H + g.pad_top + pick(random, 1, 7) - g.kernel_h) / g.stride_h + 1;
  g.OW = (g.W + g.pad_left + pick(random, 1, 7) - g.kernel_w) / g.stride_w + 1;
  return g;
}

// Calls visit(index in x, index in the weight, index in y) for each product of the convolution.
template <class Visit>
void for_each_product(const ConvGeometry& g, Visit visit) {
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups;
  for (std::int64_t pixel = 0; pixel < g.N * g.OH * g.OW; ++pixel)
    for (std::int64_t kh = 0; kh < g.kernel_h; ++kh)
      for (std::int64_t kw = 0; kw < g.kernel_w; ++kw) {
        const std::int64_t n = pixel / (g.OH * g.OW);
        const std::int64_t h = pixel / g.OW % g.OH * g.stride_h + kh * g.dilation_h - g.pad_top;
        const std::int64_t w = pixel % g.OW * g.stride_w + kw * g.dilation_w - g.pad_left;
        if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
        for (std::int64_t k = 0; k < g.K; ++k)
          for (std::int64_t c = 0; c < group_c; ++c)
            visit(static_cast<std::size_t>(((n * g.H + h) * g.W + w) * g.C + k / group_k * group_c + c),
                  static_cast<std::size_t>(((k * g.kernel_h + kh) * g.kernel_w + kw) * group_c + c),
                  static_cast<std::size_t>(pixel * g.K + k));
      }
}

// One to four channels on one side, sometimes on both; windows that are too wide for patches among them.
ConvGeometry random_thin_geometry(Random& random) {
  ConvGeometry g = random_geometry(random);
  const std::int64_t few = pick(random, 1, 4),
                     other = pick(random, 0, 3) == 0 ? pick(random, 1, 4) : pick(random, 5, 80);
  const bool to_few = pick(random, 0, 1) == 1;
  g.C = g.groups * (to_few ? other : few);
  g.K = g.groups * (to_few ? few : other);
  g.stride_h = pick(random, 1, 5);
  if (pick(random, 0, 4) == 0) g.dilation_w = 20;
  g.H = pick(random, 1, 40);
  g.W = pick(random, 1, 40);
  const auto extent = [&](std::int64_t size, std::int64_t reach, std::int64_t stride) {
    return (size + pick(random, reach, reach + 2)) / stride + 1;  // the last ones may see padding alone
  };
  g.OH = extent(g.H, 0, g.stride_h);
  g.OW = extent(g.W, 0, g.stride_w);
  return g;
}

// The norm of the error over the norm of the truth.
double error(const Floats& x, const Doubles& truth) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const double d = static_cast<double>(x[i]) - truth[i];
    difference += d * d;
    norm += truth[i] * truth[i];
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-30);
}

Execution execution(ThreadPool& pool, Isa isa) { return {device(DeviceKind::cpu), pool, isa}; }

struct Passes {
  Floats y, dx, dweight;
};

Passes all_passes(const Execution& run, const ConvGeometry& g, const Floats& x, const Floats& weight,
                  const Floats& dy) {
  Passes p{Floats(static_cast<std::size_t>(g.y_count()), NAN), Floats(x.size(), NAN), Floats(weight.size(), NAN)};
  convolution::forward(run, g, x.data(), weight.data(), p.y.data());
  convolution::input_gradient(run, g, dy.data(), weight.data(), p.dx.data());
  convolution::weight_gradient(run, g, x.data(), dy.data(), p.dweight.data());
  return p;
}

// One geometry's operands and what plain loops in double make of them.
struct Truth {
  Floats x, weight, dy;
  Doubles y, dx, dweight;

  Truth(const ConvGeometry& g, Random& random)
      : x(random_floats(random, g.x_count())),
        weight(random_floats(random, g.weight_count())),
        dy(random_floats(random, g.y_count())),
        y(dy.size()),
        dx(x.size()),
        dweight(weight.size()) {
    for_each_product(g, [&](std::size_t in_x, std::size_t in_weight, std::size_t in_y) {
      y[in_y] += static_cast<double>(x[in_x]) * static_cast<double>(weight[in_weight]);
      dx[in_x] += static_cast<double>(dy[in_y]) * static_cast<double>(weight[in_weight]);
      dweight[in_weight] += static_cast<double>(x[in_x]) * static_cast<double>(dy[in_y]);
    });
  }
};

void check_against_loops(const ConvGeometry& g, Random& random) {
  const auto [x, weight, dy, y, dx, dweight] = Truth(g, random);
  ThreadPool one(1), three(3);
  const double bound = convolution::error_bound(g, convolution::Pass::forward);
  for (const Isa isa : supported_isas()) {
    INFO(text(g), " on ", std::string(name_of(isa)));
    const Passes p = all_passes(execution(three, isa), g, x, weight, dy);
    CHECK(error(p.y, y) < bound);
    CHECK(error(p.dx, dx) < bound);
    CHECK(error(p.dweight, dweight) < bound);
    const Passes alone = all_passes(execution(one, isa), g, x, weight, dy);
    CHECK(alone.y == p.y);
    CHECK(alone.dx == p.dx);
    CHECK(alone.dweight == p.dweight);
  }
}

TEST_SUITE("convolution") {
  TEST_CASE("all three passes equal plain loops on random geometries, whatever the number of threads") {
    const std::uint64_t seed = test_seed();
    INFO("seed ", seed);
    Random random(seed);
    for (int i = 0; i < 25; ++i) check_against_loops(random_geometry(random), random);
  }

  TEST_CASE("all three passes equal plain loops with few channels on one side, whatever the number of threads") {
    const std::uint64_t seed = test_seed();
    INFO("seed ", seed);
    Random random(seed);
    for (int i = 0; i < 40; ++i) check_against_loops(random_thin_geometry(random), random);
  }

  TEST_CASE("a pixel by the direct way is the same in an image of any size, bit for bit, with few channels too") {
    Random random(6);
    ThreadPool pool(2);
    for (const auto& [channels, results] : {std::pair{3, 20}, {20, 3}, {1, 40}, {40, 1}, {2, 2}, {20, 20}})
      for (const std::int64_t stride : {1, 2}) {
        ConvGeometry large = square_geometry(1, 40, 36, channels, results, ConvAlgorithm::direct);
        large.stride_h = large.stride_w = stride;
        large.OH = (large.H - 1) / stride + 1;
        large.OW = (large.W - 1) / stride + 1;
        // The lower left of the same image, from an even line on.
        ConvGeometry small = large;
        small.H = 30;
        small.W = 22;
        small.OH = (small.H - 1) / stride + 1;
        small.OW = (small.W - 1) / stride + 1;
        const Floats x = random_floats(random, large.x_count()), weight = random_floats(random, large.weight_count());
        Floats cut;
        for (std::int64_t h = 10; h < 40; ++h)
          cut.insert(cut.end(), x.begin() + h * 36 * channels, x.begin() + (h * 36 + 22) * channels);
        for (const Isa isa : supported_isas()) {
          INFO(text(large), " on ", std::string(name_of(isa)));
          Floats y(static_cast<std::size_t>(large.y_count())), cut_y(static_cast<std::size_t>(small.y_count()));
          convolution::forward(execution(pool, isa), large, x.data(), weight.data(), y.data());
          convolution::forward(execution(pool, isa), small, cut.data(), weight.data(), cut_y.data());
          bool same = true;
          for (std::int64_t h = 1; h < small.OH; ++h)  // but where the cut is seen
            for (std::int64_t i = 0; i < (small.OW - 1) * results; ++i)
              same = same && cut_y[static_cast<std::size_t>(h * small.OW * results + i)] ==
                                 y[static_cast<std::size_t>((h + 10 / stride) * large.OW * results + i)];
          CHECK(same);
        }
      }
  }

  TEST_CASE("all three passes by Winograd equal plain loops on random geometries, whatever the number of threads") {
    const std::uint64_t seed = test_seed();
    INFO("seed ", seed);
    Random random(seed);
    for (int i = 0; i < 20; ++i) check_against_loops(random_square_geometry(random), random);
  }

  TEST_CASE("all three passes by Winograd equal plain loops where sums are long or tiles are many") {
    Random random(3);
    // Blocks of tiles for each thread; blocks that all threads share, several of them; more channels than are summed at
    // a time; chains of tiles; two parts of a kernel at a time.
    for (const ConvAlgorithm algorithm : {ConvAlgorithm::winograd2, ConvAlgorithm::winograd4})
      for (const ConvGeometry& g :
           {square_geometry(2, 130, 121, 1, 2, algorithm), square_geometry(1, 81, 82, 1, 160, algorithm),
            square_geometry(1, 6, 5, 800, 20, algorithm), halving_geometry(1, 162, 160, 2, 20, algorithm),
            halving_geometry(1, 112, 112, 40, 20, algorithm)})
        check_against_loops(g, random);
  }

  TEST_CASE("the error of Winograd is at most three times that of the direct way, five times for the weight") {
    Random random(4);
    ThreadPool pool(2);
    std::vector<ConvGeometry> geometries;
    for (const std::int64_t channels : {16, 64}) {  // the plan leaves fewer to the direct way
      geometries.push_back(square_geometry(2, 16, 16, channels, channels, ConvAlgorithm::direct));
      geometries.push_back(halving_geometry(2, 16, 16, channels, channels, ConvAlgorithm::direct));
    }
    geometries.push_back(halving_geometry(1, 16, 16, 128, 128, ConvAlgorithm::direct));
    // Tiles with short sides.
    geometries.push_back(square_geometry(4, 7, 7, 64, 64, ConvAlgorithm::direct));
    geometries.push_back(halving_geometry(4, 14, 14, 64, 64, ConvAlgorithm::direct));
    // Several chains of channels, and of tiles.
    for (const std::int64_t channels : {256, 400}) {
      geometries.push_back(square_geometry(1, 16, 16, channels, 24, ConvAlgorithm::direct));
      geometries.push_back(square_geometry(1, 16, 16, 24, channels, ConvAlgorithm::direct));
      geometries.push_back(halving_geometry(1, 16, 16, channels, 24, ConvAlgorithm::direct));
      geometries.push_back(halving_geometry(1, 16, 16, 24, channels, ConvAlgorithm::direct));
    }
    geometries.push_back(square_geometry(16, 32, 32, 16, 16, ConvAlgorithm::direct));
    for (ConvGeometry& g : geometries) {
      const Truth truth(g, random);
      for (const Isa isa : supported_isas()) {
        const auto passes = [&](ConvAlgorithm algorithm) {
          g.algorithm = algorithm;
          return all_passes(execution(pool, isa), g, truth.x, truth.weight, truth.dy);
        };
        const Passes direct = passes(ConvAlgorithm::direct);
        for (const ConvAlgorithm algorithm : {ConvAlgorithm::winograd2, ConvAlgorithm::winograd4}) {
          g.algorithm = algorithm;
          if (convolution::plan(g, convolution::Pass::forward, isa) != algorithm) continue;  // it does not apply
          const Passes p = passes(algorithm);
          const double y = error(p.y, truth.y) / error(direct.y, truth.y);
          const double dx = error(p.dx, truth.dx) / error(direct.dx, truth.dx);
          const double dweight = error(p.dweight, truth.dweight) / error(direct.dweight, truth.dweight);
          INFO(text(g), " on ", std::string(name_of(isa)), ": ", y, " ", dx, " ", dweight);
          CHECK(y < 3);
          CHECK(dx < 3);
          CHECK(dweight < 5);
        }
      }
    }
  }

  TEST_CASE("the plan takes Winograd for large squares and the direct way where it does not apply") {
    using convolution::Pass;
    const ConvAlgorithmScope planned(ConvAlgorithm::automatic);
    for (const Isa isa : supported_isas())
      for (const Pass pass : {Pass::forward, Pass::input_gradient, Pass::weight_gradient}) {
        const auto chosen = [&](const ConvGeometry& g) { return convolution::plan(g, pass, isa); };
        ConvGeometry g = square_geometry(16, 16, 16, 128, 128, ConvAlgorithm::automatic);
        CHECK(chosen(g) == ConvAlgorithm::winograd4);
        g.algorithm = ConvAlgorithm::winograd2;
        CHECK(chosen(g) == ConvAlgorithm::winograd2);
        g.stride_h = 2;
        g.OH = 8;
        CHECK(chosen(g) == ConvAlgorithm::direct);
        CHECK(chosen(halving_geometry(16, 32, 32, 64, 128, ConvAlgorithm::winograd4)) == ConvAlgorithm::winograd4);
        CHECK(chosen(halving_geometry(16, 32, 32, 64, 128, ConvAlgorithm::winograd2)) == ConvAlgorithm::direct);
        CHECK(chosen(square_geometry(16, 32, 32, 3, 64, ConvAlgorithm::automatic)) == ConvAlgorithm::direct);
      }
  }

  TEST_CASE("the algorithm of this process is printed on request" * doctest::skip()) {
    MESSAGE("algorithm is ", std::string(name_of(conv_algorithm())));
  }

  TEST_CASE("GESSO_CONV_ALGORITHM chooses, and is refused where it names none") {
    const std::string name = "the algorithm of this process is printed on request";
    CHECK(run_own_test("GESSO_CONV_ALGORITHM=winograd2", name).output.find("algorithm is winograd2") !=
          std::string::npos);
    const OwnProcess refused = run_own_test("GESSO_CONV_ALGORITHM=fft", name);
    CHECK(refused.status != 0);
    CHECK(refused.output.find("unknown convolution algorithm 'fft'; choose one of: auto, direct") != std::string::npos);
  }

  TEST_CASE("a scope's algorithm is that of calls that name none, both ways, and the inner scope's comes first") {
    Random random(5);
    const auto tensor = [&](const Shape& shape) {
      return Tensor::from_host<float>(random_floats(random, shape.count()), shape, device(DeviceKind::cpu));
    };
    const Tensor x = tensor({1, 9, 9, 8}), weight = tensor({8, 3, 3, 8});
    const auto y_and_gradients = [&](ConvAlgorithm algorithm) {
      Tape tape;
      for (const Tensor& leaf : {x, weight}) tape.watch(leaf);
      const Tensor y = ops::conv2d(x, weight, {.padding = 1, .algorithm = algorithm});
      const Tensors gradients = tape.backward(Tensors{y}, Tensors{y}, Tensors{x, weight});
      return std::vector{y.to_host<float>(), gradients[0].to_host<float>(), gradients[1].to_host<float>()};
    };
    const ConvAlgorithm before = conv_algorithm();
    std::vector<std::vector<Floats>> results;
    for (const ConvAlgorithm algorithm : {ConvAlgorithm::direct, ConvAlgorithm::winograd2, ConvAlgorithm::winograd4}) {
      const ConvAlgorithmScope outer(ConvAlgorithm::winograd2), inner(algorithm);
      results.push_back(y_and_gradients(ConvAlgorithm::automatic));
      CHECK(results.back() == y_and_gradients(algorithm));
    }
    CHECK(conv_algorithm() == before);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(results[0][i] != results[1][i]);
      CHECK(results[0][i] != results[2][i]);
    }
  }

  TEST_CASE("all three passes equal plain loops where sums are long or parts are many") {
    Random random(1);
    // Few channels of x by more phases than are computed together.
    ConvGeometry phases{.N = 1, .H = 20, .W = 12, .C = 2, .K = 20, .kernel_h = 3, .OH = 2, .OW = 2};
    phases.stride_h = 9;
    phases.stride_w = 10;
    // A kernel smaller than its stride leaves pixels of x without influence; few weights cut the pixels into parts;
    // more channels than are summed at a time; several chunks each way.
    for (const ConvGeometry& g :
         {ConvGeometry{.N = 2, .H = 9, .W = 9, .C = 5, .K = 7, .stride_h = 2, .stride_w = 3, .OH = 5, .OW = 3},
          square_geometry(3, 20, 20, 3, 9, ConvAlgorithm::automatic),
          ConvGeometry{.N = 1, .H = 6, .W = 5, .C = 800, .K = 20, .kernel_h = 2, .OH = 5, .OW = 5}, phases,
          square_geometry(2, 12, 12, 70, 130, ConvAlgorithm::direct),
          square_geometry(2, 12, 12, 70, 130, ConvAlgorithm::automatic)})
      check_against_loops(g, random);
  }

  TEST_CASE("an empty batch gives an empty result and a weight gradient of zeros") {
    ThreadPool pool(2);
    const ConvGeometry g = {.N = 0, .H = 4, .W = 4, .C = 2, .K = 3, .OH = 4, .OW = 4};
    const Passes p = all_passes(execution(pool, isa()), g, {}, Floats(6, 1.0f), {});
    CHECK(p.dweight == Floats(6, 0.0f));
  }

  TEST_CASE("bias, residual and activation are applied to the finished sum") {
    Random random(2);
    ThreadPool pool(2);
    const ConvGeometry g = {.N = 2,
                            .H = 7,
                            .W = 7,
                            .C = 450,
                            .K = 37,
                            .kernel_h = 3,
                            .kernel_w = 3,
                            .stride_h = 2,
                            .stride_w = 2,
                            .pad_top = 1,
                            .pad_left = 1,
                            .OH = 4,
                            .OW = 4};
    const Floats x = random_floats(random, g.x_count()), weight = random_floats(random, g.weight_count());
    const Floats bias = random_floats(random, g.K), residual = random_floats(random, g.y_count());
    for (const Isa isa : supported_isas()) {
      const Execution run = execution(pool, isa);
      Floats plain(residual.size()), fused(residual.size());
      convolution::forward(run, g, x.data(), weight.data(), plain.data());
      for (const Activation activation : {Activation::none, Activation::relu, Activation::silu}) {
        convolution::forward(run, g, x.data(), weight.data(), fused.data(),
                             {.bias = bias.data(), .residual = residual.data(), .activation = activation});
        Doubles expected(plain.size());
        for (std::size_t i = 0; i < plain.size(); ++i) {
          const double sum = static_cast<double>(plain[i]) + static_cast<double>(bias[i % bias.size()]) +
                             static_cast<double>(residual[i]);
          expected[i] = activation == Activation::relu   ? std::max(sum, 0.0)
                        : activation == Activation::silu ? sum / (1 + std::exp(-sum))
                                                         : sum;
        }
        CHECK(error(fused, expected) < 1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace gesso
