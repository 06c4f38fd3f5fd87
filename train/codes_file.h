// Pictures as codes, in a file: safetensors with
//   codes   [N,h,w] i32  which vector of the codebook stands where
//   labels  [N] i32      the pictures' classes, where their data set has some
//   sizes   [N,2] i32    height and width of each picture that came from a file of its own
// and metadata under "gesso." that say which tokenizer they belong to. What comes from a file is hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "train/image.h"
#include "train/safetensors.h"
#include "train/tokenizer.h"

namespace gesso {

struct CodesInfo {
  std::string tokenizer;               // tokenizer_hash()
  std::int64_t codebook = 0;           // codes are below it
  std::int64_t images = 0;             // N
  std::int64_t height = 0, width = 0;  // h, w
  ImageShape image;                    // of all pictures; where they have sizes of their own, what holds each
  int bits = 8;                        // of a value of a pixel: 8 or 16
  std::string made_by;                 // gesso's version
  bool has_labels = false;
  std::vector<std::string> names;  // one a picture that came from a file of its own; else none
};

// How many pictures' names a file may hold.
inline constexpr std::size_t kMostNames = 65536;
// Names for what is made of these files: each without folder and ending, harmless as the name of a file, and no two
// alike ("cat", "cat-2"). Throws where there are more than kMostNames.
std::vector<std::string> picture_names(std::span<const std::string> paths);

// Writes codes as they come; the file appears with finish(), whole.
class CodesWriter {
 public:
  // Throws ErrorKind::usage on more than CodesFile reads.
  CodesWriter(const Path& path, CodesInfo info);
  void add(const Codes& codes);
  // labels: one a picture, or none; sizes: height and width of each picture in turn where it has a name, or none.
  void finish(std::span<const std::int32_t> labels, std::span<const std::int32_t> sizes);

 private:
  CodesInfo info_;
  std::optional<SafetensorsWriter> writer_;  // there once the limits are kept
};

// A codes file, its codes left on disk. All of its errors are ErrorKind::data and start with the path.
class CodesFile {
 public:
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 36;

  // Throws where tensors or metadata are missing, or are not as they must be, or contradict each other.
  explicit CodesFile(const Path& path);
  const CodesInfo& info() const { return info_; }
  // Height and width of one picture.
  PictureSize size(std::int64_t picture) const;

  // Throws, naming both hashes, where the codes are another tokenizer's, and where they do not make pictures of that
  // shape.
  void check_belongs(const TokenizerFacts& tokenizer) const;
  // Reads all codes once. Throws on one that is outside the codebook.
  void check_codes();
  // Of pictures [begin, begin + count). Throws as check_codes().
  Codes read(std::int64_t begin, std::int64_t count);

 private:
  SafetensorsFile file_;
  CodesInfo info_;
  std::vector<std::int32_t> sizes_;  // [N,2], or empty
};

}  // namespace gesso
