// Randomness: published vectors, golden bits, and the distributions that the bits make.
#include "core/rng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "tests/worse.h"

namespace gesso {
namespace {

bool same(const Words& got, const Words& want) { return std::ranges::equal(got.word, want.word); }

// FNV-1a over the bytes of words.
class Hash {
 public:
  void add(std::uint32_t word) {
    for (int byte = 0; byte < 4; ++byte) value_ = (value_ ^ (word >> (8 * byte) & 0xFF)) * 0x100000001B3u;
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xCBF29CE484222325u;
};

// The normals of 2^16 elements of one sample at one step.
std::vector<float> many_normals(std::uint64_t key) {
  std::vector<float> values;
  for (std::uint32_t group = 0; group < (1u << 14); ++group) {
    const Normals four = normals(random_words(key, 3, 5, group));
    values.insert(values.end(), std::begin(four.value), std::end(four.value));
  }
  return values;
}
double mean_power(const std::vector<float>& values, int power) {
  double sum = 0;
  for (const float v : values) sum += std::pow(static_cast<double>(v), power);
  return sum / static_cast<double>(values.size());
}

TEST_SUITE("rng") {
  TEST_CASE("Philox4x32-10 gives the published vectors") {
    // Known-answer file of Random123 (Salmon et al. 2011).
    CHECK(same(philox({{0, 0, 0, 0}}, 0), {{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}}));
    CHECK(same(philox({{~0u, ~0u, ~0u, ~0u}}, ~std::uint64_t{0}), {{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}}));
    CHECK(same(philox({{0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}}, 0x299F31D0A4093822u),
               {{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}}));
  }

  TEST_CASE("keys, normals and uniforms have golden bits: the same on every machine, compiler and release") {
    CHECK(random_key(1, Purpose::noise, "decoder.conv1", 2) == 12956460135043574248u);
    Hash hash;
    for (const float v : many_normals(7)) hash.add(std::bit_cast<std::uint32_t>(v));
    CHECK(hash.value() == 14605672858218649153u);
    Hash uniforms;
    for (std::uint32_t group = 0; group < 1000; ++group)
      for (const std::uint32_t word : random_words(7, 1, 2, group).word) {
        uniforms.add(std::bit_cast<std::uint32_t>(uniform_open(word)));
        uniforms.add(std::bit_cast<std::uint32_t>(uniform_half_open(word)));
      }
    CHECK(uniforms.value() == 8521110037338431814u);
  }

  TEST_CASE("normals have the moments of the normal distribution") {
    const std::vector<float> values = many_normals(11);
    // Five standard errors of each: sqrt(1, 2, 15, 96 / n).
    CHECK(std::abs(mean_power(values, 1)) < 0.020);
    CHECK(std::abs(mean_power(values, 2) - 1) < 0.028);
    CHECK(std::abs(mean_power(values, 3)) < 0.076);
    CHECK(std::abs(mean_power(values, 4) - 3) < 0.192);
    // The two of a pair, and neighbouring elements, are uncorrelated.
    for (const std::size_t lag : {1u, 2u, 4u}) {
      double sum = 0;
      for (std::size_t i = lag; i < values.size(); ++i) sum += static_cast<double>(values[i]) * values[i - lag];
      CHECK(std::abs(sum) / static_cast<double>(values.size()) < 0.020);
    }
    CHECK(std::ranges::max(values) > 3.8f);
    CHECK(std::ranges::min(values) < -3.8f);
  }

  TEST_CASE("every word gives a finite normal, the rarest 6.66 sigma") {
    for (const std::uint32_t a : {0u, 1u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFEu, ~0u})
      for (const std::uint32_t b : {0u, 0x3FFFFFFFu, 0x40000000u, 0xC0000000u, ~0u})
        for (const float v : normals({{a, b, b, a}}).value) CHECK(std::abs(v) < 6.67f);
    CHECK(normals({{0, 0, 0, 0}}).value[0] > 6.65f);
  }

  TEST_CASE("uniforms keep their ends") {
    CHECK(uniform_open(0) > 0);
    CHECK(uniform_open(~0u) < 1);
    CHECK(uniform_half_open(0) == 0);
    CHECK(uniform_half_open(~0u) == 1 - 0x1p-24f);
  }

  TEST_CASE("the logarithm keeps its promise against double") {
    double worst = 0;
    const auto hold = [&](float x) {
      const double exact = std::log(static_cast<double>(x));
      worst = worse(worst, std::abs(portable_log(x) - exact) / std::abs(exact));
    };
    for (std::uint32_t word = 0; word < 0xFFFF0000u; word += 0xFFFFu) hold(uniform_open(word));
    for (int i = 1; i <= 4096; ++i) hold(1 - static_cast<float>(i) * 0x1p-24f);  // next to 1, where ln x vanishes
    CHECK(worst < 2e-7);
    CHECK(portable_log(1.0f) == 0);
  }

  TEST_CASE("sine and cosine are right to 2e-7") {
    double worst = 0;
    for (std::uint32_t word = 0; word < 0xFFFF0000u; word += 0xFFFFu) {
      const float t = uniform_half_open(word);
      const SinCos got = portable_sincos_2pi(t);
      const double angle = 2 * 3.14159265358979323846 * static_cast<double>(t);
      worst = worse(worst, worse(std::abs(got.sin - std::sin(angle)), std::abs(got.cos - std::cos(angle))));
    }
    CHECK(worst < 2e-7);
  }

  TEST_CASE("keys differ by seed, purpose, site and call") {
    std::set<std::uint64_t> keys;
    int made = 0;
    for (const std::uint64_t seed : {0u, 1u, 2u})
      for (const Purpose purpose : {Purpose::init, Purpose::noise, Purpose::dropout})
        for (const std::string site : {"", "a", "b", "aa", "encoder.conv1", "encoder.conv2"})
          for (const std::uint64_t call : {0u, 1u, 255u, 256u}) {
            keys.insert(random_key(seed, purpose, site, call));
            ++made;
          }
    CHECK(keys.size() == static_cast<std::size_t>(made));
  }

  TEST_CASE("counters differ by step, sample and group, up to 2^48") {
    const std::uint64_t large = (std::uint64_t{1} << 48) - 1;
    std::set<std::vector<std::uint32_t>> all;
    for (const std::uint64_t step : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32, large})
      for (const std::uint64_t sample : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32, large})
        for (const std::uint32_t group : {0u, 1u, ~0u}) {
          const Words words = random_words(9, step, sample, group);
          all.emplace(std::begin(words.word), std::end(words.word));
        }
    CHECK(all.size() == 48);
  }

  TEST_CASE("whole numbers below a bound reach both ends, evenly") {
    CHECK(below(0, 0, 10) == 0);
    CHECK(below(~0u, ~0u, 10) == 9);
    CHECK(below(~0u, ~0u, 1) == 0);
    CHECK(below(0x80000000u, 0, std::uint64_t{1} << 63) == std::uint64_t{1} << 62);
    CHECK(mul_high(~std::uint64_t{0}, ~std::uint64_t{0}) == ~std::uint64_t{0} - 1);
    CHECK(mul_high(std::uint64_t{1} << 32, std::uint64_t{1} << 32) == 1);
    std::vector<int> counts(7);
    for (std::uint32_t group = 0; group < 7000; ++group) {
      const Words words = random_words(13, 0, 0, group);
      ++counts[below(words.word[0], words.word[1], 7)];
    }
    for (const int count : counts) CHECK(std::abs(count - 1000) < 150);  // five standard errors
  }
}

}  // namespace
}  // namespace gesso
