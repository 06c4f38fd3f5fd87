// The emulated device: kernels, memory, streams, and what it says of mistakes.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/profiler.h"
#include "core/tensor.h"
#include "cuda/emulator/emulator.h"
#include "tests/cuda/probes.h"
#include "tests/emulated_device.h"
#include "tests/expect_error.h"
#include "tests/own_process.h"

namespace gesso {
namespace {

std::vector<float> ramp(int n) {
  std::vector<float> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

TEST_SUITE("cuda emulator") {
  TEST_CASE("a kernel without collectives computes each element once") {
    constexpr int kCount = 1000;  // no multiple of the block
    under_all_schedules([] {
      const EmulatedMemory<float> x(ramp(kCount)), y(ramp(kCount));
      probes::add_scaled(nullptr, 2.0f, x.data(), y.data(), kCount);
      const auto result = y.to_host();
      for (int i = 0; i < kCount; ++i) REQUIRE(result[static_cast<std::size_t>(i)] == 3.0f * static_cast<float>(i + 1));
    });
  }

  TEST_CASE("a barrier makes shared memory visible to the block, or to the warp") {
    constexpr int kCount = 3 * probes::kBlock;
    const auto host = ramp(kCount);
    const auto backwards = [&](int each) {
      auto values = host;
      for (auto part = values.begin(); part != values.end(); part += each) std::reverse(part, part + each);
      return values;
    };
    under_all_schedules([&] {
      const EmulatedMemory<float> x(host), y(kCount);
      probes::reverse_blocks(nullptr, x.data(), y.data(), kCount);
      REQUIRE(y.to_host() == backwards(probes::kBlock));
      probes::reverse_warps(nullptr, x.data(), y.data(), kCount);
      REQUIRE(y.to_host() == backwards(32));
    });
  }

  TEST_CASE("shuffles, votes, reductions and atomics join threads") {
    constexpr int kCount = 2 * probes::kBlock;
    under_all_schedules([] {
      const EmulatedMemory<float> x(ramp(kCount)), sums(2);
      probes::sum_blocks(nullptr, x.data(), sums.data(), kCount);
      REQUIRE(sums.to_host() == std::vector<float>{128 * 129 / 2, 128 * 129 / 2 + 128 * 128});
      std::vector<int> signs(kCount);
      for (int i = 0; i < kCount; ++i) signs[static_cast<std::size_t>(i)] = i % 3 - 1;
      const EmulatedMemory<int> values(signs), count(std::vector<int>{0});
      probes::count_positive(nullptr, values.data(), count.data(), kCount);
      REQUIRE(count.to_host()[0] == std::count(signs.begin(), signs.end(), 1));
    });
  }

  TEST_CASE("a shuffle beyond the warp returns the lane's own value") {
    const EmulatedMemory<float> x(ramp(probes::kBlock)), y(probes::kBlock);
    probes::shuffle(nullptr, x.data(), y.data(), probes::kBlock);
    const auto result = y.to_host();
    for (int i = 0; i < probes::kBlock; ++i) {
      const int warp = i / 32 * 32, lane = i % 32;
      const int lanes[] = {std::max(lane - 1, 0), std::min(lane + 1, 31), lane ^ 16, 3};
      float sum = 0;
      for (const int source : lanes) sum += static_cast<float>(warp + source + 1);
      CHECK(result[static_cast<std::size_t>(i)] == sum);
    }
  }

  TEST_CASE("fresh device memory is poison, and every allocation is aligned") {
    const EmulatedMemory<std::uint8_t> memory(300);
    CHECK(reinterpret_cast<std::uintptr_t>(memory.data()) % 256 == 0);
    CHECK(memory.to_host() == std::vector<std::uint8_t>(300, 0xFF));
    CHECK(emulator::is_device_memory(memory.data()));
    CHECK_FALSE(emulator::is_device_memory(&memory));
  }

  TEST_CASE("what there is no room for is null, and nothing else changes") {
    CHECK(emulator::allocate(std::size_t{1} << 40) == nullptr);
    CHECK(emulator::allocate(~std::size_t{0}) == nullptr);
    const EmulatedMemory<float> after(4);
    CHECK(after.data() != nullptr);
  }

  TEST_CASE("copies, fills and releases that do not fit an allocation are refused") {
    const EmulatedMemory<float> memory(10);
    float host[11] = {};
    expect_error(ErrorKind::usage, {"44 bytes", "allocation of 40"},
                 [&] { emulator::copy(memory.data(), host, sizeof host); });
    expect_error(ErrorKind::usage, {"byte 36"}, [&] { emulator::copy(host, memory.data() + 9, 8); });
    expect_error(ErrorKind::usage, {"do not lie"}, [&] { emulator::fill(memory.data() + 10, std::byte{0}, 4); });
    expect_error(ErrorKind::usage, {"not allocated"}, [&] { emulator::release(memory.data() + 1); });
    expect_error(ErrorKind::usage, {"not allocated"}, [&] { emulator::release(host); });
    emulator::release(nullptr);
  }

  TEST_CASE("released memory is found again when the addresses are used up") {
    std::vector<float*> held;
    for (int i = 0; i < 64; ++i) held.push_back(static_cast<float*>(emulator::allocate(1000)));
    // In an order that leaves gaps and joins neighbours.
    for (const std::size_t stride : {2u, 1u})
      for (std::size_t i = 0; i < held.size(); i += stride) {
        emulator::release(held[i]);
        held[i] = nullptr;
      }
    float* again = static_cast<float*>(emulator::allocate(60000));
    CHECK(again != nullptr);
    emulator::release(again);
  }

  TEST_CASE("a launch counts for the op at work") {
    const EmulatedMemory<float> x(ramp(256)), y(ramp(256));
    emulator::Stream stream;
    emulator::reset_statistics();
    {
      const ProfileRange op(RangeKind::op, "probe");
      probes::add_scaled(stream.handle(), 1.0f, x.data(), y.data(), 256);
      probes::reverse_blocks(stream.handle(), x.data(), y.data(), 256);
    }
    const ProfileRange op(RangeKind::op, "other probe");
    probes::add_scaled(stream.handle(), 1.0f, x.data(), y.data(), 256);
    const emulator::Statistics& statistics = emulator::statistics();
    CHECK(statistics.launches == 3);
    CHECK(statistics.blocks == 6);
    CHECK(statistics.threads == 768);
    CHECK(statistics.barriers == 256);
    CHECK(statistics.launches_by_op.at("probe") == 2);
    CHECK(statistics.launches_by_op.at("other probe") == 1);
  }

  TEST_CASE("a capturing stream does nothing until its graph is replayed") {
    constexpr int kCount = probes::kBlock;
    const EmulatedMemory<float> x(ramp(kCount)), y(kCount), z(kCount);
    emulator::Stream stream;
    stream.begin_capture();
    CHECK(stream.capturing());
    float scale = 2.0f;
    stream.fill(y.data(), std::byte{0}, kCount * sizeof(float));
    {
      const ProfileRange op(RangeKind::op, "captured");
      probes::add_scaled(stream.handle(), scale, x.data(), y.data(), kCount);
    }
    scale = 0.0f;  // arguments were copied
    stream.copy(z.data(), y.data(), kCount * sizeof(float));
    const emulator::Graph graph = stream.end_capture();
    CHECK_FALSE(stream.capturing());
    CHECK(graph.size() == 3);
    CHECK(std::isnan(z.to_host()[0]));
    emulator::reset_statistics();
    for (int i = 0; i < 2; ++i) {
      graph.replay();
      CHECK(z.to_host()[9] == 20.0f);
    }
    CHECK(emulator::statistics().launches_by_op.at("captured") == 2);
  }

  TEST_CASE("a capture begins once and ends once") {
    emulator::Stream stream;
    expect_error(ErrorKind::usage, {"not capturing"}, [&] { (void)stream.end_capture(); });
    stream.begin_capture();
    expect_error(ErrorKind::usage, {"capturing already"}, [&] { stream.begin_capture(); });
    CHECK(stream.end_capture().size() == 0);
  }

  TEST_CASE("an error names kernel, launch, op and thread, and the next launch is well") {
    const EmulatedMemory<int> x(std::vector<int>{1, 2, 0, 4}), y(4);
    emulator::Stream stream;
    const ProfileRange op(RangeKind::op, "division");
    const std::vector<std::string> words = {"division by zero", "'probes::divide_kernel'",
                                            "probes.cu:", "by op division", "thread (2,0,0) warp 0 lane 2"};
    for (int i = 0; i < 2; ++i)
      expect_error(ErrorKind::usage, words, [&] { probes::divide(stream.handle(), x.data(), y.data(), 4); });
    probes::divide(stream.handle(), x.data(), y.data(), 2);
    CHECK(y.to_host()[1] == 50);
  }

  TEST_CASE("a stack that overflows is an error") {
    const EmulatedMemory<int> x(std::vector<int>{1}), y(probes::kBlock);
    expect_error(ErrorKind::usage, {"stack overflow", "recurse_kernel"},
                 [&] { probes::recurse(nullptr, x.data(), y.data(), 1); });
  }

  TEST_CASE("launches that the hardware cannot do are refused") {
    const EmulatedMemory<float> y(probes::kBlock);
    expect_error(ErrorKind::usage, {"1025x1x1 threads"}, [] { probes::block_of(nullptr, 1025); });
    expect_error(ErrorKind::usage, {"0x1x1 threads"}, [] { probes::block_of(nullptr, 0); });
    expect_error(ErrorKind::usage, {"232449 bytes of dynamic", "232448"},
                 [&] { probes::use_shared(nullptr, y.data(), (227 << 10) + 1); });
    probes::block_of(nullptr, 1024);
    probes::use_shared(nullptr, y.data(), 227 << 10);
    CHECK(y.to_host()[0] == probes::kBlock - 1);
  }

  TEST_CASE("the checker knows tensors to the byte where their guards are watched") {
    if (!emulator::is_checked()) return;
    Device& device = gesso::device(DeviceKind::emulated);
    device.allocator().set_guard(true);
    for (const int count : {3, 4, 60}) {
      const Tensor y({{count}, DType::f32}, device);
      const EmulatedMemory<float> x(128);
      const auto add = [&](int n) { probes::add_scaled(nullptr, 1.0f, x.data(), y.data<float>().data(), n); };
      y.fill_zero();
      add(count);
      expect_error(ErrorKind::usage, {"read of 4 bytes", "probes.cu:"}, [&] { add(count + 1); });
    }
    device.allocator().set_guard(false);
  }

  TEST_CASE("a write past the end of device or shared memory is an error") {
    EmulatedMemory<float> y(probes::kBlock);
    const auto short_of_shared = [&] { probes::use_shared(nullptr, y.data(), 508); };
    const auto past_the_end = [&] { probes::write_from(nullptr, y.data(), 1, probes::kBlock); };
    if (emulator::is_checked()) {  // at the access
      expect_error(ErrorKind::usage, {"out of bounds", "byte 508 of dynamic", "probes.cu:"}, short_of_shared);
      expect_error(ErrorKind::usage, {"byte 512 of an allocation of 512", "probes.cu:"}, past_the_end);
    } else {  // when the block ends, and at release
      expect_error(ErrorKind::usage, {"past the end", "508 bytes of dynamic"}, short_of_shared);
      past_the_end();
      expect_error(ErrorKind::usage, {"past the end", "512 bytes"}, [&] { y.release(); });
    }
  }

  TEST_CASE("host code reads guarded device memory" * doctest::skip()) {
    const EmulatedMemory<float> memory(ramp(4));
    emulator::set_guard(true);
    CHECK(emulator::guard());
    CHECK(memory.to_host()[3] == 4.0f);  // a copy may
    probes::add_scaled(nullptr, 1.0f, memory.data(), memory.data(), 4);
    fmt::print("about to touch\n");
    std::fflush(stdout);
    const volatile float* touched = memory.data();
    CHECK(touched[1] == 2.0f);
  }

  TEST_CASE("host code that touches guarded device memory ends the program and says why") {
    const OwnProcess process = run_own_test("", "host code reads guarded device memory");
    CHECK(process.status != 0);
    CHECK_MESSAGE(process.output.find("about to touch") != std::string::npos, process.output);
    CHECK_MESSAGE(process.output.find("byte 4 of an allocation of 16") != std::string::npos, process.output);
  }
}

}  // namespace
}  // namespace gesso
