// The caching allocator: reuse, statistics, limits, poison and guards, and what it says when memory is short.
#include "core/allocator.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "core/device.h"
#include "core/error.h"
#include "core/tensor.h"
#include "tests/expect_error.h"

namespace gesso {
namespace {

// A device of the tests' own: counts what it gives, gives no more than `capacity` bytes, and takes all back at its end.
class SmallDevice final : public Device {
 public:
  explicit SmallDevice(std::size_t capacity) : Device(DeviceKind::emulated), capacity_(capacity) {}
  ~SmallDevice() override {
    allocator().trim();
    for (void* memory : blocks_) std::free(memory);
  }

  void* allocate(std::size_t bytes) override {
    if (given + bytes > capacity_) return nullptr;
    given += bytes;
    return *blocks_.insert(std::aligned_alloc(64, (bytes + 63) / 64 * 64)).first;
  }
  void release(void* memory, std::size_t bytes) noexcept override {
    given -= bytes;
    blocks_.erase(memory);
    std::free(memory);
  }
  void copy_from_host(void* to, const void* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void fill_bytes(void* to, std::byte value, std::size_t bytes) override {
    if (!fills) fail("this device fills nothing");
    std::memset(to, static_cast<int>(value), bytes);
  }
  void fill(DType, std::int64_t, double, void*) override {}
  void accumulate(DType, std::int64_t, const void*, void*) override {}
  void synchronize() override {}

  std::size_t given = 0;
  bool fills = true;

 private:
  std::size_t capacity_;
  std::set<void*> blocks_;
};

std::byte* bytes(void* memory) { return static_cast<std::byte*>(memory); }
bool all_are(const void* memory, std::size_t n, std::byte value) {
  const auto* begin = static_cast<const std::byte*>(memory);
  return std::all_of(begin, begin + n, [&](std::byte b) { return b == value; });
}

TEST_SUITE("allocator") {
  TEST_CASE("memory is aligned, also where zero bytes are asked for") {
    SmallDevice device(1 << 20);
    for (const std::size_t size : {0, 1, 63, 64, 65, 1000, 4097}) {
      void* memory = device.allocator().allocate(size);
      REQUIRE(memory != nullptr);
      CHECK(reinterpret_cast<std::uintptr_t>(memory) % 64 == 0);
      std::memset(memory, 1, size);
      device.allocator().release(memory);
    }
  }

  TEST_CASE("released memory is handed out again for a size near by") {
    SmallDevice device(1 << 20);
    Allocator& allocator = device.allocator();
    void* first = allocator.allocate(10000);
    allocator.release(first);
    CHECK(allocator.allocate(9990) == first);
    void* other = allocator.allocate(20000);
    CHECK(other != first);
    CHECK(allocator.statistics().allocations == 3);
    CHECK(allocator.statistics().device_allocations == 2);
    allocator.release(first);
    allocator.release(other);
  }

  TEST_CASE("statistics count what is live, cached and at most was live, rounded up by no more than a quarter") {
    SmallDevice device(1 << 20);
    Allocator& allocator = device.allocator();
    void* a = allocator.allocate(10000);
    const std::size_t one = allocator.statistics().live_bytes;
    CHECK(one >= 10000);
    CHECK(one <= 12800);
    void* b = allocator.allocate(10000);
    CHECK(allocator.statistics().peak_bytes == 2 * one);
    allocator.release(b);
    CHECK(allocator.statistics().live_bytes == one);
    CHECK(allocator.statistics().cached_bytes == one);
    CHECK(allocator.statistics().peak_bytes == 2 * one);
    allocator.reset_peak();
    CHECK(allocator.statistics().peak_bytes == one);
    allocator.trim();
    CHECK(allocator.statistics().cached_bytes == 0);
    CHECK(device.given == one);
    allocator.release(a);
    allocator.trim();
    CHECK(device.given == 0);
  }

  TEST_CASE("the most that was held counts what was cached, too") {
    SmallDevice device(1 << 20);
    Allocator& allocator = device.allocator();
    allocator.release(allocator.allocate(10000));
    void* const memory = allocator.allocate(40000);
    CHECK(allocator.statistics().peak_held_bytes == device.given);
    CHECK(allocator.statistics().peak_bytes == allocator.statistics().live_bytes);
    allocator.trim();
    CHECK(allocator.statistics().peak_held_bytes > device.given);
    allocator.reset_peak();
    CHECK(allocator.statistics().peak_held_bytes == device.given);
    allocator.release(memory);
  }

  TEST_CASE("poisoned memory holds the poison when it comes, and after it was released") {
    SmallDevice device(1 << 20);
    Allocator& allocator = device.allocator();
    allocator.set_poison(true);
    void* memory = allocator.allocate(1000);
    CHECK(all_are(memory, 1000, Allocator::kPoison));
    std::memset(memory, 1, 1000);
    allocator.release(memory);
    CHECK(all_are(memory, 1000, Allocator::kPoison));  // still the cache's
  }

  TEST_CASE("a write beside a block breaks its guard") {
    SmallDevice device(1 << 20);
    Allocator& allocator = device.allocator();
    allocator.set_guard(true);
    void* memory = allocator.allocate(1000);
    CHECK(allocator.guard_intact(memory));
    std::memset(memory, 1, 1000);
    CHECK(allocator.guard_intact(memory));
    for (const std::ptrdiff_t beside : {std::ptrdiff_t{1000}, std::ptrdiff_t{1063}, std::ptrdiff_t{-1}}) {
      std::byte& byte = bytes(memory)[beside];
      const std::byte before = std::exchange(byte, std::byte{0});
      CHECK(!allocator.guard_intact(memory));
      byte = before;
    }
    CHECK(allocator.guard_intact(memory));
    allocator.release(memory);
    allocator.set_guard(false);
    memory = allocator.allocate(1000);
    bytes(memory)[1000] = std::byte{0};
    CHECK(allocator.guard_intact(memory));  // made without
    allocator.release(memory);
  }

  TEST_CASE("who watches is told of the guards of a block, and when the block is whole again") {
    SmallDevice device(1 << 20);
    Allocator& allocator = device.allocator();
    static std::vector<std::pair<std::ptrdiff_t, bool>> told;  // from the first byte of the first block
    static const std::byte* first = nullptr;
    told.clear();
    first = nullptr;
    allocator.set_watch([](void* memory, std::size_t, bool usable) {
      if (!first) first = bytes(memory);
      told.emplace_back(bytes(memory) - first, usable);
    });
    allocator.release(allocator.allocate(100));
    CHECK(told.empty());
    allocator.set_guard(true);
    allocator.release(allocator.allocate(100));
    CHECK(told == std::vector<std::pair<std::ptrdiff_t, bool>>{{0, false}, {164, false}, {0, true}});
  }

  TEST_CASE("a limit counts cached memory, drops it before it refuses, and refuses with the figures") {
    SmallDevice device(1 << 20);
    Allocator& allocator = device.allocator();
    allocator.set_limit(40000);
    allocator.release(allocator.allocate(30000));
    void* memory = allocator.allocate(20000);  // fits once the cached 30000 are given back
    CHECK(allocator.statistics().cached_bytes == 0);
    expect_error(ErrorKind::memory, {"out of memory", "30000 bytes", "40000 allowed"},
                 [&] { (void)allocator.allocate(30000); });
    allocator.release(memory);
    allocator.release(allocator.allocate(30000));
  }

  TEST_CASE("where the device has no more, the cache is given back and tried again, then told") {
    SmallDevice device(40000);
    Allocator& allocator = device.allocator();
    allocator.release(allocator.allocate(30000));
    void* memory = allocator.allocate(20000);
    expect_error(ErrorKind::memory, {"emulated", "out of memory", "30000 bytes", "asked for by other"},
                 [&] { (void)allocator.allocate(30000); });
    expect_error(ErrorKind::memory, {"beyond any memory"}, [&] { (void)allocator.allocate(~std::size_t{0} - 100); });
    allocator.release(memory);
  }

  TEST_CASE("several threads may allocate and release at once") {
    SmallDevice device(1 << 24);
    Allocator& allocator = device.allocator();
    const auto work = [&] {
      for (std::size_t i = 0; i < 2000; ++i) {
        void* memory = allocator.allocate(i % 700);
        std::memset(memory, 7, i % 700);
        allocator.release(memory);
      }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
    CHECK(allocator.statistics().live_bytes == 0);
    CHECK(allocator.statistics().allocations == 6000);
  }

  TEST_CASE("tensors return their memory with the last handle") {
    SmallDevice device(1 << 20);
    {
      const Tensor view = Tensor({{30, 4}, DType::f32}, device).slice(3, 5);
      CHECK(device.allocator().statistics().live_bytes > 0);
      CHECK(view.shape() == Shape{2, 4});
    }
    CHECK(device.allocator().statistics().live_bytes == 0);
  }

  TEST_CASE("memory of a pool is nobody else's while the pool lives, and everybody's after it") {
    SmallDevice device(1 << 20);
    Allocator& allocator = device.allocator();
    void* const warm = allocator.allocate(1000);
    void* const spare = allocator.allocate(5000);
    allocator.release(warm);
    allocator.release(spare);
    auto pool = std::make_unique<MemoryPool>(allocator);
    void* const first = allocator.allocate(1000);
    CHECK(first == warm);  // recording takes what was cached
    allocator.release(first);
    CHECK(allocator.allocate(1000) == first);  // and uses it again, in its order
    void* const kept = allocator.allocate(2000);
    allocator.release(first);
    expect_error(ErrorKind::usage, {"recorded already"}, [&] { const MemoryPool second(allocator); });
    pool->close();

    const std::size_t live = allocator.statistics().live_bytes;
    CHECK(live > 3000);                        // all of the pool
    CHECK(allocator.allocate(5000) == spare);  // what the pool did not use
    void* const other = allocator.allocate(1000);
    CHECK(other != first);
    allocator.release(kept);
    CHECK(allocator.allocate(2000) != kept);
    allocator.release(other);
    pool.reset();
    void* const again[] = {allocator.allocate(1000), allocator.allocate(1000)};
    CHECK((again[0] == first || again[1] == first));
    CHECK(allocator.allocate(2000) == kept);
    const MemoryStatistics end = allocator.statistics();
    CHECK(end.cached_bytes == 0);
    CHECK(end.live_bytes == device.given);
  }

  TEST_CASE("what outlives its pool is released as any other memory") {
    SmallDevice device(1 << 20);
    void* kept = nullptr;
    {
      MemoryPool pool(device.allocator());
      kept = device.allocator().allocate(100);
      pool.close();
    }
    CHECK(device.allocator().statistics().live_bytes != 0);
    device.allocator().release(kept);
    CHECK(device.allocator().statistics().live_bytes == 0);
    CHECK(device.allocator().allocate(100) == kept);
  }

  TEST_CASE("what others release while a pool is open is kept as it is until the pool dissolves") {
    SmallDevice device(1 << 20);
    Allocator& allocator = device.allocator();
    void* const before = allocator.allocate(1000);
    std::memset(before, 1, 1000);
    allocator.set_poison(true);
    auto pool = std::make_unique<MemoryPool>(allocator);
    allocator.release(before);
    CHECK(all_are(before, 1000, std::byte{1}));  // a fill would be recorded, and done again with the rest
    CHECK(allocator.allocate(1000) != before);
    const std::size_t given = device.given;
    allocator.trim();
    CHECK(device.given == given);
    pool->close();
    CHECK(allocator.allocate(1000) != before);
    allocator.trim();
    CHECK(allocator.statistics().live_bytes == device.given);
    pool.reset();
    CHECK(allocator.allocate(1000) == before);
  }

  TEST_CASE("short of memory, an open pool gives back what it has not handed out") {
    SmallDevice device(8192);
    Allocator& allocator = device.allocator();
    allocator.release(allocator.allocate(3000));
    allocator.release(allocator.allocate(100));
    const MemoryPool pool(allocator);
    void* const recorded = allocator.allocate(100);
    allocator.release(recorded);
    CHECK(allocator.allocate(6000) != nullptr);
    CHECK(allocator.allocate(100) == recorded);
  }

  TEST_CASE("a request that fails half way gives the device nothing back that recorded work has used") {
    SmallDevice device(1 << 20);
    Allocator& allocator = device.allocator();
    allocator.set_poison(true);
    const MemoryPool pool(allocator);
    void* const recorded = allocator.allocate(1000);
    allocator.release(recorded);
    const std::size_t given = device.given;
    device.fills = false;
    expect_error(ErrorKind::usage, {"fills nothing"}, [&] { (void)allocator.allocate(1000); });
    device.fills = true;
    CHECK(device.given == given);
    CHECK(allocator.statistics().cached_bytes == given);
    CHECK(allocator.allocate(1000) == recorded);
    CHECK(allocator.statistics().live_bytes == given);
  }

  TEST_CASE("who asks after a pool was dissolved is none of those who held the peak") {
    SmallDevice device(1 << 20);
    Allocator& allocator = device.allocator();
    {
      MemoryPool pool(allocator);
      for (const std::size_t size : {20000, 5000}) allocator.release(allocator.allocate(size));
      pool.close();  // and holds both at once
    }
    void* const late = allocator.allocate(100);
    CHECK(allocator.statistics().peak_bytes >= 25000);
    CHECK(allocator.holders().size() == 1);
    CHECK(allocator.holders_at_peak().empty());
    allocator.release(late);
  }
}

}  // namespace
}  // namespace gesso
