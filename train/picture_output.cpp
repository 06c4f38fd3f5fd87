#include "train/picture_output.h"

#include <utility>

#include "core/error.h"
#include "train/comparison.h"

namespace gesso {

bool names_grid(const Path& out) { return out.extension() == ".png"; }

template <class T>
PictureOutput<T>::PictureOutput(const Path& out, std::int64_t count, std::vector<std::string> names,
                                const PngText& text)
    : out_(out), count_(count), names_(std::move(names)), text_(text) {
  if (!names_grid(out))
    folder_.emplace(out);
  else if (count > kMostInGrid)
    fail("{}: a grid of {} pictures; at most {} fit in one, so name fewer, or a folder with --out FOLDER", out.string(),
         count, kMostInGrid);
}

// Refuses what no grid could hold before memory is spent on all of it.
template <class T>
void PictureOutput<T>::keep(const BasicImage<T>& picture, std::vector<BasicImage<T>>& kept) const {
  const ImageShape& shape = picture.shape;
  if (!kept.empty() && kept.front().shape != shape)
    fail("{}: a grid needs pictures of one size, but there are {} and {}; name a folder with --out FOLDER",
         out_.string(), kept.front().shape.text(), shape.text());
  if (count_ * shape.height * shape.width > PictureLimits().max_pixels)
    fail("{}: {} pictures of {} are too many pixels for a grid; name a folder with --out FOLDER", out_.string(), count_,
         shape.text());
  kept.push_back(picture);
}

template <class T>
void PictureOutput<T>::add(std::span<const BasicImage<T>> before, std::span<const BasicImage<T>> pictures) {
  if (!folder_) {
    for (const BasicImage<T>& picture : before) keep(picture, before_);
    for (const BasicImage<T>& picture : pictures) keep(picture, pictures_);
    return;
  }
  for (const BasicImage<T>& picture : pictures) {
    const std::string name = names_.empty() ? fmt::format("{:06}", done_) : names_[static_cast<std::size_t>(done_)];
    write_png(folder_->path() / (name + ".png"), picture);
    ++done_;
  }
}

template <class T>
void PictureOutput<T>::finish() {
  if (folder_)
    folder_->publish();
  else
    write_png(out_, before_.empty() ? picture_grid(pictures_) : comparison_grid(before_, pictures_), text_);
}

template class PictureOutput<std::uint8_t>;
template class PictureOutput<std::uint16_t>;

}  // namespace gesso
