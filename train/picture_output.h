// Where made pictures go: a folder of PNGs, or one grid to look at.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "train/files.h"
#include "train/image.h"
#include "train/png.h"

namespace gesso {

// Whether `out` names a grid (it ends in .png) or else a folder.
bool names_grid(const Path& out);

// Nothing appears under its name before finish().
template <class T>
class PictureOutput {
 public:
  static constexpr std::int64_t kMostInGrid = 1024;

  // text: for a grid. names: of the files in a folder, without .png; none: their numbers. Throws where a folder is
  // there already, and where a grid is to hold too many.
  PictureOutput(const Path& out, std::int64_t count, std::vector<std::string> names, const PngText& text);
  // The next pictures. before: what they were made from, to be shown above them in a grid; none: nothing.
  void add(std::span<const BasicImage<T>> before, std::span<const BasicImage<T>> pictures);
  void finish();

 private:
  void keep(const BasicImage<T>& picture, std::vector<BasicImage<T>>& kept) const;

  Path out_;
  std::int64_t count_, done_ = 0;
  std::vector<std::string> names_;
  PngText text_;
  std::optional<StagedDirectory> folder_;         // none: a grid
  std::vector<BasicImage<T>> before_, pictures_;  // of a grid
};

}  // namespace gesso
