#include "train/shape_outline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/rng.h"

namespace gesso {
namespace {

float length(Point p) { return std::sqrt(p.x * p.x + p.y * p.y); }
Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }

// N corners on the circle of radius `outer`, the first at the top; with an `inner` radius, a star of 2N corners.
template <std::size_t N>
std::array<Point, N> regular(float outer, float inner) {
  std::array<Point, N> corners;
  for (std::size_t i = 0; i < N; ++i) {
    const SinCos angle = portable_sincos_2pi(static_cast<float>(i) / static_cast<float>(N));
    const float radius = i % 2 == 0 ? outer : inner;
    corners[i] = {radius * angle.sin, -radius * angle.cos};
  }
  return corners;
}

std::span<const Point> corners_of(ShapeKind kind) {
  static const auto kSquare = std::array<Point, 4>{{{-0.7f, -0.7f}, {0.7f, -0.7f}, {0.7f, 0.7f}, {-0.7f, 0.7f}}};
  static const auto kTriangle = regular<3>(1.0f, 1.0f);
  static const auto kHexagon = regular<6>(0.95f, 0.95f);
  static const auto kStar = regular<10>(1.0f, 0.42f);
  static const auto kCross = std::array<Point, 12>{{{-0.28f, -0.9f},
                                                    {0.28f, -0.9f},
                                                    {0.28f, -0.28f},
                                                    {0.9f, -0.28f},
                                                    {0.9f, 0.28f},
                                                    {0.28f, 0.28f},
                                                    {0.28f, 0.9f},
                                                    {-0.28f, 0.9f},
                                                    {-0.28f, 0.28f},
                                                    {-0.9f, 0.28f},
                                                    {-0.9f, -0.28f},
                                                    {-0.28f, -0.28f}}};
  static const auto kArrow = std::array<Point, 7>{
      {{0, -1}, {0.75f, -0.1f}, {0.28f, -0.1f}, {0.28f, 0.9f}, {-0.28f, 0.9f}, {-0.28f, -0.1f}, {-0.75f, -0.1f}}};
  switch (kind) {
    case ShapeKind::square:
      return kSquare;
    case ShapeKind::triangle:
      return kTriangle;
    case ShapeKind::hexagon:
      return kHexagon;
    case ShapeKind::star:
      return kStar;
    case ShapeKind::cross:
      return kCross;
    case ShapeKind::arrow:
      return kArrow;
    default:
      return {};
  }
}

// A square that stands on a corner, with a disc on each of its upper sides.
float heart_distance(Point p) {
  constexpr float kTop = -0.66f, kHalf = 0.39f;  // the square's upper corner; half of half its diagonal
  static const auto kBody = std::array<Point, 4>{
      {{0, kTop}, {2 * kHalf, kTop + 2 * kHalf}, {0, kTop + 4 * kHalf}, {-2 * kHalf, kTop + 2 * kHalf}}};
  constexpr float kRadius = kHalf * 1.41421356f;
  const float discs = length(Point{std::abs(p.x), p.y} - Point{kHalf, kTop + kHalf}) - kRadius;
  return std::min(polygon_distance(kBody, p), discs);
}

}  // namespace

std::string_view name_of(ShapeKind kind) {
  constexpr std::string_view kNames[kShapeKinds] = {"circle", "ring",  "square", "triangle", "hexagon",
                                                    "star",   "cross", "heart",  "crescent", "arrow"};
  return kNames[static_cast<std::size_t>(kind)];
}

float polygon_distance(std::span<const Point> corners, Point p) {
  float nearest_square = std::numeric_limits<float>::max();
  bool inside = false;
  for (std::size_t i = 0, j = corners.size() - 1; i < corners.size(); j = i++) {
    const Point a = corners[j], side = corners[i] - a, to_p = p - a;
    const float along = (to_p.x * side.x + to_p.y * side.y) / (side.x * side.x + side.y * side.y);
    const float t = std::clamp(along, 0.0f, 1.0f);
    const Point off{to_p.x - t * side.x, to_p.y - t * side.y};
    nearest_square = std::min(nearest_square, off.x * off.x + off.y * off.y);
    // A ray to the right crosses the outline an odd number of times from inside.
    const Point b = corners[i];
    if ((a.y > p.y) != (b.y > p.y) && p.x < a.x + (p.y - a.y) / (b.y - a.y) * (b.x - a.x)) inside = !inside;
  }
  const float distance = std::sqrt(nearest_square);
  return inside ? -distance : distance;
}

float signed_distance(ShapeKind kind, Point p) {
  switch (kind) {
    case ShapeKind::circle:
      return length(p) - 0.85f;
    case ShapeKind::ring:
      return std::abs(length(p) - 0.7f) - 0.22f;
    case ShapeKind::heart:
      return heart_distance(p);
    case ShapeKind::crescent:
      return std::max(length(p) - 0.95f, 0.8f - length(p - Point{0.5f, -0.1f}));
    default:
      return polygon_distance(corners_of(kind), p);
  }
}

}  // namespace gesso
