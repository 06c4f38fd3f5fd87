#include "train/byte_stream.h"

#include <lzma.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace gesso {
namespace {

enum class Progress : std::uint8_t { more, stuck, ended, damaged };
struct Step {
  Progress progress;
  std::size_t taken = 0, made = 0;  // bytes of input and output
  std::string_view reason = {};     // damaged: why
};

}  // namespace

class ByteStream::Unpacker {
 public:
  virtual ~Unpacker() = default;
  virtual std::string_view format() const = 0;
  // stuck: nothing can be made of this input.
  virtual Step step(std::span<const std::byte> from, std::span<std::byte> to) = 0;
  // Files of this format may follow each other in one, their contents as well (RFC 1952, 2.2; cat a.xz b.xz). Of what
  // lies behind one of them: whether it begins another, for which the unpacker then is ready.
  virtual bool begins_next(std::span<const std::byte> rest) = 0;
};

namespace {

[[noreturn]] void fail_without_memory(std::string_view library) {
  fail(ErrorKind::memory, "{}: no memory for unpacking", library);
}

bool starts_with(std::span<const std::byte> file, std::span<const std::uint8_t> magic) {
  return file.size() >= magic.size() && std::ranges::equal(file.first(magic.size()), std::as_bytes(magic));
}
bool is_gzip(std::span<const std::byte> file) {
  constexpr std::array<std::uint8_t, 2> kMagic{0x1F, 0x8B};
  return starts_with(file, kMagic);
}
bool is_xz(std::span<const std::byte> file) {
  constexpr std::array<std::uint8_t, 6> kMagic{0xFD, '7', 'z', 'X', 'Z', 0};
  return starts_with(file, kMagic);
}

class Gzip final : public ByteStream::Unpacker {
 public:
  Gzip() {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) fail_without_memory("zlib");
  }
  ~Gzip() override { inflateEnd(&stream_); }
  std::string_view format() const override { return "gzip"; }

  Step step(std::span<const std::byte> from, std::span<std::byte> to) override {
    constexpr std::size_t kPiece = std::size_t{1} << 30;  // zlib counts in 32 bits
    const auto given = static_cast<uInt>(std::min(from.size(), kPiece));
    const auto room = static_cast<uInt>(std::min(to.size(), kPiece));
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));  // zlib only reads it
    stream_.avail_in = given;
    stream_.next_out = reinterpret_cast<Bytef*>(to.data());
    stream_.avail_out = room;
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) fail_without_memory("zlib");
    Step step{.progress = Progress::damaged, .taken = given - stream_.avail_in, .made = room - stream_.avail_out};
    if (status == Z_OK) step.progress = Progress::more;
    if (status == Z_BUF_ERROR) step.progress = Progress::stuck;
    if (status == Z_STREAM_END) step.progress = Progress::ended;
    if (step.progress == Progress::damaged) step.reason = stream_.msg != nullptr ? stream_.msg : zError(status);
    return step;
  }

  bool begins_next(std::span<const std::byte> rest) override { return is_gzip(rest) && inflateReset(&stream_) == Z_OK; }

 private:
  z_stream stream_{};
};

class Xz final : public ByteStream::Unpacker {
 public:
  Xz() { begin(); }
  ~Xz() override { lzma_end(&stream_); }
  std::string_view format() const override { return "xz"; }

  Step step(std::span<const std::byte> from, std::span<std::byte> to) override {
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(from.data());
    stream_.avail_in = from.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(to.data());
    stream_.avail_out = to.size();
    const lzma_ret status = lzma_code(&stream_, LZMA_RUN);
    if (status == LZMA_MEM_ERROR) fail_without_memory("liblzma");
    Step step{
        .progress = Progress::damaged, .taken = from.size() - stream_.avail_in, .made = to.size() - stream_.avail_out};
    if (status == LZMA_OK) step.progress = Progress::more;
    if (status == LZMA_BUF_ERROR) step.progress = Progress::stuck;
    if (status == LZMA_STREAM_END) step.progress = Progress::ended;
    if (step.progress == Progress::damaged) step.reason = reason(status);
    return step;
  }

  bool begins_next(std::span<const std::byte> rest) override {
    if (!is_xz(rest)) return false;
    begin();
    return true;
  }

 private:
  // liblzma keeps its memory for the next.
  void begin() {
    if (lzma_stream_decoder(&stream_, kMaxMemory, 0) != LZMA_OK) fail_without_memory("liblzma");
  }

  static constexpr std::uint64_t kMaxMemory = std::uint64_t{128} << 20;  // xz -9 asks for 65 MiB

  static std::string_view reason(lzma_ret status) {
    switch (status) {
      case LZMA_MEMLIMIT_ERROR:
        return "its dictionary is above the limit of 128 MiB";
      case LZMA_FORMAT_ERROR:
      case LZMA_OPTIONS_ERROR:
        return "a header that this liblzma does not know";
      default:
        return "its data do not match their checksums";
    }
  }
  lzma_stream stream_ = LZMA_STREAM_INIT;
};

std::unique_ptr<ByteStream::Unpacker> unpacker_of(std::span<const std::byte> file) {
  if (is_gzip(file)) return std::make_unique<Gzip>();
  if (is_xz(file)) return std::make_unique<Xz>();
  return nullptr;
}

}  // namespace

ByteStream::ByteStream(std::span<const std::byte> file, std::string source)
    : rest_(file), source_(std::move(source)), unpacker_(unpacker_of(file)) {}

ByteStream::~ByteStream() = default;

// Unpacks as much as there is; returns how many bytes.
std::size_t ByteStream::unpack(std::span<std::byte> to) {
  std::size_t done = 0;
  while (!ended_ && done < to.size()) {
    const Step step = unpacker_->step(rest_, to.subspan(done));
    done += step.made;
    rest_ = rest_.subspan(step.taken);
    const bool starved = step.progress == Progress::more && rest_.empty() && done < to.size();
    if (step.progress == Progress::stuck || starved)
      fail(ErrorKind::data, "{}: the {} data are cut off after {} unpacked bytes", source_, unpacker_->format(),
           delivered_ + done);
    if (step.progress == Progress::damaged)
      fail(ErrorKind::data, "{}: the {} data are damaged after {} unpacked bytes: {}", source_, unpacker_->format(),
           delivered_ + done, step.reason);
    ended_ = step.progress == Progress::ended && !unpacker_->begins_next(rest_);
  }
  return done;
}

std::size_t ByteStream::read_some(std::span<std::byte> to) {
  std::size_t got = 0;
  if (is_packed()) {
    got = unpack(to);
  } else {
    got = std::min(to.size(), rest_.size());
    std::copy_n(rest_.begin(), got, to.begin());
    rest_ = rest_.subspan(got);
  }
  delivered_ += got;
  return got;
}

void ByteStream::read(std::span<std::byte> to) {
  const std::size_t got = read_some(to);
  if (got < to.size())
    fail(ErrorKind::data, "{}: ends after {} bytes of content, {} more were expected", source_, delivered_,
         to.size() - got);
}

void ByteStream::expect_end() {
  std::byte extra{};
  if (is_packed() && unpack({&extra, 1}) != 0)
    fail(ErrorKind::data, "{}: more content than the {} bytes expected", source_, delivered_);
  if (!rest_.empty())
    fail(ErrorKind::data, "{}: {} bytes behind the end of the content of {} bytes", source_, rest_.size(), delivered_);
}

Path find_plain_or_packed(const Path& directory, const std::string& name) {
  std::error_code ignored;
  for (const char* ending : {"", ".xz", ".gz"})
    if (Path path = directory / (name + ending); std::filesystem::exists(path, ignored)) return path;
  return {};
}

}  // namespace gesso
