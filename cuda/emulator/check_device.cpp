// Device memory: bounds, alignment, use after release, races between the threads of a block (by clock) and between the
// blocks of a launch. Shadowed by words of 4 bytes with a mask: two threads that write different bytes of a word make
// the older write forgotten, so a race can be missed there, never invented.
#include <fmt/format.h>

#include <algorithm>

#include "cuda/emulator/check.h"

namespace gesso::emulator {
namespace {

constexpr std::size_t kWord = 4, kValidGranule = 8;

struct LastAccess {  // of one word
  std::uint32_t launch = 0, block = 0, clock = 0;
  std::uint16_t thread = 0;
  std::uint8_t bytes = 0;  // mask
};
struct WordShadow {
  LastAccess write, read;
  bool write_by_atomic = false, read_by_many_blocks = false;
};

// Pages appear as they are touched.
struct Shadow {
  MappedMemory valid{kDeviceBytes / kValidGranule};  // how many bytes of each granule may be touched
  MappedMemory words{kDeviceBytes / kWord * sizeof(WordShadow)};
};
Shadow& shadow() {
  static Shadow shared;
  return shared;
}

void check_bounds(std::size_t offset, std::size_t bytes, const char* what, Site site) {
  const std::byte* valid = shadow().valid.data();
  for (std::size_t i = offset / kValidGranule; i <= (offset + bytes - 1) / kValidGranule; ++i)
    if (std::to_integer<std::size_t>(valid[i]) < std::min(kValidGranule, offset + bytes - i * kValidGranule))
      stop(fmt::format("device memory {} of {} bytes outside any allocation: {}{}", what, bytes,
                       describe_device_address(device_base() + offset), at(site)));
  const bool is_vector = bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16;
  if (is_vector && offset % bytes)
    stop(fmt::format("misaligned {} of {} bytes in device memory{}", what, bytes, at(site)));
}

[[noreturn]] void race(const char* how, const LastAccess& other, Site site) {
  const std::string with = other.block == current->block->linear ? "between threads of this block"
                                                                 : fmt::format("with block {}", other.block);
  stop(fmt::format("race in device memory ({}) {}{}", how, with, at(site)));
}

// Whether that access, of this launch, may come before or after what this thread does now.
bool unordered(const LastAccess& other) {
  if (other.block != current->block->linear) return true;
  return other.thread != current->linear && other.clock > current->clock[other.thread];
}

void check_word(WordShadow& word, std::uint8_t bytes, Access access, Site site) {
  const auto launch = static_cast<std::uint32_t>(launch_number);
  const auto of_this_launch = [&](const LastAccess& last) { return last.launch == launch && (last.bytes & bytes); };
  const LastAccess mine{launch, current->block->linear, current->clock[current->linear],
                        static_cast<std::uint16_t>(current->linear), bytes};
  const bool both_atomic = access == Access::atomic && word.write_by_atomic;
  if (of_this_launch(word.write) && !both_atomic && unordered(word.write))
    race(access == Access::read ? "written, then read" : "written, then written", word.write, site);
  const bool was_read = of_this_launch(word.read);
  if (access == Access::read) {
    word.read_by_many_blocks = was_read && (word.read_by_many_blocks || word.read.block != mine.block);
    word.read = mine;
    return;
  }
  if (was_read && access == Access::write && (word.read_by_many_blocks || unordered(word.read)))
    race("read, then written", word.read, site);
  word.write = mine;
  word.write_by_atomic = access == Access::atomic;
}

}  // namespace

void set_usable(std::size_t offset, std::size_t bytes, bool on) {
  std::byte* valid = shadow().valid.data();
  for (std::size_t i = offset / kValidGranule; i * kValidGranule < offset + bytes; ++i) {
    const std::size_t granule = i * kValidGranule, end = std::min(kValidGranule, offset + bytes - granule);
    valid[i] = std::byte(on ? end : std::max(granule, offset) - granule);
  }
}

void check_device(std::size_t offset, std::size_t bytes, Access access, Site site) {
  check_bounds(offset, bytes, access == Access::read ? "read" : "write", site);
  auto* words = reinterpret_cast<WordShadow*>(shadow().words.data());
  for (std::size_t word = offset / kWord; word <= (offset + bytes - 1) / kWord; ++word) {
    const std::size_t first = std::max(offset, word * kWord) - word * kWord;
    const std::size_t last = std::min(offset + bytes, word * kWord + kWord) - word * kWord;
    const auto mask = static_cast<std::uint8_t>(((1u << last) - 1) & ~((1u << first) - 1));
    check_word(words[word], mask, access, site);
  }
}

}  // namespace gesso::emulator
