#include "ops/conv2d_cases.h"

#include <fmt/format.h>

#include "ops/convolution_rows.h"

namespace gesso::conv2d_cases {
namespace {

using Attrs = ops::Conv2dAttrs;

const Operand kAbsent{{}, Domain::absent};

// All operands: x, weight, then bias, residual and time_bias where wanted, a step where it drops, and a skip with the
// channels that the weight expects and x does not have.
Case<Attrs> sample(std::string title, const Attrs& a, const Shape& x, const Shape& weight, bool bias, bool residual,
                   bool time_bias = false) {
  const std::int64_t channels = weight[3] * a.groups;
  const ConvGeometry g = geometry_of(a, {x[0], x[1] * a.upsample, x[2] * a.upsample, channels}, weight);
  const auto wanted = [](bool is, const Shape& shape) { return is ? Operand{shape} : kAbsent; };
  return {std::move(title),
          a,
          {{x},
           {weight},
           wanted(bias, {g.K}),
           wanted(residual, {g.N, g.OH, g.OW, g.K}),
           wanted(time_bias, {g.N, g.K}),
           a.dropout.rate != 0 ? Operand{{1}, Domain::counter, 1000} : kAbsent,
           wanted(channels > x[3], {x[0], x[1], x[2], channels - x[3]})}};
}

Case<Attrs> with_empty_skip(Case<Attrs> of) {
  of.in.back() = of.in.front();
  of.in.back().shape[3] = 0;
  return of;
}

constexpr Activation kRelu = Activation::relu, kSilu = Activation::silu;
constexpr ConvAlgorithm kDirect = ConvAlgorithm::direct, kWinograd2 = ConvAlgorithm::winograd2,
                        kWinograd4 = ConvAlgorithm::winograd4;
constexpr ops::DropoutAttrs kHalf{.rate = 0.5, .key = 7, .first_sample = 3};

std::vector<Case<Attrs>> plain_samples() {
  return {
      sample("3x3", {.padding = 1}, {2, 6, 5, 20}, {18, 3, 3, 20}, true, false),
      sample("1x1", {}, {2, 4, 4, 24}, {17, 1, 1, 24}, true, true),
      sample("4x4 stride 2", {.stride = 2, .padding = 1}, {2, 8, 8, 3}, {9, 4, 4, 3}, true, false),
      sample("stride larger than kernel", {.stride = {3, 2}}, {1, 8, 7, 4}, {5, 2, 1, 4}, false, false),
      sample("asymmetric padding", {.stride = 2, .padding = {0, 0, 1, 1}}, {1, 6, 8, 4}, {4, 3, 3, 4}, true, false),
      sample("padding wider than kernel", {.padding = {3, 2, 0, 1}}, {1, 3, 4, 2}, {3, 2, 2, 2}, false, false),
      sample("dilation", {.padding = 2, .dilation = {2, 3}}, {1, 8, 9, 18}, {6, 3, 2, 18}, true, false),
      sample("groups", {.padding = 1, .groups = 3}, {2, 5, 4, 12}, {9, 3, 3, 4}, true, true),
      sample("one channel a group", {.padding = 1, .groups = 5}, {1, 5, 4, 5}, {10, 3, 3, 1}, false, false),
      sample("relu", {.padding = 1, .activation = kRelu}, {1, 5, 5, 6}, {7, 3, 3, 6}, true, true),
      sample("silu", {.padding = 1, .activation = kSilu}, {1, 5, 5, 6}, {7, 3, 3, 6}, true, true),
      sample("one pixel", {}, {1, 1, 1, 33}, {3, 1, 1, 33}, true, false),
      sample("many chunks", {.padding = 1}, {1, 17, 16, 40}, {68, 3, 3, 40}, true, false),
      sample("many chunks, direct", {.padding = 1, .algorithm = kDirect}, {1, 17, 16, 40}, {68, 3, 3, 40}, true, false),
      sample("channels in fours", {.padding = 1, .activation = kRelu}, {2, 9, 8, 12}, {68, 3, 3, 12}, true, true),
      sample("channels in fours, stride 2", {.stride = 2, .padding = 1}, {2, 32, 32, 4}, {8, 3, 3, 4}, true, false),
      sample("channels in fours, groups", {.padding = 1, .groups = 2, .activation = kSilu}, {1, 6, 6, 8}, {8, 3, 3, 4},
             true, true),
      sample("many channels", {.padding = 1}, {1, 9, 9, 48}, {52, 3, 3, 48}, true, false),
      sample("no images", {.padding = 1, .dropout = kHalf}, {0, 5, 5, 4}, {6, 3, 3, 4}, true, false, true),
      sample("no channels", {.padding = 1, .activation = kRelu}, {1, 4, 4, 0}, {6, 3, 3, 0}, true, false),
      sample("no output channels", {.padding = 1}, {1, 4, 4, 3}, {0, 3, 3, 3}, true, false)};
}

std::vector<Case<Attrs>> few_channel_samples() {
  return {
      sample("one channel to many", {.padding = 1}, {1, 9, 9, 1}, {70, 3, 3, 1}, false, false),
      sample("many to few channels", {.padding = 1, .activation = kRelu}, {1, 7, 6, 40}, {3, 3, 3, 40}, true, true),
      sample("three channels to many", {.padding = 1, .activation = kRelu}, {2, 13, 11, 3}, {70, 3, 3, 3}, true, false),
      sample("four channels to many, stride 2, dilation", {.stride = 2, .padding = {2, 1, 0, 3}, .dilation = {1, 2}},
             {2, 9, 12, 4}, {21, 3, 3, 4}, true, true),
      sample("two channels to many, silu", {.padding = {0, 1, 2, 1}, .activation = kSilu}, {1, 6, 8, 2}, {17, 4, 2, 2},
             true, false),
      sample("few channels, dilation wider than image", {.padding = 40, .dilation = 40}, {1, 5, 6, 2}, {20, 3, 3, 2},
             true, false),
      sample("few channels a group", {.padding = 1, .groups = 2}, {1, 6, 6, 6}, {40, 3, 3, 3}, true, false),
      sample("few channels on both sides", {.padding = 1}, {2, 5, 7, 3}, {2, 3, 3, 3}, true, true),
      sample("many to one channel", {.padding = 1}, {2, 9, 9, 20}, {1, 3, 3, 20}, true, false),
      sample("many to four channels, stride 2, dilation", {.stride = 2, .padding = {2, 1, 0, 3}, .dilation = {1, 2}},
             {2, 9, 12, 21}, {4, 3, 3, 21}, true, true),
      sample("many to two channels, silu", {.padding = {0, 1, 2, 1}, .activation = kSilu}, {1, 6, 8, 17}, {2, 4, 2, 17},
             true, false),
      sample("many to few channels a group", {.padding = 1, .groups = 2}, {1, 6, 6, 40}, {6, 3, 3, 20}, true, false),
      sample("many to few channels, stride 5", {.stride = 5, .padding = 1}, {1, 11, 12, 20}, {3, 3, 3, 20}, true,
             false),
      sample("few results of long sums", {.padding = 1, .activation = kRelu}, {1, 2, 1, 64}, {2, 3, 3, 64}, true, true),
      sample("few gradients of long sums", {.padding = 1}, {1, 1, 2, 2}, {64, 3, 3, 2}, false, false),
      sample("many pixels of one channel", {.padding = 1}, {1, 16, 32, 1}, {2, 3, 3, 1}, true, false)};
}

std::vector<Case<Attrs>> winograd_samples() {
  return {sample("winograd2", {.padding = 1, .algorithm = kWinograd2}, {2, 7, 5, 20}, {18, 3, 3, 20}, true, false),
          sample("winograd4", {.padding = 1, .algorithm = kWinograd4}, {2, 9, 6, 20}, {18, 3, 3, 20}, true, false),
          sample("winograd2, silu", {.activation = kSilu, .algorithm = kWinograd2}, {1, 6, 8, 35}, {21, 3, 3, 35}, true,
                 true),
          sample("winograd4, relu", {.activation = kRelu, .algorithm = kWinograd4}, {1, 8, 10, 35}, {21, 3, 3, 35},
                 true, true),
          sample("winograd4, padding wider than kernel", {.padding = {5, 0, 1, 3}, .algorithm = kWinograd4},
                 {1, 3, 5, 3}, {4, 3, 3, 3}, true, false),
          sample("winograd4, groups", {.padding = 1, .groups = 2, .algorithm = kWinograd4}, {1, 5, 5, 8}, {6, 3, 3, 4},
                 true, true),
          sample("winograd4, many tiles", {.padding = 1, .algorithm = kWinograd4}, {2, 119, 120, 1}, {2, 3, 3, 1}, true,
                 false),
          sample("winograd4, 4x4 stride 2", {.stride = 2, .padding = 1, .activation = kRelu, .algorithm = kWinograd4},
                 {2, 10, 13, 18}, {20, 4, 4, 18}, true, true),
          sample("winograd4, 4x4 stride 2, groups",
                 {.stride = 2, .padding = {3, 0, 2, 4}, .groups = 2, .algorithm = kWinograd4}, {1, 5, 6, 70},
                 {4, 4, 4, 35}, true, false),
          sample("winograd4 where it does not apply", {.stride = 2, .padding = 1, .algorithm = kWinograd4},
                 {1, 7, 7, 5}, {4, 3, 3, 5}, true, false)};
}

// What is done to the finished sum.
std::vector<Case<Attrs>> finish_samples() {
  return {sample("time bias", {.padding = 1}, {3, 5, 4, 20}, {18, 3, 3, 20}, true, false, true),
          sample("time bias, relu and dropout, winograd4",
                 {.padding = 1, .activation = kRelu, .dropout = kHalf, .algorithm = kWinograd4}, {3, 6, 5, 20},
                 {19, 3, 3, 20}, false, true, true),
          sample("time bias and dropout, winograd2", {.padding = 1, .dropout = kHalf, .algorithm = kWinograd2},
                 {2, 5, 9, 20}, {35, 3, 3, 20}, true, true, true),
          sample("time bias, silu and dropout, direct",
                 {.padding = 1, .activation = kSilu, .dropout = kHalf, .algorithm = ConvAlgorithm::direct},
                 {2, 5, 5, 20}, {35, 3, 3, 20}, true, true, true),
          sample("time bias, silu and dropout, groups", {.groups = 2, .activation = kSilu, .dropout = kHalf},
                 {2, 9, 8, 8}, {22, 3, 3, 4}, true, false, true),
          sample("time bias, relu and dropout, few results", {.padding = 1, .activation = kRelu, .dropout = kHalf},
                 {2, 7, 6, 40}, {3, 3, 3, 40}, true, true, true),
          sample("time bias and dropout, one channel", {.padding = 1, .dropout = kHalf}, {2, 9, 9, 1}, {70, 3, 3, 1},
                 true, false, true),
          sample("time bias and dropout, several chunks", {.padding = 1, .dropout = kHalf}, {2, 41, 16, 5},
                 {68, 3, 3, 5}, true, false, true),
          sample("time bias and dropout, winograd4, 4x4 stride 2",
                 {.stride = 2, .padding = 1, .dropout = kHalf, .algorithm = kWinograd4}, {2, 10, 13, 18},
                 {20, 4, 4, 18}, true, false, true)};
}

std::vector<Case<Attrs>> skip_samples() {
  return {
      sample("skip, direct", {.padding = 1, .algorithm = kDirect}, {2, 6, 5, 20}, {18, 3, 3, 43}, true, false),
      sample("skip, winograd2", {.padding = 1, .algorithm = kWinograd2}, {2, 6, 5, 20}, {18, 3, 3, 43}, true, true),
      sample("skip, winograd4, silu and dropout",
             {.padding = 1, .activation = kSilu, .dropout = kHalf, .algorithm = kWinograd4}, {2, 6, 9, 35},
             {19, 3, 3, 52}, true, true, true),
      sample("skip, winograd4, 4x4 stride 2", {.stride = 2, .padding = 1, .activation = kRelu, .algorithm = kWinograd4},
             {2, 10, 13, 18}, {20, 4, 4, 40}, true, true),
      sample("skip, 1x1", {}, {2, 4, 4, 24}, {17, 1, 1, 41}, true, true),
      sample("skip, few channels", {.padding = 1}, {2, 7, 6, 3}, {5, 3, 3, 7}, true, false),
      sample("skip, few results", {.padding = 1, .activation = kRelu}, {2, 7, 6, 20}, {3, 3, 3, 44}, true, false),
      sample("skip, x without channels, winograd4", {.padding = 1, .algorithm = kWinograd4}, {2, 6, 5, 0},
             {18, 3, 3, 20}, true, false),
      with_empty_skip(sample("skip without channels", {.padding = 1}, {2, 6, 5, 20}, {18, 3, 3, 20}, true, false)),
      sample("skip, many chunks", {.padding = 1}, {1, 17, 16, 24}, {68, 3, 3, 52}, true, false)};
}

std::vector<Case<Attrs>> enlarged_samples() {
  return {sample("enlarged", {.padding = 1, .upsample = 2}, {2, 5, 4, 20}, {18, 3, 3, 20}, true, false),
          sample("enlarged, direct, relu", {.padding = 1, .upsample = 2, .activation = kRelu, .algorithm = kDirect},
                 {2, 3, 4, 18}, {21, 3, 3, 18}, true, true, true),
          sample("enlarged, winograd4, silu and dropout",
                 {.padding = 1, .upsample = 2, .activation = kSilu, .dropout = kHalf, .algorithm = kWinograd4},
                 {2, 5, 3, 20}, {18, 3, 3, 20}, true, true, true),
          sample("enlarged, groups", {.padding = {0, 1, 2, 1}, .groups = 2, .upsample = 2}, {1, 4, 5, 6}, {8, 3, 2, 3},
                 true, false),
          sample("enlarged, 1x1", {.upsample = 2}, {2, 3, 2, 24}, {17, 1, 1, 24}, true, true),
          sample("enlarged, padding wider than kernel", {.padding = {3, 2, 0, 1}, .upsample = 2}, {1, 2, 3, 2},
                 {3, 2, 2, 2}, false, false),
          sample("enlarged, few results", {.padding = 1, .upsample = 2}, {1, 6, 5, 20}, {3, 3, 3, 20}, true, false),
          sample("enlarged, one result, time bias, relu and dropout",
                 {.padding = 1, .upsample = 2, .activation = kRelu, .dropout = kHalf}, {2, 9, 7, 20}, {1, 3, 3, 20},
                 true, true, true),
          sample("enlarged, one pixel", {.padding = 2, .upsample = 2}, {1, 1, 1, 5}, {4, 5, 5, 5}, true, false),
          sample("enlarged, many chunks", {.padding = 1, .upsample = 2}, {1, 9, 10, 33}, {40, 3, 3, 33}, true, false),
          sample("enlarged with skip", {.padding = 1, .upsample = 2, .activation = kRelu}, {2, 3, 4, 18},
                 {21, 3, 3, 37}, true, true),
          sample("enlarged with skip, winograd4", {.padding = 1, .upsample = 2, .algorithm = kWinograd4}, {2, 4, 4, 18},
                 {21, 3, 3, 37}, true, true)};
}

}  // namespace

std::vector<Case<Attrs>> samples() {
  std::vector<Case<Attrs>> all;
  for (const auto& some : {plain_samples(), few_channel_samples(), winograd_samples(), finish_samples(), skip_samples(),
                           enlarged_samples()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}
std::vector<Case<Attrs>> benchmarks() {
  std::vector<Case<Attrs>> cases = {
      sample("N16 256->128 16x16 k1", {}, {16, 16, 16, 256}, {128, 1, 1, 256}, true, false),
      sample("N16 3->64 32x32 k3", {.padding = 1}, {16, 32, 32, 3}, {64, 3, 3, 3}, true, false),
      sample("N16 64->128 32x32 k4 s2", {.stride = 2, .padding = 1}, {16, 32, 32, 64}, {128, 4, 4, 64}, true, false)};
  const auto add = [&](std::int64_t batch, std::int64_t channels, std::int64_t size, ConvAlgorithm algorithm) {
    const std::string_view last = algorithm == ConvAlgorithm::automatic ? "k3" : gesso::name_of(algorithm);
    cases.push_back(sample(fmt::format("N{} {}->{} {}x{} {}", batch, channels, channels, size, size, last),
                           {.padding = 1, .algorithm = algorithm}, {batch, size, size, channels},
                           {channels, 3, 3, channels}, true, false));
  };
  add(16, 64, 32, ConvAlgorithm::automatic);
  add(16, 128, 32, ConvAlgorithm::automatic);
  add(16, 256, 16, ConvAlgorithm::automatic);
  add(1, 256, 8, ConvAlgorithm::automatic);
  for (const ConvAlgorithm algorithm : {ConvAlgorithm::automatic, ConvAlgorithm::direct, ConvAlgorithm::winograd2,
                                        ConvAlgorithm::winograd4}) {  // what the plan chooses, and among what
    add(16, 128, 16, algorithm);
    add(16, 256, 8, algorithm);
  }
  return cases;
}
Case<Attrs> random_case(Random& random) {
  Attrs a;
  a.groups = pick(random, 0, 2) == 0 ? 2 : 1;
  a.stride = {pick(random, 1, 3), pick(random, 1, 3)};
  a.dilation = {pick(random, 1, 2), pick(random, 1, 2)};
  a.padding = {pick(random, 0, 2), pick(random, 0, 2), pick(random, 0, 2), pick(random, 0, 2)};
  a.activation = static_cast<Activation>(pick(random, 0, 2));
  Shape weight = {a.groups * pick(random, 1, 12), pick(random, 1, 4), pick(random, 1, 4), pick(random, 1, 20)};
  if (pick(random, 0, 1) == 0) {  // where there is a choice
    a.dilation = 1;
    a.stride = pick(random, 1, 2);
    weight[1] = weight[2] = 2 + a.stride.h;
    a.algorithm = convolution::random_algorithm(random, a.stride.h);
  }
  if (a.stride.h == 1 && a.stride.w == 1 && a.dilation.h == 1 && a.dilation.w == 1) a.upsample = pick(random, 1, 2);
  Shape x = {pick(random, 1, 2), pick(random, 0, 6) + a.dilation.h * (weight[1] - 1) + 1,
             pick(random, 0, 6) + a.dilation.w * (weight[2] - 1) + 1, a.groups * weight[3]};
  if (a.groups == 1 && pick(random, 0, 2) == 0) x[3] = pick(random, 1, weight[3]);  // the rest is a skip's
  if (pick(random, 0, 2) == 0) a.dropout = {.rate = 0.2, .key = random()};
  return sample("random", a, x, weight, pick(random, 0, 1) == 1, pick(random, 0, 1) == 1, pick(random, 0, 2) == 0);
}
std::vector<Reject<Attrs>> rejects() {
  const Operand x{{1, 5, 5, 4}}, weight{{6, 3, 3, 4}}, step{{1}, Domain::counter, 9};
  const auto refused = [&](const Attrs& a, const Operand& image, const Operand& kernel,
                           std::vector<std::string> words) {
    return Reject<Attrs>{a, {image, kernel, kAbsent, kAbsent, kAbsent, kAbsent, kAbsent}, std::move(words)};
  };
  const auto refused_operands = [&](const Attrs& a, std::vector<Operand> more, std::vector<std::string> words) {
    more.insert(more.begin(), {x, weight});
    more.resize(7, kAbsent);
    return Reject<Attrs>{a, std::move(more), std::move(words)};
  };
  return {refused({}, x, {{6, 3, 3, 5}}, {"conv2d", "4 channels", "expects 5", "[1,5,5,4] f32"}),
          refused({}, {{5, 5, 4}}, weight, {"[N,H,W,C]", "[5,5,4] f32"}),
          refused({.groups = 3}, x, weight, {"3 groups must divide", "4 channels"}),
          refused({.groups = 2}, x, weight, {"2 channels a group", "expects 4"}),
          refused({.stride = 0}, x, weight, {"stride must be in [1, 65536]", "is 0"}),
          refused({.padding = -1}, x, weight, {"padding must be in [0, 65536]", "is -1"}),
          refused({.dilation = {1, 1 << 20}}, x, weight, {"dilation must be in", "1048576"}),
          refused({.groups = 0}, x, weight, {"groups must be in"}),
          refused({.dilation = 3}, x, weight, {"does not fit", "dilation 3 3"}),
          refused({}, {{1, 2, 5, 4}}, weight, {"does not fit", "[1,2,5,4] f32"}),
          refused({}, x, {{6, 0, 3, 4}}, {"kernel height must be in [1"}),
          refused_operands({}, {{{4}}, kAbsent, kAbsent, kAbsent}, {"bias must be [6] f32", "[4] f32"}),
          refused_operands({}, {kAbsent, x, kAbsent, kAbsent}, {"residual must be as the result [1,3,3,6] f32"}),
          refused_operands({}, {kAbsent, kAbsent, {{6}}, kAbsent}, {"time_bias must be [1,6] f32", "[6] f32"}),
          refused_operands({.dropout = {.rate = 0.5}}, {kAbsent, kAbsent, kAbsent, kAbsent},
                           {"conv2d: step must be [1] i64", "absent"}),
          refused_operands({}, {kAbsent, kAbsent, kAbsent, kAbsent, {{1, 5, 4, 2}}},
                           {"skip must be as x [1,5,5,4] f32", "[1,5,4,2] f32"}),
          refused_operands({}, {kAbsent, kAbsent, kAbsent, kAbsent, {{1, 5, 5, 2}}}, {"6 channels", "expects 4"}),
          refused_operands({.groups = 2}, {kAbsent, kAbsent, kAbsent, kAbsent, {{1, 5, 5, 4}}},
                           {"groups must be 1 beside a skip", "are 2"}),
          refused({.upsample = 3}, x, weight, {"upsample must be 1 or 2", "is 3"}),
          refused({.stride = {1, 2}, .upsample = 2}, x, weight, {"upsample = 2 needs stride and dilation 1", "1 2"}),
          refused_operands({.dropout = {.rate = -1}}, {kAbsent, kAbsent, kAbsent, step}, {"conv2d: rate", "-1"}),
          refused({}, {{1, 5, 5, 4}, Domain::byte}, weight, {"floating", "u8"})};
}

}  // namespace gesso::conv2d_cases
