// Where made pictures go: a folder of PNGs, or one grid to look at.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "train/comparison.h"
#include "train/files.h"
#include "train/image.h"
#include "train/png.h"

namespace gesso {

// Whether `out` names a grid (it ends in .png, of any case) or else a folder.
bool names_grid(const Path& out);

// Nothing appears under its name before finish().
template <class T>
class PictureOutput {
 public:
  static constexpr std::int64_t kMostInGrid = 1024;

  // text: for every file. names: of the files in a folder, without .png; none: their numbers. Throws where a folder is
  // there already, where a grid is to hold too many, and where `out` ends as pictures of other formats do.
  PictureOutput(const Path& out, GridKind kind, std::int64_t count, std::vector<std::string> names,
                const PngText& text);
  // Before the work on pictures of that shape. Throws where the others have another one, or where so many are more than
  // a grid may hold.
  void expect(const ImageShape& shape);
  // The next pictures. before: what they were made from, for a comparison.
  void add(std::span<const BasicImage<T>> before, std::span<const BasicImage<T>> pictures);
  void finish();

 private:
  Path out_;
  GridKind kind_;
  std::int64_t count_, done_ = 0;
  ImageShape expected_;  // of the pictures in a grid
  std::vector<std::string> names_;
  PngText text_;
  std::optional<StagedDirectory> folder_;         // none: a grid
  std::vector<BasicImage<T>> before_, pictures_;  // of a grid
};

}  // namespace gesso
