// The content of a file, gzip or plain, in order: told apart by the first two bytes, never by the name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace gesso {

// `file` must outlive the stream; `source` starts the messages. All errors are ErrorKind::data.
class ByteStream {
 public:
  ByteStream(std::span<const std::byte> file, std::string source);
  ~ByteStream();
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  bool is_gzip() const { return inflate_ != nullptr; }
  // Fills `to`; throws if the content ends before or is damaged.
  void read(std::span<std::byte> to);
  // Throws unless the content and the file end here (with the right checksum, where packed).
  void expect_end();

 private:
  struct Inflate;
  std::size_t unpack(std::span<std::byte> to);

  std::span<const std::byte> rest_;
  std::string source_;
  std::uint64_t delivered_ = 0;
  std::unique_ptr<Inflate> inflate_;
};

}  // namespace gesso
