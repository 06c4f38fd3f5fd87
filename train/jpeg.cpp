#include "train/jpeg.h"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <utility>

// libjpeg's header needs size_t and FILE from before it.
#include <jpeglib.h>

#include "core/error.h"
#include "train/exif.h"

namespace gesso {
namespace {

// libjpeg leaves by longjmp, which skips destructors. So it is only called from bodies given to contained(), in whose
// frames (and in those of the callbacks) nothing has one; what must be freed lives outside.
struct Failure {
  jpeg_error_mgr manager;  // first: the library hands back a pointer to it
  std::jmp_buf leave;
  char words[JMSG_LENGTH_MAX] = "";
};

[[noreturn]] void on_error(j_common_ptr jpeg) {
  auto& failure = *reinterpret_cast<Failure*>(jpeg->err);
  failure.manager.format_message(jpeg, failure.words);
  std::longjmp(failure.leave, 1);
}
// A negative level is a warning: damage that the library would paint over.
void on_message(j_common_ptr jpeg, int level) {
  if (level < 0) on_error(jpeg);
}

// A progressive file may repeat its scans without end, each of which costs the whole picture again.
struct ScanLimit {
  static constexpr int kMost = 100;  // encoders make about ten

  jpeg_progress_mgr manager;  // first: the library hands back a pointer to it
  bool exceeded = false;
};
void on_progress(j_common_ptr jpeg) {
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= ScanLimit::kMost) return;
  reinterpret_cast<ScanLimit*>(jpeg->progress)->exceeded = true;
  std::longjmp(reinterpret_cast<Failure*>(jpeg->err)->leave, 1);
}

// False where libjpeg gave up.
template <class Body>
bool contained(Failure& failure, Body body) {
  if (setjmp(failure.leave) != 0) return false;
  body();
  return true;
}

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& source) : source_(source), file_(bytes) {
    jpeg_.err = jpeg_std_error(&failure_.manager);
    failure_.manager.error_exit = on_error;
    failure_.manager.emit_message = on_message;
    scans_.manager.progress_monitor = on_progress;
    run([&] { jpeg_create_decompress(&jpeg_); });
    jpeg_.progress = &scans_.manager;
  }
  ~Reader() { jpeg_destroy_decompress(&jpeg_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Returns the shape that the rows will have: with 4 channels for CMYK.
  ImageShape read_header(const PictureLimits& limits) {
    run([&] {
      jpeg_mem_src(&jpeg_, reinterpret_cast<const unsigned char*>(file_.data()), file_.size());
      jpeg_save_markers(&jpeg_, kExifMarker, 0xFFFF);
      jpeg_read_header(&jpeg_, TRUE);
    });
    const std::int64_t width = jpeg_.image_width, height = jpeg_.image_height;
    check_limits(source_, height, width, limits);
    // In a Huffman code each 8x8 block takes a bit at least; an arithmetic one may take none. The fewest blocks: two
    // components, one 4 times as coarse in height, the other in width.
    constexpr std::int64_t kMostPixelsAByte = 8 * 8 * 8 * 2;
    if (!jpeg_.arith_code && width * height / kMostPixelsAByte > std::ssize(file_))
      fail(ErrorKind::data, "{}: {}x{} pixels cannot come from {} bytes", source_, width, height, file_.size());
    orientation_ = find_orientation();
    switch (jpeg_.jpeg_color_space) {
      case JCS_GRAYSCALE:
        jpeg_.out_color_space = JCS_GRAYSCALE;
        return {height, width, 1};
      case JCS_RGB:
      case JCS_YCbCr:
        jpeg_.out_color_space = JCS_RGB;
        return {height, width, 3};
      case JCS_CMYK:
      case JCS_YCCK:
        jpeg_.out_color_space = JCS_CMYK;
        return {height, width, 4};
      default:
        fail(ErrorKind::data,
             "{}: a JPEG of {} components in an unknown colour space; grey, RGB, YCbCr, CMYK and YCCK "
             "are read",
             source_, jpeg_.num_components);
    }
  }
  void read_rows(Image& image) {
    const auto row_bytes = static_cast<std::size_t>(image.shape.width * image.shape.channels);
    run([&] {
      jpeg_start_decompress(&jpeg_);
      while (jpeg_.output_scanline < jpeg_.output_height) {
        JSAMPROW row = image.pixels.data() + jpeg_.output_scanline * row_bytes;
        jpeg_read_scanlines(&jpeg_, &row, 1);
      }
      jpeg_finish_decompress(&jpeg_);
    });
  }
  Orientation orientation() const { return orientation_; }
  // Adobe's programs store CMYK as what is left of white, and say so by their marker.
  bool inverted() const { return jpeg_.saw_Adobe_marker != 0; }

 private:
  static constexpr int kExifMarker = JPEG_APP0 + 1;

  template <class Body>
  void run(Body body) {
    if (contained(failure_, body)) return;
    if (scans_.exceeded)
      fail(ErrorKind::data, "{}: more than {} scans, the limit for a progressive JPEG", source_, ScanLimit::kMost);
    fail(ErrorKind::data, "{}: not a readable JPEG: {}", source_, failure_.words);
  }

  // The library forgets the markers with the last row.
  Orientation find_orientation() const {
    constexpr std::array<unsigned char, 6> kExif = {'E', 'x', 'i', 'f', 0, 0};
    for (const jpeg_marker_struct* marker = jpeg_.marker_list; marker != nullptr; marker = marker->next) {
      const std::span data(marker->data, marker->data_length);
      if (data.size() > kExif.size() && std::equal(kExif.begin(), kExif.end(), data.begin()))
        return exif_orientation(std::as_bytes(data.subspan(kExif.size())));
    }
    return Orientation::top_left;
  }

  const std::string& source_;
  std::span<const std::byte> file_;
  Orientation orientation_ = Orientation::top_left;
  Failure failure_{};
  ScanLimit scans_{};
  jpeg_decompress_struct jpeg_{};
};

// [H,W,4] cyan, magenta, yellow, key to [H,W,3], each ink taking its part of the light.
void to_rgb(Image& image, bool inverted) {
  const std::uint8_t* from = image.pixels.data();
  std::uint8_t* to = image.pixels.data();  // never ahead of `from`
  const unsigned flip = inverted ? 0 : 255;
  for (std::size_t pixels = image.pixels.size() / 4; pixels > 0; --pixels, from += 4) {
    const unsigned key = from[3] ^ flip;
    for (int c = 0; c < 3; ++c) *to++ = static_cast<std::uint8_t>(((from[c] ^ flip) * key + 127) / 255);
  }
  image.shape.channels = 3;
  image.pixels.resize(static_cast<std::size_t>(image.shape.count()));
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, const std::string& source, const PictureLimits& limits) {
  Reader reader(bytes, source);
  Image image(reader.read_header(limits));
  reader.read_rows(image);
  if (image.shape.channels == 4) to_rgb(image, reader.inverted());
  return upright(std::move(image), reader.orientation());
}

ImageShape jpeg_shape(std::span<const std::byte> bytes, const std::string& source, const PictureLimits& limits) {
  ImageShape shape = Reader(bytes, source).read_header(limits);
  shape.channels = std::min<std::int64_t>(shape.channels, 3);
  return shape;
}

}  // namespace gesso
