#include "nn/initializer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"

namespace gesso::nn {
namespace {

constexpr std::array<std::string_view, 7> kNames = {"zeros",           "ones",         "uniform",       "normal",
                                                    "kaiming_uniform", "lecun_normal", "xavier_uniform"};

void fill_uniform(std::span<float> values, std::uint64_t key, double bound) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Words words = random_words(key, 0, 0, static_cast<std::uint32_t>(i / 4));
    values[i] = static_cast<float>(bound * (2.0 * static_cast<double>(uniform_half_open(words.word[i % 4])) - 1.0));
  }
}

// cut: values beyond that many standard deviations are drawn again, from the next step of the counter.
void fill_normal(std::span<float> values, std::uint64_t key, double deviation, double cut) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    float value = 0;
    std::uint64_t attempt = 0;
    do {
      value = normals(random_words(key, attempt++, 0, static_cast<std::uint32_t>(i / 4))).value[i % 4];
    } while (std::abs(static_cast<double>(value)) > cut);
    values[i] = static_cast<float>(deviation * static_cast<double>(value));
  }
}

}  // namespace

void Initializer::fill(std::span<float> values, std::uint64_t seed, std::string_view name) const {
  const std::uint64_t key = random_key(seed, Purpose::init, name);
  const double root_fan_in = std::sqrt(static_cast<double>(std::max<std::int64_t>(fan_in, 1)));
  switch (kind) {
    case InitKind::zeros:
      std::ranges::fill(values, 0.0f);
      return;
    case InitKind::ones:
      std::ranges::fill(values, 1.0f);
      return;
    case InitKind::uniform:
      return fill_uniform(values, key, scale);
    case InitKind::normal:
      return fill_normal(values, key, scale, INFINITY);
    case InitKind::kaiming_uniform:
      return fill_uniform(values, key, scale / root_fan_in);
    case InitKind::lecun_normal:
      return fill_normal(values, key, scale / root_fan_in, 2);
    case InitKind::xavier_uniform:
      return fill_uniform(values, key,
                          scale * std::sqrt(6.0 / static_cast<double>(std::max<std::int64_t>(fan_in + fan_out, 1))));
  }
}

std::string_view name_of(InitKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

InitKind init_kind(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) fail("unknown initialiser '{}'; known are {}", name, fmt::join(kNames, ", "));
  return static_cast<InitKind>(found - kNames.begin());
}

}  // namespace gesso::nn
