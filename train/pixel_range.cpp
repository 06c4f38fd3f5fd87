#include "train/pixel_range.h"

#include "ops/cast.h"
#include "train/dataset.h"

namespace gesso {

Tensor normalise_images(const Tensor& images) {
  return ops::cast(images, {.to = DType::f32, .scale = 1.0 / full_range(images.dtype()), .shift = -0.5});
}

template <class T>
std::vector<BasicImage<T>> pictures_of(const Tensor& x) {
  const std::vector<float> values = x.to_host<float>();
  const ImageShape shape{x.dim(1), x.dim(2), x.dim(3)};
  std::vector<BasicImage<T>> pictures(static_cast<std::size_t>(x.dim(0)), BasicImage<T>(shape));
  const auto pixels = static_cast<std::size_t>(shape.count());
  for (std::size_t i = 0; i < values.size(); ++i) pictures[i / pixels].pixels[i % pixels] = to_pixel<T>(values[i]);
  return pictures;
}
template std::vector<Image> pictures_of<std::uint8_t>(const Tensor& x);
template std::vector<Image16> pictures_of<std::uint16_t>(const Tensor& x);

}  // namespace gesso
