#include "train/byte_stream.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace gesso {

struct ByteStream::Inflate {
  z_stream stream{};
  bool ended = false;

  Inflate() {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream, kGzipOnly) != Z_OK) fail(ErrorKind::memory, "zlib: no memory for unpacking");
  }
  ~Inflate() { inflateEnd(&stream); }
};

ByteStream::ByteStream(std::span<const std::byte> file, std::string source) : rest_(file), source_(std::move(source)) {
  if (file.size() >= 2 && file[0] == std::byte{0x1F} && file[1] == std::byte{0x8B})
    inflate_ = std::make_unique<Inflate>();
}

ByteStream::~ByteStream() = default;

// Unpacks as much as there is; returns how many bytes. zlib counts in 32 bits, so it is fed in pieces.
std::size_t ByteStream::unpack(std::span<std::byte> to) {
  constexpr std::size_t kPiece = std::size_t{1} << 30;
  z_stream& stream = inflate_->stream;
  std::size_t done = 0;
  while (!inflate_->ended && done < to.size()) {
    const auto room = static_cast<uInt>(std::min(to.size() - done, kPiece));
    const auto given = static_cast<uInt>(std::min(rest_.size(), kPiece));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(rest_.data()));  // zlib only reads it
    stream.avail_in = given;
    stream.next_out = reinterpret_cast<Bytef*>(to.data() + done);
    stream.avail_out = room;
    const int status = inflate(&stream, Z_NO_FLUSH);
    done += room - stream.avail_out;
    rest_ = rest_.subspan(given - stream.avail_in);
    if (status == Z_BUF_ERROR || (status == Z_OK && rest_.empty() && stream.avail_out > 0))
      fail(ErrorKind::data, "{}: the gzip data are cut off after {} unpacked bytes", source_, delivered_ + done);
    if (status != Z_OK && status != Z_STREAM_END)
      fail(ErrorKind::data, "{}: the gzip data are damaged after {} unpacked bytes: {}", source_, delivered_ + done,
           stream.msg != nullptr ? stream.msg : zError(status));
    inflate_->ended = status == Z_STREAM_END;
  }
  return done;
}

void ByteStream::read(std::span<std::byte> to) {
  std::size_t got = 0;
  if (is_gzip()) {
    got = unpack(to);
  } else {
    got = std::min(to.size(), rest_.size());
    std::copy_n(rest_.begin(), got, to.begin());
    rest_ = rest_.subspan(got);
  }
  if (got < to.size())
    fail(ErrorKind::data, "{}: ends after {} bytes of content, {} more were expected", source_, delivered_ + got,
         to.size() - got);
  delivered_ += got;
}

void ByteStream::expect_end() {
  std::byte extra{};
  if (is_gzip() && unpack({&extra, 1}) != 0)
    fail(ErrorKind::data, "{}: more content than the {} bytes expected", source_, delivered_);
  if (!rest_.empty())
    fail(ErrorKind::data, "{}: {} bytes behind the end of the content of {} bytes", source_, rest_.size(), delivered_);
}

}  // namespace gesso
