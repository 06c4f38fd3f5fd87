#include "tools/bench_suites.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "ops/attention.h"
#include "ops/conv2d.h"
#include "ops/conv_transpose2d.h"
#include "ops/matmul.h"
#include "ops/op_list.h"

namespace gesso {
namespace {

// Square images of x and square kernels; kernels of 1 without padding, others with 1.
struct Convolution {
  std::int64_t size, in, out, kernel, stride;
  int times;
};

constexpr Operands kBoth = operands(0, 1), kWeightAlone = operands(1);
const Operand kAbsent{{}, Domain::absent};

std::string name_of(std::int64_t batch, const Convolution& c) {
  return fmt::format("N{} {}->{} {}x{} k{} s{}", batch, c.in, c.out, c.size, c.size, c.kernel, c.stride);
}
std::int64_t padding_of(const Convolution& c) { return c.kernel == 1 ? 0 : 1; }

// gradients: the first layer's input is data.
SuiteCall convolution(std::int64_t batch, const Convolution& c, Operands gradients = kBoth) {
  const ops::Conv2dAttrs attrs{.stride = c.stride, .padding = padding_of(c)};
  const Shape x = {batch, c.size, c.size, c.in}, weight = {c.out, c.kernel, c.kernel, c.in};
  return {"conv2d",
          {name_of(batch, c), attrs, {{x}, {weight}, kAbsent, kAbsent, kAbsent, kAbsent, kAbsent}},
          gradients,
          c.times};
}

SuiteCall transposed_convolution(std::int64_t batch, const Convolution& c) {
  const ops::ConvTranspose2dAttrs attrs{.stride = c.stride, .padding = padding_of(c)};
  const Shape x = {batch, c.size, c.size, c.in}, weight = {c.in, c.kernel, c.kernel, c.out};
  return {"conv_transpose2d", {name_of(batch, c), attrs, {{x}, {weight}, kAbsent, kAbsent}}, kBoth, c.times};
}

// x[batch,in] weight[out,in]^T
SuiteCall linear(std::int64_t batch, std::int64_t in, std::int64_t out, int times, Operands gradients = kBoth) {
  const ops::MatmulAttrs attrs{.transpose_b = true};
  return {"matmul",
          {fmt::format("N{} {}->{}", batch, in, out), attrs, {{Shape{batch, in}}, {Shape{out, in}}, kAbsent, kAbsent}},
          gradients,
          times};
}

// One head as wide as the image has channels.
SuiteCall attention(std::int64_t batch, std::int64_t size, std::int64_t channels, int times) {
  return {"attention",
          {fmt::format("N{} {} {}x{}", batch, channels, size, size),
           ops::AttentionAttrs{},
           {{Shape{batch, size * size, 3 * channels}}}},
          operands(0),
          times};
}

// The VQ-VAE of sonnet's example at 28x28 grey, codebook 512 x 64: recipe bench-vqvae-28.
std::vector<SuiteCall> vqvae_28(std::int64_t batch) {
  std::vector<SuiteCall> calls = {convolution(batch, {28, 1, 64, 4, 2, 1}, kWeightAlone)};
  for (const Convolution& c : {Convolution{14, 64, 128, 4, 2, 1},
                               {7, 128, 128, 3, 1, 1},
                               {7, 64, 128, 3, 1, 1},
                               {7, 128, 32, 3, 1, 4},
                               {7, 32, 128, 1, 1, 4},
                               {7, 128, 64, 1, 1, 1}})
    calls.push_back(convolution(batch, c));
  calls.push_back(transposed_convolution(batch, {7, 128, 64, 4, 2, 1}));
  calls.push_back(transposed_convolution(batch, {14, 64, 1, 4, 2, 1}));
  constexpr std::int64_t kCodes = 512, kWidth = 64, kCodesAnImage = 7 * 7;
  calls.push_back({"nearest_code",
                   {fmt::format("{} {} of {}", batch * kCodesAnImage, kWidth, kCodes),
                    row_named("nearest_code").samples().front().attrs,  // it has none
                    {{Shape{batch * kCodesAnImage, kWidth}}, {Shape{kCodes, kWidth}}}},
                   0,
                   1});
  return calls;
}

// The U-Net of Ho et al. 2020 ("Denoising diffusion probabilistic models", appendix B) at 32x32: widths 1, 2, 2, 2
// times `width`, two residual blocks a level on the way down and three on the way up, which take the skips in,
// attention at 16x16 and in the middle. Channels of the table count in widths; images have 3.
constexpr Convolution kUnet[] = {
    {32, 1, 1, 3, 1, 7}, {32, 1, 1, 3, 2, 1}, {16, 1, 2, 3, 1, 1}, {16, 1, 2, 1, 1, 1}, {16, 2, 2, 3, 1, 7},
    {16, 2, 2, 3, 2, 1}, {8, 2, 2, 3, 1, 8},  {8, 2, 2, 3, 2, 1},  {4, 2, 2, 3, 1, 11}, {4, 4, 2, 3, 1, 3},
    {4, 4, 2, 1, 1, 3},  {8, 4, 2, 3, 1, 3},  {8, 4, 2, 1, 1, 3},  {16, 4, 2, 3, 1, 2}, {16, 4, 2, 1, 1, 2},
    {16, 3, 2, 3, 1, 1}, {16, 3, 2, 1, 1, 1}, {32, 2, 2, 3, 1, 1}, {32, 3, 1, 3, 1, 1}, {32, 3, 1, 1, 1, 1},
    {32, 2, 1, 3, 1, 2}, {32, 2, 1, 1, 1, 2}, {16, 2, 6, 1, 1, 5}, {16, 2, 2, 1, 1, 5}, {4, 2, 6, 1, 1, 1},
    {4, 2, 2, 1, 1, 1},  // around attention
};

std::vector<SuiteCall> unet(std::int64_t batch, std::int64_t width) {
  std::vector<SuiteCall> calls = {convolution(batch, {32, 3, width, 3, 1, 1}, kWeightAlone)};
  for (Convolution c : kUnet) {
    c.in *= width;
    c.out *= width;
    calls.push_back(convolution(batch, c));
  }
  calls.push_back(convolution(batch, {32, width, 3, 3, 1, 1}));
  calls.push_back(attention(batch, 16, 2 * width, 5));
  calls.push_back(attention(batch, 4, 2 * width, 1));
  // Of the time step: its embedding, and what each residual block of either width makes of that.
  calls.push_back(linear(batch, width, 4 * width, 1, kWeightAlone));
  calls.push_back(linear(batch, 4 * width, 4 * width, 1));
  calls.push_back(linear(batch, 4 * width, width, 5));
  calls.push_back(linear(batch, 4 * width, 2 * width, 17));
  return calls;
}

// 3x3 kernels with stride 1.
std::vector<SuiteCall> winograd(std::int64_t batch) {
  std::vector<SuiteCall> calls;
  for (const auto& [size, channels] : {std::pair{32, 64}, {32, 128}, {16, 128}, {16, 256}, {8, 256}})
    calls.push_back(convolution(batch, {size, channels, channels, 3, 1, 1}));
  calls.push_back(convolution(8 * batch, {7, 128, 128, 3, 1, 1}));
  return calls;
}

// 4x4 kernels with stride 2, by Winograd too.
std::vector<SuiteCall> strided(std::int64_t batch) {
  return {convolution(batch, {32, 64, 128, 4, 2, 1}), convolution(4 * batch, {16, 128, 128, 4, 2, 1}),
          convolution(8 * batch, {14, 64, 128, 4, 2, 1}), transposed_convolution(8 * batch, {7, 128, 64, 4, 2, 1})};
}

// First and last layers.
std::vector<SuiteCall> thin(std::int64_t batch) {
  return {convolution(8 * batch, {28, 1, 64, 4, 2, 1}), transposed_convolution(8 * batch, {14, 64, 1, 4, 2, 1}),
          convolution(2 * batch, {32, 3, 64, 3, 1, 1}), convolution(2 * batch, {32, 64, 3, 3, 1, 1}),
          convolution(batch, {32, 3, 128, 3, 1, 1}),    convolution(batch, {32, 128, 3, 3, 1, 1})};
}

constexpr Suite kSuites[] = {
    {"vqvae-28", 128, vqvae_28},
    {"unet-64", 32, [](std::int64_t batch) { return unet(batch, 64); }},
    {"ddpm-cifar10", 16, [](std::int64_t batch) { return unet(batch, 128); }},
    {"winograd", 16, winograd},
    {"strided", 16, strided},
    {"thin", 16, thin},
};

}  // namespace

const Suite& suite_named(std::string_view name) {
  const auto found = std::ranges::find(kSuites, name, &Suite::name);
  if (found != std::end(kSuites)) return *found;
  std::string names;
  for (const Suite& suite : kSuites) names += fmt::format("{}{}", names.empty() ? "" : ", ", suite.name);
  fail("there is no suite '{}'; there are {}", name, names);
}

}  // namespace gesso
