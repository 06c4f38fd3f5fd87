#include "train/shapes_dataset.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "train/shape_outline.h"

namespace gesso {
namespace {

using Colour = std::array<float, 3>;  // red, green, blue in [0, 1]

float mix(float a, float b, float t) { return a + t * (b - a); }
Colour mix(const Colour& a, const Colour& b, float t) {
  return {mix(a[0], b[0], t), mix(a[1], b[1], t), mix(a[2], b[2], t)};
}
float luma(const Colour& c) { return 0.299f * c[0] + 0.587f * c[1] + 0.114f * c[2]; }

// hue, saturation and value in [0, 1].
Colour from_hsv(float hue, float saturation, float value) {
  Colour colour{};
  for (int i = 0; i < 3; ++i) {
    const float turned = 6 * hue + (i == 0 ? 3.0f : i == 1 ? 5.0f : 1.0f);  // red peaks at 0, green at 1/3, blue at 2/3
    const float distance = std::abs(turned - 6 * std::floor(turned / 6) - 3);
    colour[static_cast<std::size_t>(i)] = value * (1 - saturation * (1 - std::clamp(distance - 1, 0.0f, 1.0f)));
  }
  return colour;
}

// Everything that is drawn for one picture.
struct Scene {
  ShapeKind kind;
  float centre_x, centre_y, radius;  // in pixels
  SinCos tilt, slope;                // of the shape; of the gradient
  Colour shape, background, far_background;
};

Scene draw_scene(std::uint64_t key, std::int64_t index, ShapeKind kind, float size) {
  std::array<float, 16> u{};
  for (std::uint32_t group = 0; group < 4; ++group) {
    const Words words = random_words(key, 0, static_cast<std::uint64_t>(index), group);
    for (std::size_t i = 0; i < 4; ++i) u[4 * group + i] = uniform_half_open(words.word[i]);
  }
  Scene scene{};
  scene.kind = kind;
  scene.radius = size * mix(0.22f, 0.42f, u[0]);
  scene.centre_x = mix(scene.radius, size - scene.radius, u[1]);
  scene.centre_y = mix(scene.radius, size - scene.radius, u[2]);
  scene.tilt = portable_sincos_2pi(0.25f * u[3]);  // up to a quarter turn, an eighth to each side (see turned())
  scene.slope = portable_sincos_2pi(u[4]);
  scene.shape = from_hsv(u[5], mix(0.6f, 1.0f, u[6]), mix(0.7f, 1.0f, u[7]));
  // Dark behind light shapes and light behind dark ones, so that grey pictures show the shape too.
  const bool dark = luma(scene.shape) > 0.5f;
  const auto background = [dark](float hue, float saturation, float value) {
    return from_hsv(hue, mix(0.05f, 0.4f, saturation), dark ? mix(0.05f, 0.3f, value) : mix(0.85f, 1.0f, value));
  };
  scene.background = background(u[8], u[9], u[10]);
  scene.far_background = background(u[11], u[12], u[13]);
  return scene;
}

// The point in the shape's own frame, turned by the tilt less an eighth of a turn.
Point turned(const Scene& scene, float x, float y) {
  constexpr float kEighth = 0.70710678f;
  const float dx = (x - scene.centre_x) / scene.radius, dy = (y - scene.centre_y) / scene.radius;
  const float cosine = kEighth * (scene.tilt.cos + scene.tilt.sin), sine = kEighth * (scene.tilt.sin - scene.tilt.cos);
  return {cosine * dx + sine * dy, cosine * dy - sine * dx};
}

// The share of a pixel that the shape covers, taking its outline as straight there.
float coverage(const Scene& scene, float x, float y) {
  const Point p = turned(scene, x, y);
  const float reach = 1.1f + 1 / scene.radius;
  if (p.x * p.x + p.y * p.y > reach * reach) return 0;
  return std::clamp(0.5f - signed_distance(scene.kind, p) * scene.radius, 0.0f, 1.0f);
}

std::uint8_t to_byte(float value) { return static_cast<std::uint8_t>(value * 255.0f + 0.5f); }

std::vector<std::string> class_names() {
  std::vector<std::string> names;
  for (int kind = 0; kind < kShapeKinds; ++kind) names.emplace_back(name_of(static_cast<ShapeKind>(kind)));
  return names;
}

class ShapesDataset final : public Dataset {
 public:
  ShapesDataset(const ShapesOptions& options, Split split)
      : Dataset({.name = "shapes",
                 .size = options.count,
                 .image_shape = {options.image_size, options.image_size, options.channels},
                 .class_names = class_names(),
                 .identity = fmt::format("shapes {} {} {} {} {}", options.count, options.image_size, options.channels,
                                         options.seed, static_cast<int>(split))}),
        key_(random_key(options.seed, Purpose::data, split == Split::train ? "shapes/train" : "shapes/validation")) {}

 private:
  void read_checked(std::int64_t index, const View&, std::span<std::uint8_t> image,
                    std::int32_t& label) const override {
    const ImageShape& shape = image_shape();
    label = static_cast<std::int32_t>(index % kShapeKinds);
    const auto size = static_cast<float>(shape.width);
    const Scene scene = draw_scene(key_, index, static_cast<ShapeKind>(label), size);
    std::uint8_t* to = image.data();
    for (std::int64_t row = 0; row < shape.height; ++row)
      for (std::int64_t column = 0; column < shape.width; ++column) {
        const float x = static_cast<float>(column) + 0.5f, y = static_cast<float>(row) + 0.5f;
        const float along = 0.5f + 0.7f * ((x / size - 0.5f) * scene.slope.cos + (y / size - 0.5f) * scene.slope.sin);
        const Colour behind = mix(scene.background, scene.far_background, along);
        const Colour colour = mix(behind, scene.shape, coverage(scene, x, y));
        if (shape.channels == 1)
          *to++ = to_byte(luma(colour));
        else
          for (const float value : colour) *to++ = to_byte(value);
      }
  }

  std::uint64_t key_;
};

}  // namespace

std::unique_ptr<Dataset> make_shapes_dataset(const ShapesOptions& options, Split split) {
  if (options.image_size < 4 || options.image_size > 4096)
    fail("shapes: pictures of {} pixels a side; 4 to 4096 can be drawn", options.image_size);
  if (options.channels != 1 && options.channels != 3)
    fail("shapes: {} channels; 1 or 3 can be drawn", options.channels);
  if (options.count < 0) fail("shapes: {} pictures", options.count);
  return std::make_unique<ShapesDataset>(options, split);
}

}  // namespace gesso
