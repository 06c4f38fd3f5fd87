#include "train/jpeg.h"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <utility>

// libjpeg's header needs size_t and FILE from before it.
#include <jpeglib.h>
// libjpeg's error codes need its types from before them.
#include <jerror.h>

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

// A progressive file may repeat its scans without end, each of which, with hardly a byte, costs the whole picture
// again.
struct ScanLimit {
  static constexpr std::int64_t kMost = 100;                                // encoders make about ten
  static constexpr std::int64_t kMostPixels = std::int64_t{16} * 64 << 20;  // in all scans together

  jpeg_progress_mgr manager;  // first: the library hands back a pointer to it
  std::int64_t scans = kMost;
  bool exceeded = false;
};
void on_progress(j_common_ptr jpeg) {
  auto& limit = *reinterpret_cast<ScanLimit*>(jpeg->progress);
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= limit.scans) return;
  limit.exceeded = true;
  std::longjmp(reinterpret_cast<Failure*>(jpeg->err)->leave, 1);
}

// The library would keep every such marker, and walk the list of them for each. Of the first that holds an Exif block
// this keeps where it lies in the file.
boolean on_app1(j_decompress_ptr jpeg) {
  constexpr std::array<JOCTET, 6> kExif = {'E', 'x', 'i', 'f', 0, 0};
  constexpr std::size_t kLengthBytes = 2;
  jpeg_source_mgr& source = *jpeg->src;  // holds all that is left of the file
  const std::span rest(source.next_input_byte, source.bytes_in_buffer);
  if (rest.size() < kLengthBytes) ERREXIT(jpeg, JERR_INPUT_EOF);
  const std::size_t length = static_cast<std::size_t>(rest[0]) << 8 | rest[1];  // with its own bytes
  if (length < kLengthBytes) ERREXIT(jpeg, JERR_BAD_LENGTH);
  if (length > rest.size()) ERREXIT(jpeg, JERR_INPUT_EOF);
  const auto data = rest.subspan(kLengthBytes, length - kLengthBytes);
  auto& exif = *static_cast<std::span<const std::byte>*>(jpeg->client_data);
  if (exif.empty() && data.size() > kExif.size() && std::equal(kExif.begin(), kExif.end(), data.begin()))
    exif = std::as_bytes(data.subspan(kExif.size()));
  source.next_input_byte += length;
  source.bytes_in_buffer -= length;
  return TRUE;
}

// False where libjpeg gave up.
template <class Body>
bool contained(Failure& failure, Body body) {
  if (setjmp(failure.leave) != 0) return false;
  body();
  return true;
}

// Gives back what the library holds, also where the constructor of its owner throws.
struct Decompressor : jpeg_decompress_struct {
  Decompressor() : jpeg_decompress_struct() {}
  ~Decompressor() { jpeg_destroy_decompress(this); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
};

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
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Returns the shape that the rows will have: with 4 channels for CMYK.
  ImageShape read_header(const PictureLimits& limits) {
    run([&] {
      jpeg_mem_src(&jpeg_, reinterpret_cast<const unsigned char*>(file_.data()), file_.size());
      jpeg_.client_data = &exif_;
      jpeg_set_marker_processor(&jpeg_, JPEG_APP0 + 1, on_app1);
      jpeg_read_header(&jpeg_, TRUE);
    });
    const std::int64_t width = jpeg_.image_width, height = jpeg_.image_height;
    check_limits(source_, height, width, limits);
    scans_.scans = std::min(ScanLimit::kMost, ScanLimit::kMostPixels / (height * width));
    // In a Huffman code each 8x8 block takes a bit at least; an arithmetic one may take none. The fewest blocks: two
    // components, one 4 times as coarse in height, the other in width.
    constexpr std::int64_t kMostPixelsAByte = 8 * 8 * 8 * 2;
    if (!jpeg_.arith_code && width * height / kMostPixelsAByte > std::ssize(file_))
      fail(ErrorKind::data, "{}: {}x{} pixels cannot come from {} bytes", source_, width, height, file_.size());
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
  Orientation orientation() const { return exif_orientation(exif_); }
  // Adobe's programs store CMYK as what is left of white, and say so by their marker.
  bool inverted() const { return jpeg_.saw_Adobe_marker != 0; }

 private:
  template <class Body>
  void run(Body body) {
    if (contained(failure_, body)) return;
    if (failure_.manager.msg_code == JERR_OUT_OF_MEMORY)
      fail(ErrorKind::memory, "{}: no memory for reading a JPEG", source_);
    if (scans_.exceeded)
      fail(ErrorKind::data, "{}: more than {} scans, the limit for a progressive JPEG of {}x{} pixels", source_,
           scans_.scans, jpeg_.image_width, jpeg_.image_height);
    fail(ErrorKind::data, "{}: not a readable JPEG: {}", source_, failure_.words);
  }

  const std::string& source_;
  std::span<const std::byte> file_;
  std::span<const std::byte> exif_;  // in the file; empty: there is none
  Failure failure_{};
  ScanLimit scans_{};
  Decompressor jpeg_;
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
