// What memory the host still has: the readings of system files, limits of this process, and large pieces.
#include "core/host_memory.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "core/allocator.h"
#include "core/device.h"
#include "core/memory_use.h"
#include "tests/address_limit.h"
#include "tests/expect_error.h"

namespace gesso {
namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// Linux before 5.14 cannot: there pages come when memory is touched.
bool system_can_fault_in() {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* const memory = map_large(page);
  const bool can = madvise(memory, page, MADV_POPULATE_WRITE) == 0;
  unmap_large(memory, page);
  return can;
}

TEST_SUITE("host memory") {
  TEST_CASE("what is available is read from the system's files, and nonsense is no limit") {
    CHECK(available_of_meminfo("MemTotal:  100 kB\nMemFree: 5 kB\nMemAvailable:     42 kB\nCached: 7 kB\n") ==
          42 << 10);
    CHECK(available_of_meminfo("MemTotal:  100 kB\n") == kNoLimit);
    CHECK(available_of_meminfo("") == kNoLimit);
    CHECK(left_in_group("1000\n", "400\n", "anon 300\ninactive_file 60\n") == 660);
    CHECK(left_in_group("1000\n", "1400\n", "") == 0);
    CHECK(left_in_group("max\n", "400\n", "") == kNoLimit);
    CHECK(left_in_group("", "", "") == kNoLimit);
  }

  TEST_CASE("ulimit -v bounds what is available") {
    constexpr std::size_t kRoom = 16 << 20;
    const std::size_t before = available_host_bytes();
    REQUIRE(before > kRoom);
    const AddressLimit small(kRoom);
    CHECK(available_host_bytes() <= kRoom);
    CHECK(available_host_bytes() > kRoom / 2);
  }

  TEST_CASE("large pieces lie as large pages want it, and are refused with a null pointer") {
    for (const std::size_t bytes : {kLargePage, kLargePage + 1, 3 * kLargePage - 5}) {
      void* memory = map_large(bytes);
      REQUIRE(memory != nullptr);
      CHECK(reinterpret_cast<std::uintptr_t>(memory) % kLargePage == 0);
      std::memset(memory, 1, bytes);
      unmap_large(memory, bytes);
    }
    CHECK(map_large(std::size_t{1} << 46) == nullptr);
  }

  TEST_CASE("the memory of a device has its pages before anyone touches it") {
    if (!system_can_fault_in()) return;
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    Device& cpu = device(DeviceKind::cpu);
    for (const std::size_t bytes : {40 * page, 3 * kLargePage + 5}) {
      void* const memory = cpu.allocate(bytes);
      REQUIRE(memory != nullptr);
      const std::size_t inside = reinterpret_cast<std::uintptr_t>(memory) % page;
      std::vector<unsigned char> resident((inside + bytes + page - 1) / page);
      REQUIRE(mincore(static_cast<std::byte*>(memory) - inside, inside + bytes, resident.data()) == 0);
      CHECK(std::ranges::all_of(resident, [](unsigned char byte) { return (byte & 1) == 1; }));
      cpu.release(memory, bytes);
    }
  }

  TEST_CASE("what the system refuses is an error that says who asked and who holds the most") {
    Device& cpu = device(DeviceKind::cpu);
    cpu.allocator().trim();  // it may keep such a block from before
    const MemoryUse mine("test op", "here.there");
    void* const held = cpu.allocator().allocate(std::size_t{5} << 20);
    const AddressLimit small(16 << 20);
    expect_error(ErrorKind::memory,
                 {"cpu: out of memory: 99999744 bytes were asked for by test op in here.there", "the most of them",
                  "by test op in here.there"},
                 [&] { (void)cpu.allocator().allocate(99999744); });
    cpu.allocator().release(held);
  }

  TEST_CASE("memory is counted to who asked for it, now and at the peak") {
    const auto dry = device(DeviceKind::cpu).dry();
    Allocator& allocator = dry->allocator();
    void *first = nullptr, *second = nullptr;
    {
      const MemoryUse use("relu", "a");
      first = allocator.allocate(1000);
      const MemoryUse inner("conv2d", "b", /*backward=*/true);
      second = allocator.allocate(5000);
    }
    void* const third = allocator.allocate(100);
    allocator.release(second);
    void* const fourth = allocator.allocate(200);
    const std::vector<MemoryHolder> now = allocator.holders(), peak = allocator.holders_at_peak();
    REQUIRE(now.size() == 2);
    CHECK(now[0].text() == "relu in a");
    CHECK(now[1].text() == "other");
    REQUIRE(peak.size() == 3);
    CHECK(peak[0].text() == "conv2d backward in b");
    std::size_t sum = 0;
    for (const MemoryHolder& holder : peak) sum += holder.bytes;
    CHECK(sum == allocator.statistics().peak_bytes);
    CHECK(allocator.statistics().peak_held_bytes >= allocator.statistics().peak_bytes);
    for (void* memory : {first, third, fourth}) allocator.release(memory);
    CHECK(allocator.holders().empty());
  }
}

}  // namespace
}  // namespace gesso
