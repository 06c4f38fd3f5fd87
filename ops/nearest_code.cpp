#include "ops/nearest_code.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "ops/describe.h"
#include "ops/nearest_code_simd.h"

namespace gesso {
namespace {

const NearestCodeKernels& kernels(Isa isa) {
  return by_isa(isa, nearest_code_kernels<simd::Baseline>, nearest_code_kernels<simd::Avx2>,
                nearest_code_kernels<simd::Avx512>)();
}

constexpr std::int64_t kMaxCodes = 1 << 24;  // what the search can count in a float
constexpr std::int64_t kCodeGrain = 16;      // codes a chunk when summing: codes in heavy use must not share one

// The codebook as the search wants it: columns side by side, negated, and half the squared length of each code.
// |z - e|^2 / 2 = |z|^2 / 2 + (|e|^2 / 2 - z.e): leaving out |z|^2, which is the same for all codes, keeps the digits
// of a codebook that is small against z. Codes that only fill up the last panel are infinitely far.
struct Panels {
  Tensor codes, half_norms;  // [panels,D,panel], [panels * panel]
  std::int64_t count;

  Panels(const Execution& run, const Tensor& codebook, std::int64_t panel)
      : count((codebook.dim(0) + panel - 1) / panel) {
    const std::int64_t K = codebook.dim(0), D = codebook.dim(1);
    codes = run.scratch({{count, D, panel}, DType::f32});
    half_norms = run.scratch({{count * panel}, DType::f32});
    const float* from = codebook.data<float>().data();
    float* to = codes.data<float>().data();
    float* norms = half_norms.data<float>().data();
    parallel_for(run.pool, count * panel, panel, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k) {
        double square = 0;
        for (std::int64_t d = 0; d < D; ++d) {
          const float e = k < K ? from[k * D + d] : 0;
          square += static_cast<double>(e) * e;
          to[begin * D + d * panel + (k - begin)] = -e;
        }
        norms[k] = k < K ? static_cast<float>(square / 2) : std::numeric_limits<float>::infinity();
      }
    });
  }
};

struct NearestCode {
  static constexpr std::string_view name = "nearest_code";
  static constexpr std::string_view doc =
      "index[n] = argmin_k |z[n] - codebook[k]|^2 for z[N,D], codebook[K,D], ties to the lowest k, 0 where z[n] "
      "holds a NaN; counts[k], sums[k,D] of the vectors that chose k (van den Oord, Vinyals and "
      "Kavukcuoglu 2017, eq. 1)";
  static constexpr std::string_view not_differentiable = "an argmin is flat almost everywhere; see straight_through";
  struct Attrs {};

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    const Spec &z = in[0], &codebook = in[1];
    if (z.dtype != DType::f32 && z.dtype != DType::f64)
      fail("nearest_code: distances need f32, but z is {}; cast it", z.text());
    if (z.shape.rank() != 2 || codebook.shape.rank() != 2 || z.shape[1] != codebook.shape[1])
      fail("nearest_code: z must be [N,D] and codebook [K,D] (z {}, codebook {})", z.text(), codebook.text());
    if (codebook.shape[0] < 1 || codebook.shape[0] > kMaxCodes)
      fail("nearest_code: a codebook holds 1 to {} codes, but is {}", kMaxCodes, codebook.text());
    return {{{z.shape[0]}, DType::i32}, {{codebook.shape[0]}, z.dtype}, codebook};
  }
  static double flops(const Attrs&, std::span<const Spec> in) {
    const double vectors = static_cast<double>(in[0].shape.count()), codes = static_cast<double>(in[1].shape.count());
    return 2 * vectors * static_cast<double>(in[1].shape[0]) + 2 * codes + vectors;
  }
  // Small integers are exact. Elsewhere two codes may be as near as f32 can tell, and either is right.
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    const T *z = f.in[0].data<T>().data(), *codebook = f.in[1].data<T>().data();
    const auto index = f.out[0].data<std::int32_t>();
    const auto counts = f.out[1].data<T>(), sums = f.out[2].data<T>();
    const std::size_t K = counts.size(), D = static_cast<std::size_t>(f.in[0].dim(1));
    std::ranges::fill(counts, T{0});
    std::ranges::fill(sums, T{0});
    for (std::size_t n = 0; n < index.size(); ++n) {
      std::size_t nearest = 0;
      T lowest = std::numeric_limits<T>::infinity();
      for (std::size_t k = 0; k < K; ++k) {
        T distance = 0;
        for (std::size_t d = 0; d < D; ++d)
          distance += (z[n * D + d] - codebook[k * D + d]) * (z[n * D + d] - codebook[k * D + d]);
        if (distance < lowest) {
          lowest = distance;
          nearest = k;
        }
      }
      index[n] = static_cast<std::int32_t>(nearest);
      counts[nearest] += 1;
      for (std::size_t d = 0; d < D; ++d) sums[nearest * D + d] += z[n * D + d];
    }
  }

  static void cpu(const Attrs&, const Forward& f) {
    search(f);
    sum_by_code(f);
  }

  static void search(const Forward& f) {
    const NearestCodeKernels& kernel = kernels(f.run.isa);
    const Panels panels(f.run, f.in[1], kernel.panel);
    const std::int64_t D = f.in[0].dim(1);
    const float *z = f.in[0].data<float>().data(), *codes = panels.codes.data<float>().data();
    const float* half_norms = panels.half_norms.data<float>().data();
    std::int32_t* index = f.out[0].data<std::int32_t>().data();
    parallel_for(f.run.pool, f.in[0].dim(0), NearestCodeKernels::kMaxRows, [&](std::int64_t begin, std::int64_t end) {
      kernel.search(end - begin, D, panels.count, z + begin * D, codes, half_norms, index + begin);
    });
  }

  // The vectors of each code in their order, by a counting sort; then each code's sum has one owner.
  static void sum_by_code(const Forward& f) {
    const NearestCodeKernels& kernel = kernels(f.run.isa);
    const std::int64_t N = f.in[0].dim(0), D = f.in[0].dim(1), K = f.in[1].dim(0);
    const auto index = f.out[0].data<std::int32_t>();
    const Tensor end_of_code = f.run.scratch({{K}, DType::i64}), vectors = f.run.scratch({{N}, DType::i64});
    std::int64_t *ends = end_of_code.data<std::int64_t>().data(), *order = vectors.data<std::int64_t>().data();
    float* counts = f.out[1].data<float>().data();
    if (!f.run.computes()) return;
    std::fill(ends, ends + K, 0);
    for (const std::int32_t k : index) ++ends[k];
    for (std::int64_t k = 0, before = 0; k < K; ++k) {
      counts[k] = static_cast<float>(ends[k]);
      before += std::exchange(ends[k], before);
    }
    for (std::int64_t n = 0; n < N; ++n) order[ends[index[static_cast<std::size_t>(n)]]++] = n;

    const float* z = f.in[0].data<float>().data();
    float* sums = f.out[2].data<float>().data();
    parallel_for(f.run.pool, K, kCodeGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k) {
        std::fill(sums + k * D, sums + (k + 1) * D, 0.0f);
        for (std::int64_t i = k ? ends[k - 1] : 0; i < ends[k]; ++i) kernel.add(D, z + order[i] * D, sums + k * D);
      }
    });
  }

  static Case<Attrs> integers(std::string name, std::int64_t n, std::int64_t k, std::int64_t d) {
    return {std::move(name), {}, {{{n, d}, Domain::small_integer}, {{k, d}, Domain::small_integer}}};
  }
  static std::vector<Case<Attrs>> samples() {
    return {integers("many ties", 20, 30, 2),
            integers("several chunks", 301, 77, 5),
            integers("one code", 5, 1, 3),
            integers("one vector", 1, 9, 17),
            integers("no vectors", 0, 4, 3),
            integers("no width", 3, 4, 0),
            integers("several panels", 7, 259, 4),
            integers("many vectors, wide", 1300, 3, 20),
            integers("a code more than a tile", 900, 129, 7),
            integers("more codes than half a tile", 5, 70, 3)};
  }
  static std::vector<Case<Attrs>> benchmarks() { return {integers("N6272 K512 D64", 6272, 512, 64)}; }
  static Case<Attrs> random_case(Random& random) {
    return integers("random", pick(random, 1, 250), pick(random, 1, 150), pick(random, 1, 33));
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{5, 3}}, {{8, 4}}}, {"nearest_code", "[5,3] f32", "[8,4] f32"}},
            {{}, {{{5, 3, 1}}, {{8, 3}}}, {"z must be [N,D]", "[5,3,1]"}},
            {{}, {{{5, 3}}, {{0, 3}}}, {"1 to 16777216 codes", "[0,3]"}},
            {{}, {{{5, 3}}, {{kMaxCodes + 1, 3}}}, {"1 to 16777216 codes", "[16777217,3]"}},
            {{}, {{{5, 3}, Domain::index, 4}, {{8, 3}}}, {"need f32", "[5,3] i32"}}};
  }
  static std::vector<Known<Attrs>> known() {
    return {{"of two codes at the same distance the lowest index wins",
             {},
             {{{{2, 1}, DType::f32}, {0, 5}}, {{{3, 1}, DType::f32}, {2, 1, -1}}},
             {{{{2}, DType::i32}, {1, 0}}, {{{3}, DType::f32}, {1, 1, 0}}, {{{3, 1}, DType::f32}, {5, 0, 0}}}}};
  }
};

}  // namespace

std::vector<const RowInfo*> nearest_code_rows() { return {&row_of<NearestCode>()}; }

namespace ops {
NearestCode nearest_code(const Tensor& z, const Tensor& codebook) {
  const Tensors out = dispatch(row_of<gesso::NearestCode>(), gesso::NearestCode::Attrs{}, {z, codebook});
  return {out[0], out[1], out[2]};
}
}  // namespace ops

}  // namespace gesso
