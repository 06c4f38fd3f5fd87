// Shared memory: bounds of each variable, bytes that nothing wrote, races by vector clocks, and targets of copies that
// are still under way. Barriers, __syncwarp and mbarriers order accesses; shuffles, votes and mma do not, as CUDA says.
#include <fmt/format.h>

#include <algorithm>

#include "cuda/emulator/check.h"

namespace gesso::emulator {
namespace {

std::string describe_shared(const Block& block, std::size_t offset) {
  if (offset < kDynamicArena) return fmt::format("byte {} of dynamic shared memory", offset);
  for (const SharedVariable& variable : block.variables)
    if (offset >= variable.offset && offset < variable.offset + variable.bytes + kRedZone)
      return fmt::format("byte {} of '{}' [{} bytes]", offset - variable.offset, variable.name, variable.bytes);
  return "no variable";
}

bool in_bounds(const Block& block, std::size_t offset, std::size_t bytes) {
  if (offset < kDynamicArena) return offset + bytes <= block.dynamic_bytes;
  return std::any_of(block.variables.begin(), block.variables.end(), [&](const SharedVariable& variable) {
    return offset >= variable.offset && offset + bytes <= variable.offset + variable.bytes;
  });
}

// One byte's access, with what an error about it needs.
class ByteCheck {
 public:
  ByteCheck(Block& block, std::size_t offset, Site site)
      : block_(block), cell_(block.shadow[offset]), offset_(offset), site_(site), me_(*current) {}

  void read() {
    if (cell_.in_flight) stop_in_flight();
    if (cell_.writer == kNoThread)
      stop(fmt::format("read of shared memory that nothing wrote: {}{}", describe_shared(block_, offset_), at(site_)));
    if (!before(cell_.writer, cell_.write_clock)) race(cell_.writer, "written, then read");
    note_reader();
  }

  void write(Access access) {
    if (cell_.in_flight) stop_in_flight();
    const bool both_atomic = access == Access::atomic && cell_.by_atomic;
    if (!both_atomic && !before(cell_.writer, cell_.write_clock)) race(cell_.writer, "written, then written");
    check_readers();
    if (cell_.readers) block_.free_read_clocks.push_back(cell_.readers);
    cell_ = ShadowCell{};
    cell_.writer = static_cast<std::uint16_t>(me_.linear);
    cell_.write_clock = now();
    cell_.by_atomic = access == Access::atomic;
  }

 private:
  std::uint32_t now() const { return me_.clock[me_.linear]; }
  // Whether what that thread did at its time `clock` happened before what this thread does now.
  bool before(std::uint16_t thread, std::uint32_t clock) const {
    return thread == kNoThread || thread == me_.linear || clock <= me_.clock[thread];
  }

  void note_reader() {
    if (cell_.readers) {
      block_.read_clocks[cell_.readers - 1u][me_.linear] = now();
    } else if (before(cell_.reader, cell_.read_clock)) {
      cell_.reader = static_cast<std::uint16_t>(me_.linear);
      cell_.read_clock = now();
    } else {
      keep_all_readers();
    }
  }

  // A second reader that is not ordered after the first: from here on, all of them count.
  void keep_all_readers() {
    if (block_.free_read_clocks.empty()) {
      block_.read_clocks.emplace_back();
      block_.free_read_clocks.push_back(static_cast<std::uint32_t>(block_.read_clocks.size()));
    }
    cell_.readers = block_.free_read_clocks.back();
    block_.free_read_clocks.pop_back();
    Clock& clock = block_.read_clocks[cell_.readers - 1u];
    clock.assign(gang->threads.size(), 0);
    clock[cell_.reader] = cell_.read_clock;
    clock[me_.linear] = now();
  }

  void check_readers() const {
    if (!cell_.readers) {
      if (!before(cell_.reader, cell_.read_clock)) race(cell_.reader, "read, then written");
      return;
    }
    const Clock& clock = block_.read_clocks[cell_.readers - 1u];
    for (std::size_t reader = 0; reader < clock.size(); ++reader)
      if (reader != me_.linear && clock[reader] > me_.clock[reader])
        race(static_cast<std::uint16_t>(reader), "read, then written");
  }

  [[noreturn]] void stop_in_flight() const {
    stop(fmt::format("access to shared memory that an unfinished asynchronous copy still writes: {}{}",
                     describe_shared(block_, offset_), at(site_)));
  }
  [[noreturn]] void race(std::uint16_t other, const char* how) const {
    const Thread& thread = gang->threads[other];
    stop(fmt::format("race in shared memory ({}) on {}, with warp {} lane {}, no barrier between{}", how,
                     describe_shared(block_, offset_), thread.warp, thread.lane, at(site_)));
  }

  Block& block_;
  ShadowCell& cell_;
  std::size_t offset_;
  Site site_;
  const Thread& me_;
};

}  // namespace

void forget_shadow(Block& block) {
  if (block.shadow.empty()) block.shadow.resize(kArena);
  const auto forget = [&](std::size_t offset, std::size_t bytes) {
    std::fill_n(block.shadow.begin() + static_cast<std::ptrdiff_t>(offset), bytes, ShadowCell{});
  };
  forget(0, block.dynamic_bytes);
  forget(kDynamicArena, block.static_used);
  block.read_clocks.clear();
  block.free_read_clocks.clear();
}

void check_shared(Block& block, std::size_t offset, std::size_t bytes, Access access, Site site) {
  if (!in_bounds(block, offset, bytes))
    stop(fmt::format("shared memory access out of bounds: {} bytes at {}{}", bytes, describe_shared(block, offset),
                     at(site)));
  for (std::size_t i = offset; i < offset + bytes; ++i) {
    ByteCheck check(block, i, site);
    if (access == Access::read)
      check.read();
    else
      check.write(access);
  }
}

void set_in_flight(Block& block, std::size_t offset, std::size_t bytes, bool on) {
  for (std::size_t i = offset; i < offset + bytes; ++i) block.shadow[i].in_flight = on;
}

}  // namespace gesso::emulator
