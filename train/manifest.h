// What a checkpoint consists of, written last: names, sizes and checksums of its files. The last line of the text is
// the checksum of all before it, so that no bit of it changes unseen.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct XXH3_state_s;

namespace gesso {

struct Manifest {
  // Of the layout of a checkpoint. Those of version 1 had no manifest.
  static constexpr std::int64_t kVersion = 2;

  struct File {
    std::string name;  // without directories
    std::uint64_t bytes = 0;
    std::uint64_t checksum = 0;  // of its content
  };
  std::int64_t version = kVersion;
  std::int64_t step = 0;  // how many were done
  std::vector<File> files = {};
};

// XXH3 (64 bits) of bytes that come piece by piece.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  void add(std::span<const std::byte> bytes);
  std::uint64_t value() const;

 private:
  XXH3_state_s* state_;
};
std::uint64_t checksum_of(std::span<const std::byte> bytes);

std::string text_of(const Manifest& manifest);
// Throws ErrorKind::data, saying what is wrong, on any text that text_of() did not write. Of a version other than
// kVersion it is said only that it is one.
Manifest parse_manifest(std::string_view text);

}  // namespace gesso
