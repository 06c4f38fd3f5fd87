#include "train/png.h"

#include <png.h>

#include <bit>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "core/error.h"
#include "train/exif.h"

namespace gesso {
namespace {

// libpng leaves by longjmp, which skips destructors. So it is only called from bodies given to contained(), in whose
// frames (and in those of the callbacks) nothing has one; what must be freed lives outside.
struct Failure {
  char words[200] = "";
  bool no_memory = false;
};

void on_error(png_structp png, png_const_charp words) {
  auto& failure = *static_cast<Failure*>(png_get_error_ptr(png));
  std::strncpy(failure.words, words, sizeof failure.words - 1);
  png_longjmp(png, 1);
}
void on_warning(png_structp, png_const_charp) {}  // damage that matters is an error; odd ancillary chunks are skipped

void* allocate(png_structp png, png_alloc_size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory == nullptr) static_cast<Failure*>(png_get_mem_ptr(png))->no_memory = true;
  return memory;
}

// Of a chunk above its own limits the library does no more than warn, and takes the memory all the same, whatever
// the file holds. Without it, it passes over the chunk. A row of a million pixels has as much.
constexpr png_alloc_size_t kMostBytes = 8 << 20;
void* allocate_for_reading(png_structp png, png_alloc_size_t bytes) {
  return bytes > kMostBytes ? nullptr : allocate(png, bytes);
}
void release(png_structp, void* memory) { std::free(memory); }

// False where libpng gave up.
template <class Body>
bool contained(png_structp png, Body body) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  body();
  return true;
}

constexpr std::size_t kChunkNameBytes = 5;  // with the NUL behind it
constexpr png_byte kUnwanted[] = "tEXt\0zTXt\0iTXt\0iCCP\0sPLT";

struct Input {
  std::span<const std::byte> rest;
};
void read_bytes(png_structp png, png_bytep to, std::size_t count) {
  auto& input = *static_cast<Input*>(png_get_io_ptr(png));
  if (count > input.rest.size()) png_error(png, "the file is cut off");
  std::memcpy(to, input.rest.data(), count);
  input.rest = input.rest.subspan(count);
}

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& source)
      : source_(source), file_bytes_(bytes.size()), input_{bytes} {
    png_ = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &failure_, on_error, on_warning, &failure_,
                                    allocate_for_reading, release);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      fail(ErrorKind::memory, "{}: no memory for reading a PNG", source);
    }
  }
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Returns the shape that the rows will have: with 2 or 4 channels where there is alpha.
  ImageShape read_header(int bits, const PictureLimits& limits) {
    run([&] {
      png_set_read_fn(png_, &input_, read_bytes);
      png_set_user_limits(png_, 0x7FFFFFFF, 0x7FFFFFFF);  // ours, below, say more
      // Each of these may unpack to as much as is allowed, and none is wanted.
      png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, kUnwanted,
                                  static_cast<int>(sizeof kUnwanted / kChunkNameBytes));
      png_read_info(png_, info_);
    });
    const std::int64_t width = png_get_image_width(png_, info_), height = png_get_image_height(png_, info_);
    check_limits(source_, height, width, limits);
    // Deflate packs at most 1032 to 1.
    if (static_cast<std::uint64_t>(height) * png_get_rowbytes(png_, info_) / 1032 > file_bytes_)
      fail(ErrorKind::data, "{}: {}x{} pixels cannot come from {} bytes", source_, width, height, file_bytes_);
    run([&] {
      if (bits == 16) {
        png_set_expand_16(png_);
        if constexpr (std::endian::native == std::endian::little) png_set_swap(png_);
      } else {
        png_set_expand(png_);
        png_set_scale_16(png_);
      }
      passes_ = png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
    });
    return {height, width, png_get_channels(png_, info_)};
  }
  template <class T>
  void read_rows(BasicImage<T>& image) {
    const auto row_values = static_cast<std::size_t>(image.shape.width * image.shape.channels);
    const auto rows = static_cast<std::size_t>(image.shape.height);
    run([&] {
      for (int pass = 0; pass < passes_; ++pass)
        for (std::size_t y = 0; y < rows; ++y)
          png_read_row(png_, reinterpret_cast<png_bytep>(image.pixels.data() + y * row_values), nullptr);
      png_read_end(png_, info_);
    });
  }
  // After the rows: the chunk may stand before them or behind.
  Orientation orientation() {
    png_bytep exif = nullptr;
    png_uint_32 size = 0;
    run([&] {
      if (png_get_eXIf_1(png_, info_, &size, &exif) == 0) size = 0;
    });
    return exif_orientation({reinterpret_cast<const std::byte*>(exif), size});
  }

 private:
  template <class Body>
  void run(Body body) {
    const bool done = contained(png_, body);
    if (failure_.no_memory) fail(ErrorKind::memory, "{}: no memory for reading a PNG", source_);
    if (!done) fail(ErrorKind::data, "{}: not a readable PNG: {}", source_, failure_.words);
  }

  const std::string& source_;
  std::size_t file_bytes_;
  Input input_;
  Failure failure_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int passes_ = 1;
};

void append_bytes(png_structp png, png_bytep from, std::size_t count) {
  auto& output = *static_cast<std::vector<std::byte>*>(png_get_io_ptr(png));
  auto& failure = *static_cast<Failure*>(png_get_error_ptr(png));
  try {
    const auto* bytes = reinterpret_cast<const std::byte*>(from);
    output.insert(output.end(), bytes, bytes + count);
  } catch (const std::bad_alloc&) {
    failure.no_memory = true;  // libpng's frames must not see an exception
  }
  if (failure.no_memory) png_error(png, "out of memory");
}

class Writer {
 public:
  Writer() {
    png_ =
        png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &failure_, on_error, on_warning, &failure_, allocate, release);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_write_struct(&png_, nullptr);
      fail(ErrorKind::memory, "png: no memory for writing");
    }
  }
  ~Writer() { png_destroy_write_struct(&png_, &info_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  template <class T>
  void write(const BasicImage<T>& image, std::vector<png_text>& text, std::vector<std::byte>& output) {
    const auto width = static_cast<png_uint_32>(image.shape.width),
               height = static_cast<png_uint_32>(image.shape.height);
    const std::size_t row_values = width * static_cast<std::size_t>(image.shape.channels);
    const int colour = image.shape.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY;
    const bool done = contained(png_, [&] {
      png_set_write_fn(png_, &output, append_bytes, nullptr);
      png_set_IHDR(png_, info_, width, height, 8 * sizeof(T), colour, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                   PNG_FILTER_TYPE_DEFAULT);
      png_set_text(png_, info_, text.data(), static_cast<int>(text.size()));
      png_write_info(png_, info_);
      if (sizeof(T) == 2) png_set_swap(png_);  // files are big-endian
      for (std::size_t y = 0; y < height; ++y)
        png_write_row(png_, reinterpret_cast<png_const_bytep>(image.pixels.data() + y * row_values));
      png_write_end(png_, nullptr);
    });
    if (failure_.no_memory) fail(ErrorKind::memory, "png: no memory for writing a picture of {}", image.shape.text());
    if (!done) fail("png: cannot write a picture of {}: {}", image.shape.text(), failure_.words);
  }

 private:
  Failure failure_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

template <class T>
BasicImage<T> decode_png(std::span<const std::byte> bytes, const std::string& source, const PictureLimits& limits) {
  Reader reader(bytes, source);
  BasicImage<T> image(reader.read_header(8 * sizeof(T), limits));
  reader.read_rows(image);
  if (image.shape.channels % 2 == 0) lay_over_white(image);
  return upright(std::move(image), reader.orientation());
}
template Image decode_png(std::span<const std::byte>, const std::string&, const PictureLimits&);
template Image16 decode_png(std::span<const std::byte>, const std::string&, const PictureLimits&);

ImageShape png_shape(std::span<const std::byte> bytes, const std::string& source, const PictureLimits& limits) {
  ImageShape shape = Reader(bytes, source).read_header(8, limits);
  shape.channels = shape.channels < 3 ? 1 : 3;  // without alpha
  return shape;
}

template <class T>
std::vector<std::byte> encode_png(const BasicImage<T>& image, const PngText& text) {
  const ImageShape& shape = image.shape;
  if (shape.channels != 1 && shape.channels != 3)
    fail("png: a picture of {} has {} channels; 1 or 3 can be written", shape.text(), shape.channels);
  if (shape.height < 1 || shape.width < 1 || shape.height > 0x7FFFFFFF || shape.width > 0x7FFFFFFF ||
      image.pixels.size() != static_cast<std::size_t>(shape.count()))
    fail("png: a picture of {} cannot be written from {} values", shape.text(), image.pixels.size());
  std::vector<png_text> chunks;
  for (const auto& [key, value] : text) {
    png_text chunk{};
    chunk.compression = PNG_ITXT_COMPRESSION_NONE;
    chunk.key = const_cast<char*>(key.c_str());  // libpng copies both
    chunk.text = const_cast<char*>(value.c_str());
    chunk.itxt_length = value.size();
    chunks.push_back(chunk);
  }
  std::vector<std::byte> output;
  Writer().write(image, chunks, output);
  return output;
}
template std::vector<std::byte> encode_png(const Image&, const PngText&);
template std::vector<std::byte> encode_png(const Image16&, const PngText&);

template <class T>
void write_png(const Path& path, const BasicImage<T>& image, const PngText& text) {
  write_file_atomically(path, encode_png(image, text));
}
template void write_png(const Path&, const Image&, const PngText&);
template void write_png(const Path&, const Image16&, const PngText&);

}  // namespace gesso
