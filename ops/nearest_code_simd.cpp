#include "ops/nearest_code_simd.h"

#include "core/simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

// A tile of rows x vectors of scores stays in registers: 24 of 32 with AVX-512, 12 of 16 without.
constexpr int64_t kVectors = V::kLanes == 16 ? 4 : 2;
constexpr int64_t kRows = 6;
constexpr int64_t kPanel = kVectors * V::kLanes;

// For each row of z, lane by lane: the lowest score so far and which vector of codes had it. A float counts the
// vectors: exact, since there are fewer than 2^24.
struct Best {
  float score[NearestCodeKernels::kMaxRows * V::kLanes];
  float vector[NearestCodeKernels::kMaxRows * V::kLanes];
};

template <int64_t kTileRows>
void search_tile(int64_t D, const float* z, const float* panel, const float* half_norms, float first_vector,
                 float* best_score, float* best_vector) {
  V score[kTileRows][kVectors];
  for (int64_t r = 0; r < kTileRows; ++r)
    for (int64_t v = 0; v < kVectors; ++v) score[r][v] = V::load(half_norms + v * V::kLanes);
  for (int64_t d = 0; d < D; ++d) {
    V code[kVectors];
    for (int64_t v = 0; v < kVectors; ++v) code[v] = V::load(panel + d * kPanel + v * V::kLanes);
    for (int64_t r = 0; r < kTileRows; ++r) {
      const V element(z[r * D + d]);
      for (int64_t v = 0; v < kVectors; ++v) score[r][v] = fma(element, code[v], score[r][v]);
    }
  }
  for (int64_t r = 0; r < kTileRows; ++r) {
    V lowest = V::load(best_score + r * V::kLanes), where = V::load(best_vector + r * V::kLanes);
    for (int64_t v = 0; v < kVectors; ++v) {
      const auto lower = score[r][v] < lowest;  // strictly: of equal ones the first stays
      lowest = select(lower, score[r][v], lowest);
      where = select(lower, V(first_vector + static_cast<float>(v)), where);
    }
    lowest.store(best_score + r * V::kLanes);
    where.store(best_vector + r * V::kLanes);
  }
}

int32_t lowest_index(const float* score, const float* vector) {
  int32_t index = 0;
  float lowest = INFINITY;
  for (int32_t lane = 0; lane < V::kLanes; ++lane) {
    const int32_t candidate = static_cast<int32_t>(vector[lane]) * V::kLanes + lane;
    if (score[lane] < lowest || (score[lane] == lowest && candidate < index)) {
      lowest = score[lane];
      index = candidate;
    }
  }
  return index;
}

void search(int64_t rows, int64_t D, int64_t panel_count, const float* z, const float* panels, const float* half_norms,
            int32_t* index) {
  Best best;
  for (int64_t i = 0; i < rows * V::kLanes; ++i) {
    best.score[i] = INFINITY;
    best.vector[i] = 0;
  }
  for (int64_t p = 0; p < panel_count; ++p) {
    const float first_vector = static_cast<float>(p * kVectors);
    const auto tile = [&]<int64_t kTileRows>(int64_t r) {
      search_tile<kTileRows>(D, z + r * D, panels + p * D * kPanel, half_norms + p * kPanel, first_vector,
                             best.score + r * V::kLanes, best.vector + r * V::kLanes);
    };
    int64_t r = 0;
    for (; r + kRows <= rows; r += kRows) tile.template operator()<kRows>(r);
    for (; r < rows; ++r) tile.template operator()<1>(r);
  }
  for (int64_t r = 0; r < rows; ++r) index[r] = lowest_index(best.score + r * V::kLanes, best.vector + r * V::kLanes);
}

void add(int64_t n, const float* x, float* sum) {
  simd::map<Tag>(
      n, [](V a, V b) { return a + b; }, sum, sum, x);
}

}  // namespace

template <>
const NearestCodeKernels& nearest_code_kernels<Tag>() {
  static constexpr NearestCodeKernels table = {.panel = kPanel, .search = search, .add = add};
  return table;
}

}  // namespace gesso
