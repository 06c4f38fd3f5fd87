// How a parameter starts. Values are a pure function of (seed, parameter name): the order of declaration does not
// matter.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gesso::nn {

// fan_in: how many inputs one output sums over.
//   zeros, ones
//   uniform          U(-scale, scale)
//   normal           N(0, scale^2)
//   kaiming_uniform  U(-b, b), b = scale / sqrt(fan_in): PyTorch's default for convolutions and linear layers
//   lecun_normal     N(0, (scale / sqrt(fan_in))^2), cut at two standard deviations: sonnet's default
//   xavier_uniform   U(-b, b), b = scale sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)
enum class InitKind : std::uint8_t { zeros, ones, uniform, normal, kaiming_uniform, lecun_normal, xavier_uniform };

struct Initializer {
  InitKind kind = InitKind::zeros;
  double scale = 1;
  std::int64_t fan_in = 1, fan_out = 1;

  // Fills `values` for the parameter `name`.
  void fill(std::span<float> values, std::uint64_t seed, std::string_view name) const;
};

std::string_view name_of(InitKind kind);
// Throws with the list of names on an unknown one.
InitKind init_kind(std::string_view name);

}  // namespace gesso::nn
