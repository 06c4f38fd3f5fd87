// Products of bf16 on tensor cores, those of the emulator or of a GPU, against sums in double.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "cuda/entry.h"
#include "cuda/gemm_mma.h"
#include "cuda/gemm_wgmma.h"
#include "tests/cuda/instructions.h"
#include "tests/support.h"
#include "tests/tested_memory.h"

namespace gesso::cuda {
namespace {

std::vector<bf16> random_values(int count) {
  static std::mt19937_64 random(test_seed());
  std::normal_distribution<float> normal;
  std::vector<bf16> values;
  for (int i = 0; i < count; ++i) values.emplace_back(normal(random));
  return values;
}

double value(const std::vector<bf16>& values, std::ptrdiff_t i) {
  return static_cast<float>(values[static_cast<std::size_t>(i)]);
}

// |got - want| / |want|, NaN where either holds one.
double relative_error(const std::vector<float>& got, const std::vector<double>& want) {
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  return std::sqrt(error / norm);
}

// The order of fp32 sums over k is all that differs; tensor cores also cut off what lies far below a sum's largest
// term.
double tolerance() { return test_device() == DeviceKind::emulated ? 1e-6 : 1e-5; }

// As the device under test runs them. Only a build with nvcc has those of a GPU.
struct Products {
  const GemmMmaKernels& mma;
  const GemmWgmmaKernels& wgmma;
  cu::Stream stream = nullptr;
  bool has_hopper = true;
};
Products products() {
  if constexpr (GESSO_GPU_BUILD)
    if (test_device() == DeviceKind::cuda)
      return {gemm_mma_kernels<cu::Cuda>(), gemm_wgmma_kernels<cu::Cuda>(), stream_of(device(DeviceKind::cuda)),
              probes::has_hopper<cu::Cuda>()};
  return {gemm_mma_kernels<cu::Emulated>(), gemm_wgmma_kernels<cu::Emulated>()};
}
// Says so where the device has no wgmma.
bool has_hopper() {
  const bool found = products().has_hopper;
  if (!found) MESSAGE("skipped: the GPU's compute capability is not 9.0");
  return found;
}

// a [m,k] b [n,k]^T; transposed: a [k,m]^T b [k,n].
std::vector<double> product(const std::vector<bf16>& a, const std::vector<bf16>& b, int m, int n, int k,
                            bool transposed) {
  std::vector<double> c;
  for (std::ptrdiff_t i = 0; i < m; ++i)
    for (std::ptrdiff_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::ptrdiff_t l = 0; l < k; ++l)
        sum += transposed ? value(a, l * m + i) * value(b, l * n + j) : value(a, i * k + l) * value(b, j * k + l);
      c.push_back(sum);
    }
  return c;
}

// Runs one kernel under all schedules: it must give the same bits, near to the product.
template <class Kernel>
void check_product(int m, int n, int k, bool transposed, Kernel kernel) {
  CAPTURE(m);
  CAPTURE(n);
  CAPTURE(k);
  const auto a = random_values(m * k), b = random_values(n * k);
  const auto expected = product(a, b, m, n, k, transposed);
  const TestedMemory<bf16> device_a(a), device_b(b);
  std::vector<float> first;
  under_all_schedules([&] {
    const TestedMemory<float> c(expected.size());
    kernel(device_a.data(), device_b.data(), c.data());
    const auto result = c.to_host();
    if (first.empty()) first = result;
    CHECK(result == first);
  });
  CHECK(relative_error(first, expected) < tolerance());
}

std::vector<double> convolution(const std::vector<bf16>& x, const std::vector<bf16>& weight,
                                const ConvolutionWgmma& p) {
  std::vector<double> y;
  const auto pixel_sum = [&](int image, int out_y, int out_x, int channel) {
    double sum = 0;
    for (int tap = 0; tap < p.filter * p.filter; ++tap) {
      const int in_y = out_y * p.stride - p.padding + tap / p.filter;
      const int in_x = out_x * p.stride - p.padding + tap % p.filter;
      if (in_y < 0 || in_y >= p.h || in_x < 0 || in_x >= p.w) continue;
      for (int c = 0; c < p.c; ++c)
        sum += value(x, ((image * p.h + in_y) * p.w + in_x) * p.c + c) *
               value(weight, (channel * p.filter * p.filter + tap) * p.c + c);
    }
    return sum;
  };
  for (int image = 0; image < p.n; ++image)
    for (int out_y = 0; out_y < p.out_h(); ++out_y)
      for (int out_x = 0; out_x < p.out_w(); ++out_x)
        for (int channel = 0; channel < p.out_channels; ++channel) y.push_back(pixel_sum(image, out_y, out_x, channel));
  return y;
}

void check_convolution(ConvolutionWgmma p) {
  CAPTURE(p.filter);
  CAPTURE(p.stride);
  const auto x = random_values(p.n * p.h * p.w * p.c);
  const auto weight = random_values(p.out_channels * p.filter * p.filter * p.c);
  const auto expected = convolution(x, weight, p);
  const TestedMemory<bf16> device_x(x), device_weight(weight);
  p.x = device_x.data();
  p.weight = device_weight.data();
  std::vector<float> first;
  under_all_schedules([&] {
    const TestedMemory<float> y(expected.size());
    p.y = y.data();
    products().wgmma.convolve(products().stream, p);
    const auto result = y.to_host();
    if (first.empty()) first = result;
    CHECK(result == first);
  });
  CHECK(relative_error(first, expected) < tolerance());
}

struct Size {
  int m, n, k;
};

TEST_SUITE("cuda gemm") {
  TEST_CASE("mma.sync: whole tiles, and tiles that the matrices do not fill") {
    for (const auto [m, n, k] : {Size{64, 64, 32}, Size{100, 72, 104}, Size{1, 2, 8}})
      check_product(m, n, k, false, [&](const bf16* a, const bf16* b, float* c) {
        products().mma.multiply(products().stream, {a, b, c, m, n, k});
      });
  }

  // 328 columns are 6 steps: more than the ring has stages.
  TEST_CASE("wgmma: c = a b^T") {
    if (!has_hopper()) return;
    for (const auto [m, n, k] : {Size{128, 128, 64}, Size{200, 136, 328}})
      check_product(m, n, k, false, [&](const bf16* a, const bf16* b, float* c) {
        products().wgmma.multiply_nt(products().stream, {a, b, c, m, n, k});
      });
  }

  TEST_CASE("wgmma: c = a^T b") {
    if (!has_hopper()) return;
    for (const auto [m, n, k] : {Size{128, 128, 64}, Size{192, 136, 328}})
      check_product(m, n, k, true, [&](const bf16* a, const bf16* b, float* c) {
        products().wgmma.multiply_tn(products().stream, {a, b, c, m, n, k});
      });
  }

  TEST_CASE("wgmma: convolution by the copy engine's im2col mode") {
    if (!has_hopper()) return;
    check_convolution({nullptr, nullptr, nullptr, 2, 12, 12, 64, 128, 3, 1, 1});
    check_convolution({nullptr, nullptr, nullptr, 3, 13, 11, 128, 72, 3, 2, 1});
    check_convolution({nullptr, nullptr, nullptr, 1, 16, 16, 64, 64, 1, 1, 0});
  }
}

}  // namespace
}  // namespace gesso::cuda
