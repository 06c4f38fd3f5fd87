// What the instructions of tests/cuda/instructions.h must do by NVIDIA's documents, in plain loops. Sums are of small
// whole numbers: exact, in whatever order they are added.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "core/dtype.h"
#include "core/error.h"
#include "tests/cuda/instructions.h"
#include "tests/support.h"

namespace gesso::probes {

using Words = std::vector<std::uint32_t>;
struct Known {
  Words in, want;
};

inline std::uint32_t random_word() {
  static std::mt19937 random(static_cast<std::mt19937::result_type>(test_seed()));
  return static_cast<std::uint32_t>(random());
}
inline Words random_words(int count) {
  Words words(static_cast<std::size_t>(count));
  for (std::uint32_t& word : words) word = random_word();
  return words;
}
inline float small_number() { return static_cast<float>(random_word() % 17) - 8.0f; }
inline std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

// Elements of 16 bits, two to a word.
class Halves {
 public:
  explicit Halves(std::size_t count) : values_(count) {}
  explicit Halves(const Words& words) : values_(words.size() * 2) {
    std::memcpy(values_.data(), words.data(), words.size() * sizeof(std::uint32_t));
  }
  std::uint16_t& operator[](std::size_t i) { return values_.at(i); }
  std::uint16_t operator[](std::size_t i) const { return values_.at(i); }
  Words words() const {
    Words words(values_.size() / 2);
    std::memcpy(words.data(), values_.data(), values_.size() * sizeof(std::uint16_t));
    return words;
  }

 private:
  std::vector<std::uint16_t> values_;
};

// Where element `column` of a row of 64 lies under the 128-byte swizzle: in each row the eight pieces of 16 bytes are
// exchanged by the row's number.
inline std::size_t swizzled_place(int row, int column) {
  return static_cast<std::size_t>(row * 64 + ((column / 8) ^ (row % 8)) * 8 + column % 8);
}

// As a real number, where infinity stands for the value after the largest.
inline double magnitude(std::uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 23 & 0xFF);
  const double fraction = static_cast<double>(bits & 0x7FFFFF);
  return exponent == 0 ? std::ldexp(fraction, -149) : std::ldexp(fraction + 0x800000, exponent - 150);
}
// To the nearest of 16 bits, to the even one of two.
inline std::uint32_t rounded(std::uint32_t bits) {
  const std::uint32_t below = bits >> 16, above = below + 1;
  if ((bits & 0x7FFFFFFF) == 0x7F800000) return below;
  const double down = magnitude(bits) - magnitude(below << 16), up = magnitude(above << 16) - magnitude(bits);
  return down < up || (down == up && below % 2 == 0) ? below : above;
}
inline Known known_rounding() {
  Known known{{0, 0x80000000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0xFF7F8000, 0x7F7F7FFF, 1, 0x80007FFF, 0x00008000,
               0x00018000, 0x007FFFFF, 0x3F808000, 0x3F818000, 0x3F808001, 0xBF807FFF},
              {}};
  while (known.in.size() < shapes::kRoundings)
    if (const std::uint32_t word = random_word(); (word & 0x7F800000) != 0x7F800000) known.in.push_back(word);
  for (std::size_t i = 0; i < shapes::kRoundings; i += 2) {
    const std::uint32_t low = rounded(known.in[i]), high = rounded(known.in[i + 1]);
    known.want.insert(known.want.end(), {low, high, low | high << 16, low << 16});
  }
  return known;
}

inline Known known_copy(std::size_t words) {
  Known known{random_words(static_cast<int>(shapes::kCopies * words)), {}};
  for (std::size_t group = 0; group < 2; ++group)
    for (std::size_t i = 0; i < 32 * words; ++i) {
      const std::size_t from = group * 32 + 31 - i / words;
      known.want.push_back(from % 3 == 0 ? 0 : known.in[from * words + i % words]);
    }
  return known;
}

inline Known known_ldmatrix(bool transposed) {
  Known known{random_words(128), {}};
  const Halves rows(known.in);
  for (std::size_t lane = 0; lane < 32; ++lane)
    for (std::size_t matrix = 0; matrix < 4; ++matrix) {
      std::uint32_t word = 0;
      for (std::size_t half = 0; half < 2; ++half) {
        std::size_t row = lane / 4, column = lane % 4 * 2 + half;
        if (transposed) std::swap(row, column);
        word |= std::uint32_t{rows[((matrix * 8 + row) * 5 + 3) % 32 * 8 + column]} << 16 * half;
      }
      known.want.push_back(word);
    }
  return known;
}

// Two elements of one register.
inline std::uint32_t pair(float low, float high) { return bf16(low).bits | std::uint32_t{bf16(high).bits} << 16; }

inline Known known_mma() {
  float a[16][16], b[16][8], c[16][8];  // [m,k] [k,n] [m,n]
  for (auto& row : a)
    for (float& value : row) value = small_number();
  for (auto& row : b)
    for (float& value : row) value = small_number();
  for (auto& row : c)
    for (float& value : row) value = small_number();
  Known known;
  for (int lane = 0; lane < 32; ++lane) {
    const int group = lane / 4, two = lane % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      const float* row = a[group + i % 2 * 8] + two + i / 2 * 8;
      known.in.push_back(pair(row[0], row[1]));
    }
    for (int i = 0; i < 2; ++i) known.in.push_back(pair(b[two + i * 8][group], b[two + i * 8 + 1][group]));
    for (int i = 0; i < 4; ++i) {
      const int m = group + i / 2 * 8, n = two + i % 2;
      float sum = c[m][n];
      known.in.push_back(bits_of(sum));
      for (int k = 0; k < 16; ++k) sum += a[m][k] * b[k][n];
      known.want.push_back(bits_of(sum));
    }
  }
  return known;
}

inline Known known_mbarrier() {
  using namespace shapes;
  Known known{random_words(kPhases * kThreads), {}};
  for (std::size_t phase = 0; phase < kPhases; ++phase)
    for (std::size_t t = 0; t < kThreads; ++t) known.want.push_back(known.in[phase * kThreads + (t + 37) % kThreads]);
  return known;
}

inline Known known_tiles() {
  using namespace shapes;
  Known known{random_words(kRows * kColumns / 2), {}};
  const Halves matrix(known.in);
  const TileCorners at;
  for (int i = 0; i < kTiles; ++i) {
    Halves tile(kTileRows * kTileColumns);
    for (int r = 0; r < kTileRows; ++r)
      for (int c = 0; c < kTileColumns; ++c) {
        const int row = at.row[i] + r, column = at.column[i] + c;
        if (row < 0 || row >= kRows || column < 0 || column >= kColumns) continue;
        tile[swizzled_place(r, c)] = matrix[static_cast<std::size_t>(row * kColumns + column)];
      }
    for (const std::uint32_t word : tile.words()) known.want.push_back(word);
  }
  return known;
}

inline Known known_im2col(int stride) {
  using namespace shapes;
  Known known{random_words(kImages * kHeight * kWidth * kChannels / 2), {}};
  const Halves pictures(known.in);
  const int out_width = out_pixels(kWidth, stride), pixels = out_width * out_pixels(kHeight, stride);
  const Windows at;
  for (int i = 0; i < kWindows; ++i) {
    Halves window(kPixels * kChannels);
    for (int p = 0; p < kPixels; ++p) {
      const int image = (at.first[i] + p) / pixels, pixel = (at.first[i] + p) % pixels;
      const int y = pixel / out_width * stride - 1 + at.offset_h[i],
                x = pixel % out_width * stride - 1 + at.offset_w[i];
      if (image >= kImages || y < 0 || y >= kHeight || x < 0 || x >= kWidth) continue;
      for (int c = 0; c < kChannels; ++c)
        window[swizzled_place(p, c)] =
            pictures[static_cast<std::size_t>(((image * kHeight + y) * kWidth + x) * kChannels + c)];
    }
    for (const std::uint32_t word : window.words()) known.want.push_back(word);
  }
  return known;
}

// Fills a tile in shared memory; returns its values [rows,kDepth]. K-major: a row of the tile is one of `rows`.
// MN-major: a row is one of kDepth, and 64 of `rows` make a slab.
inline std::vector<float> fill_operand(Halves& memory, std::size_t begin, int rows, bool mn_major) {
  std::vector<float> values;
  for (int r = 0; r < rows; ++r)
    for (int k = 0; k < shapes::kDepth; ++k) {
      values.push_back(small_number());
      const std::size_t slab = static_cast<std::size_t>(r / 64 * 64 * shapes::kDepth);
      const std::size_t place = mn_major ? slab + swizzled_place(k, r % 64) : swizzled_place(r, k);
      memory[begin + place] = bf16(values.back()).bits;
    }
  return values;
}
inline Known known_wgmma(bool a_mn_major, bool b_mn_major) {
  using namespace shapes;
  constexpr std::size_t kA = kM * kDepth;
  Halves memory(kA + kN * kDepth);
  const auto a = fill_operand(memory, 0, kM, a_mn_major), b = fill_operand(memory, kA, kN, b_mn_major);
  Known known{memory.words(), {}};
  std::vector<float> sums(kM * kN);
  for (int i = 0; i < 2; ++i)
    for (int t = 0; t < kThreads; ++t)
      for (int j = 0; j < kN / 2; ++j) {
        const int m = t / 32 * 16 + t % 32 / 4 + j / 2 % 2 * 8, n = j / 4 * 8 + t % 4 * 2 + j % 2;
        float& sum = sums[static_cast<std::size_t>(m * kN + n)];
        for (int k = depth_step(i) * 16; k < depth_step(i) * 16 + 16; ++k)
          sum += a[static_cast<std::size_t>(m * kDepth + k)] * b[static_cast<std::size_t>(n * kDepth + k)];
        known.want.push_back(bits_of(sum));
      }
  return known;
}

// What the probe of that name is given, and must give.
inline Known known_for(std::string_view name) {
  using Make = Known (*)();
  constexpr std::pair<std::string_view, Make> kAll[] = {
      {"cvt.rn.bf16", known_rounding},
      {"cp.async 4", [] { return known_copy(1); }},
      {"cp.async 16", [] { return known_copy(4); }},
      {"ldmatrix.x4", [] { return known_ldmatrix(false); }},
      {"ldmatrix.x4.trans", [] { return known_ldmatrix(true); }},
      {"mma.m16n8k16", known_mma},
      {"mbarrier", known_mbarrier},
      {"TMA tile, swizzle 128", known_tiles},
      {"TMA im2col, stride 1", [] { return known_im2col(1); }},
      {"TMA im2col, stride 2", [] { return known_im2col(2); }},
      {"wgmma, a and b K-major", [] { return known_wgmma(false, false); }},
      {"wgmma, a and b MN-major", [] { return known_wgmma(true, true); }},
      {"wgmma, a K-major, b MN-major", [] { return known_wgmma(false, true); }},
      {"wgmma, a MN-major, b K-major", [] { return known_wgmma(true, false); }},
  };
  for (const auto& [known, make] : kAll)
    if (known == name) return make();
  fail("test: nothing is known of probe {}", name);
}

}  // namespace gesso::probes
