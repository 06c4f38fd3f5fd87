// Plane shapes as signed distance: how far a point is from the outline, negative inside. Private to shapes_dataset.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace gesso {

enum class ShapeKind : std::uint8_t { circle, ring, square, triangle, hexagon, star, cross, heart, crescent, arrow };
inline constexpr int kShapeKinds = 10;
std::string_view name_of(ShapeKind kind);

struct Point {
  float x = 0, y = 0;  // y grows downward
};
// Of the shape that fits the unit circle around the origin. Exact on the outline, and of the right sign everywhere.
float signed_distance(ShapeKind kind, Point p);
// Of a polygon without self-intersection.
float polygon_distance(std::span<const Point> corners, Point p);

}  // namespace gesso
