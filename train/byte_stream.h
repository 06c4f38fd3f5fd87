// The content of a file, plain or packed by gzip or xz, whole or piece by piece, in order: told apart by the first
// bytes, never by the name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "train/file_calls.h"

namespace gesso {

// `file` must outlive the stream; `source` starts the messages. All errors are ErrorKind::data, but for memory.
class ByteStream {
 public:
  ByteStream(std::span<const std::byte> file, std::string source);
  ~ByteStream();
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  bool is_packed() const { return unpacker_ != nullptr; }
  // Fills `to`; throws if the content ends before or is damaged.
  void read(std::span<std::byte> to);
  // Fills `to` as far as the content goes; returns the bytes read. Throws if it is damaged or cut off.
  std::size_t read_some(std::span<std::byte> to);
  // Throws unless the content and the file end here (with the right checksum, where packed).
  void expect_end();

  class Unpacker;  // of one format

 private:
  std::size_t unpack(std::span<std::byte> to);

  std::span<const std::byte> rest_;
  std::string source_;
  std::uint64_t delivered_ = 0;
  std::unique_ptr<Unpacker> unpacker_;
  bool ended_ = false;  // of what is packed
};

// The file of this name in the directory, plain or else with .xz or .gz behind it; empty where there is none.
Path find_plain_or_packed(const Path& directory, const std::string& name);

}  // namespace gesso
