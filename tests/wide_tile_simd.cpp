#include "core/simd.h"
#include "ops/gemm_tile.h"
#include "ops/patch_tile.h"
#include "tests/wide_tile.h"

namespace gesso::simd {
namespace {

// An instruction set with twice the lanes.
template <class Half>
struct Twice {};

}  // namespace

template <class Half>
struct Mask<Twice<Half>> {
  Mask<Half> low, high;
};

template <class Half>
struct Vec<Twice<Half>> {
  using H = Vec<Half>;
  static constexpr int kHalf = H::kLanes, kLanes = 2 * kHalf;
  H low, high;

  Vec() = default;
  Vec(float x) : low(x), high(x) {}
  Vec(H l, H h) : low(l), high(h) {}

  static Vec load(const float* p, int64_t n = kLanes) {
    return {H::load(p, within(n)), H::load(p + kHalf, within(n - kHalf))};
  }
  void store(float* p, int64_t n = kLanes) const {
    low.store(p, within(n));
    high.store(p + kHalf, within(n - kHalf));
  }
  friend Vec operator+(Vec a, Vec b) { return {a.low + b.low, a.high + b.high}; }
  friend Vec operator*(Vec a, Vec b) { return {a.low * b.low, a.high * b.high}; }
  friend Vec operator/(Vec a, Vec b) { return {a.low / b.low, a.high / b.high}; }
  friend Vec operator-(Vec a, Vec b) { return {a.low - b.low, a.high - b.high}; }
  friend Vec operator-(Vec a) { return {-a.low, -a.high}; }
  friend Vec fma(Vec a, Vec b, Vec c) { return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)}; }
  friend Vec abs(Vec a) { return {abs(a.low), abs(a.high)}; }
  friend Vec max(Vec a, Vec b) { return {max(a.low, b.low), max(a.high, b.high)}; }
  friend Vec min(Vec a, Vec b) { return {min(a.low, b.low), min(a.high, b.high)}; }
  friend Vec round(Vec a) { return {round(a.low), round(a.high)}; }
  friend Vec power_of_two(Vec n) { return {power_of_two(n.low), power_of_two(n.high)}; }
  friend Mask<Twice<Half>> operator<(Vec a, Vec b) { return {a.low < b.low, a.high < b.high}; }
  friend Vec select(Mask<Twice<Half>> mask, Vec a, Vec b) {
    return {select(mask.low, a.low, b.low), select(mask.high, a.high, b.high)};
  }
  friend float reduce_add(Vec a) { return reduce_add(a.low + a.high); }

 private:
  static int64_t within(int64_t n) { return n < 0 ? 0 : n; }
};

template <class Half>
struct BitMask<Twice<Half>> {
  static Mask<Twice<Half>> of(uint32_t bits) {
    return {BitMask<Half>::of(bits), BitMask<Half>::of(bits >> Vec<Half>::kLanes)};
  }
};

}  // namespace gesso::simd

namespace gesso {
namespace {

// 16 lanes, whatever the machine has.
template <class Tag, int kLanes>
struct Widened {
  using Type = typename Widened<simd::Twice<Tag>, 2 * kLanes>::Type;
};
template <class Tag>
struct Widened<Tag, 16> {
  using Type = Tag;
};
using Wide = Widened<simd::Native, simd::Vec<simd::Native>::kLanes>::Type;

template <int kVectors>
void tile(const GemmTile& tile) {
  RegisterTile<Wide, 6, kVectors, 64>::run(tile);
}

template <int kVectors>
void multiply_rows(const GemmRows& rows) {
  RegisterTile<Wide, 6, kVectors, 64>::run_rows(rows);
}

}  // namespace

template <>
const WideTile& wide_tile<simd::Native>() {
  using Patches = PatchTile<Wide>;
  static constexpr WideTile table = {
      .rows = 6,
      .columns = 64,
      .tile = {tile<1>, tile<2>, tile<3>, tile<4>},
      .multiply_rows = {multiply_rows<1>, multiply_rows<2>, multiply_rows<3>, multiply_rows<4>},
      .patches = {
          .product = Patches::product, .gradient = Patches::gradient, .dots = Patches::dots, .sums = Patches::sums}};
  return table;
}

}  // namespace gesso
