// The ways of pictures through a tokenizer: into a codes file, out of one, and both at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/codes_file.h"
#include "train/dataset.h"
#include "train/files.h"
#include "train/png.h"
#include "train/tokenizer.h"

namespace gesso {

// Where pictures come from: files, each of its own size, or else the first of a data set.
struct PictureSource {
  std::vector<std::string> files = {};
  const Dataset* data = nullptr;
  std::int64_t count = 0;   // of the data set's; 0: all
  DType dtype = DType::u8;  // what files are read as, u8 or u16; a data set says itself
};

// Writes the codes of all pictures, with the labels of a data set that has classes. Throws where pictures from files
// have no common grid of codes.
CodesInfo encode_pictures(const Tokenizer& tokenizer, const PictureSource& source, const Path& out,
                          const std::string& version);

// What became of pictures: their number, and what was written.
struct PicturesWritten {
  std::int64_t images = 0;
  bool as_grid = false;
};

// `out` ending in .png: one grid to look at, of pictures of one size. Else a folder, which must not be there yet and
// appears whole: one PNG a picture, of the bits that it came with, named as the file that it came from or by its
// number. `text` goes into every file.
//
// Of a codes file: refuses it, before anything is written, if it is another tokenizer's or holds a code outside the
// codebook.
PicturesWritten decode_pictures(const Tokenizer& tokenizer, const Path& codes, const Path& out, const PngText& text);
// Encodes and decodes; in a grid, each row of pictures above its row of reconstructions.
PicturesWritten reconstruct_pictures(const Tokenizer& tokenizer, const PictureSource& source, const Path& out,
                                     const PngText& text);

}  // namespace gesso
