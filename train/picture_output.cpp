#include "train/picture_output.h"

#include <utility>

#include "core/error.h"
#include "train/picture.h"

namespace gesso {

bool names_grid(const Path& out) { return ending_of(out) == ".png"; }

template <class T>
PictureOutput<T>::PictureOutput(const Path& out, GridKind kind, std::int64_t count, std::vector<std::string> names,
                                const PngText& text)
    : out_(out), kind_(kind), count_(count), names_(std::move(names)), text_(text) {
  check_named_for_png(out);
  if (!names_grid(out))
    folder_.emplace(out);
  else if (count > kMostInGrid)
    fail("{}: a grid of {} pictures; at most {} fit in one, so name fewer, or a folder with --out FOLDER", out.string(),
         count, kMostInGrid);
}

template <class T>
void PictureOutput<T>::expect(const ImageShape& shape) {
  if (folder_ || shape == expected_) return;
  if (expected_.count() > 0)
    fail("{}: a grid needs pictures of one size, but there are {} and {}; name a folder with --out FOLDER",
         out_.string(), expected_.text(), shape.text());
  check_grid(
      kind_, count_, shape,
      count_ == 1 ? "name a folder with --out FOLDER" : "take fewer pictures, or name a folder with --out FOLDER");
  expected_ = shape;
}

template <class T>
void PictureOutput<T>::add(std::span<const BasicImage<T>> before, std::span<const BasicImage<T>> pictures) {
  if (!folder_) {
    before_.insert(before_.end(), before.begin(), before.end());
    pictures_.insert(pictures_.end(), pictures.begin(), pictures.end());
    return;
  }
  for (const BasicImage<T>& picture : pictures) {
    const std::string name = names_.empty() ? fmt::format("{:06}", done_) : names_[static_cast<std::size_t>(done_)];
    write_png(folder_->path() / (name + ".png"), picture, text_);
    ++done_;
  }
}

template <class T>
void PictureOutput<T>::finish() {
  if (folder_)
    folder_->publish();
  else
    write_png(out_, kind_ == GridKind::pictures ? picture_grid(pictures_) : comparison_grid(before_, pictures_), text_);
}

template class PictureOutput<std::uint8_t>;
template class PictureOutput<std::uint16_t>;

}  // namespace gesso
