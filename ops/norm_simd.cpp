#include "ops/norm_simd.h"

#include "core/simd.h"
#include "ops/kept_simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

// A column is summed in runs of so many rows, and then the runs: the rounding error of 64 x 1024 rows is that of about
// a thousand additions, not of 65536.
constexpr int64_t kRun = 64;

// step<vectors>(column, count) over all columns: four vectors at once, then one, of which the last may be short.
template <class Step>
[[gnu::always_inline]] inline void for_each_column(int64_t columns, Step step) {
  int64_t c = 0;
  for (; c + 4 * V::kLanes <= columns; c += 4 * V::kLanes) step.template operator()<4>(c, V::kLanes);
  for (; c + V::kLanes <= columns; c += V::kLanes) step.template operator()<1>(c, V::kLanes);
  if (c < columns) step.template operator()<1>(c, columns - c);
}

// sums[s][column] = sum over the rows of what term(element, column, count, terms) writes into terms[s].
template <int kSums, class Term>
[[gnu::always_inline]] inline void sum_columns(NormBlock block, float* const (&sums)[kSums], Term term) {
  for_each_column(
      block.columns, [&]<int kVectors>(int64_t c, int64_t count) __attribute__((always_inline)) {
        V total[kSums][kVectors];
        for (auto& vectors : total)
          for (V& vector : vectors) vector = 0.0f;
        for (int64_t begin = 0; begin < block.rows; begin += kRun) {
          V part[kSums][kVectors];
          for (auto& vectors : part)
            for (V& vector : vectors) vector = 0.0f;
          const int64_t end = begin + kRun < block.rows ? begin + kRun : block.rows;
          for (int64_t r = begin; r < end; ++r)
            for (int v = 0; v < kVectors; ++v) {
              V terms[kSums];
              term(r * block.stride + c + v * V::kLanes, c + v * V::kLanes, count, terms);
              for (int s = 0; s < kSums; ++s) part[s][v] = part[s][v] + terms[s];
            }
          for (int s = 0; s < kSums; ++s)
            for (int v = 0; v < kVectors; ++v) total[s][v] = total[s][v] + part[s][v];
        }
        for (int s = 0; s < kSums; ++s)
          for (int v = 0; v < kVectors; ++v) total[s][v].store(sums[s] + c + v * V::kLanes, count);
      });
}

// to[element] = value(element, column, count) over the block.
template <class Value>
[[gnu::always_inline]] inline void map_columns(NormBlock block, float* to, Value value) {
  for (int64_t r = 0; r < block.rows; ++r)
    simd::for_each_vector<Tag>(
        block.columns, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
          const int64_t element = r * block.stride + c;
          value(element, c, count).store(to + element, count);
        });
}

V normalised(NormColumns of, V centred, int64_t c, int64_t count) {
  return fma(centred, V::load(of.scale + c, count), V::load(of.shift + c, count));
}

void sum(NormBlock block, const float* x, float* sums) {
  sum_columns<1>(
      block, {sums}, [=](int64_t element, int64_t, int64_t count, V(&terms)[1]) __attribute__((always_inline)) {
        terms[0] = V::load(x + element, count);
      });
}

void squares(NormBlock block, const float* x, const float* mean, float* sums) {
  sum_columns<1>(
      block, {sums}, [=](int64_t element, int64_t c, int64_t count, V(&terms)[1]) __attribute__((always_inline)) {
        const V centred = V::load(x + element, count) - V::load(mean + c, count);
        terms[0] = centred * centred;
      });
}

// run<silu, drops>() as `finish` says.
template <class Run>
[[gnu::always_inline]] inline void with_finish(const NormFinish& finish, Run run) {
  const bool drops = finish.kept.bits != nullptr;
  if (finish.silu)
    drops ? run.template operator()<true, true>() : run.template operator()<true, false>();
  else
    drops ? run.template operator()<false, true>() : run.template operator()<false, false>();
}

template <bool kSilu, bool kDrops>
void apply_as(NormBlock block, NormColumns of, KeptBits kept, const float* x, float* y) {
  map_columns(
      block, y, [=](int64_t element, int64_t c, int64_t count) __attribute__((always_inline)) {
        const V z = normalised(of, V::load(x + element, count) - V::load(of.mean + c, count), c, count);
        const V value = kSilu ? z * sigmoid(z) : z;
        return kDrops ? simd::kept<Tag>(value, kept, element) : value;
      });
}
void apply(NormBlock block, NormColumns of, const NormFinish& finish, const float* x, float* y) {
  with_finish(finish, [&]<bool kSilu, bool kDrops>() { apply_as<kSilu, kDrops>(block, of, finish.kept, x, y); });
}

template <bool kSilu, bool kDrops>
void backward_sums_as(NormBlock block, NormColumns of, KeptBits kept, const float* x, const float* dy, float* dz,
                      float* sums_dz, float* sums_dzx) {
  sum_columns<2>(
      block,
      {sums_dz, sums_dzx}, [=](int64_t element, int64_t c, int64_t count, V(&terms)[2]) __attribute__((always_inline)) {
        const V centred = V::load(x + element, count) - V::load(of.mean + c, count);
        V gradient = V::load(dy + element, count);
        if constexpr (kDrops) gradient = simd::kept<Tag>(gradient, kept, element);
        if constexpr (kSilu) {
          const V z = normalised(of, centred, c, count), s = sigmoid(z);
          gradient = gradient * s * fma(z, V(1.0f) - s, V(1.0f));
        }
        if constexpr (kSilu || kDrops)
          if (dz != nullptr) gradient.store(dz + element, count);
        terms[0] = gradient;
        terms[1] = gradient * centred;
      });
}
void backward_sums(NormBlock block, NormColumns of, const NormFinish& finish, const float* x, const float* dy,
                   float* dz, float* sums_dz, float* sums_dzx) {
  with_finish(finish, [&]<bool kSilu, bool kDrops>() {
    backward_sums_as<kSilu, kDrops>(block, of, finish.kept, x, dy, dz, sums_dz, sums_dzx);
  });
}

void backward_apply(NormBlock block, NormColumns of, const float* slope, const float* x, const float* dz, float* dx) {
  map_columns(
      block, dx, [=](int64_t element, int64_t c, int64_t count) __attribute__((always_inline)) {
        const V centred = V::load(x + element, count) - V::load(of.mean + c, count);
        const V from_statistics = fma(centred, V::load(slope + c, count), V::load(of.shift + c, count));
        return fma(V::load(dz + element, count), V::load(of.scale + c, count), from_statistics);
      });
}

}  // namespace

template <>
const NormKernels& norm_kernels<Tag>() {
  static constexpr NormKernels table = {
      .sum = sum, .squares = squares, .apply = apply, .backward_sums = backward_sums, .backward_apply = backward_apply};
  return table;
}

}  // namespace gesso
