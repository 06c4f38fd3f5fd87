// Pictures of a data set as a tensor, and pictures side by side to look at.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "train/dataset.h"

namespace gesso {

// Images [begin, begin + count) of the data set: [count,H,W,C] of its type.
Tensor read_images(const Dataset& data, std::int64_t begin, std::int64_t count, Device& device);

// Whether a grid shows pictures alone, or each row of them above a row of what was made from them.
enum class GridKind : std::uint8_t { pictures, comparison };
// Throws ErrorKind::usage, with what to do, where a grid of `count` pictures would be above the limits of a picture.
void check_grid(GridKind kind, std::int64_t count, const ImageShape& shape, std::string_view remedy);

// Rows of up to eight pictures of one shape, enlarged until they can be seen, as far as there is room. Of channels that
// are no colours, the first three are shown as such, or where there are fewer, the first as grey. Throws where shapes
// differ, and where the grid would be above the limits of a picture.
template <class T>
BasicImage<T> picture_grid(const std::vector<BasicImage<T>>& pictures);
// The same, each row of `before` above its row of `after`.
template <class T>
BasicImage<T> comparison_grid(const std::vector<BasicImage<T>>& before, const std::vector<BasicImage<T>>& after);

// Each picture above what was made of it above their difference, kDifferenceShown times as strong: black where they are
// the same. In one row: of `most` pictures of that shape, so many fit into a picture.
constexpr int kDifferenceShown = 4;
std::int64_t most_triptychs(const ImageShape& shape, std::int64_t most);
// Throws where there are none, shapes differ, or there are more than eight or than fit.
Image triptych_grid(const std::vector<Image>& before, const std::vector<Image>& after);

}  // namespace gesso
