// What lies between the floors above and a device's kernels: recorded work and its memory, copies through page-locked
// memory.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "core/allocator.h"
#include "core/profiler.h"
#include "core/tape.h"
#include "cuda/emulator/emulator.h"
#include "cuda/staging.h"
#include "ops/binary.h"
#include "ops/reduce.h"
#include "ops/unary.h"
#include "tests/cuda/probes.h"
#include "tests/expect_error.h"
#include "tests/support.h"

namespace gesso {
namespace {

Device& tested() { return device(test_device()); }

std::vector<float> random_values(std::uint64_t seed, std::size_t count) {
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  std::uniform_real_distribution<float> value(-1, 1);
  std::vector<float> values(count);
  for (float& v : values) v = value(random);
  return values;
}

// A step in small: loss and gradient of a weight whose step is state, in place.
struct SmallStep {
  static constexpr std::int64_t kRows = 37, kColumns = 21;
  Tensor x{{{kRows, kColumns}, DType::f32}, tested()}, weight{{{kColumns}, DType::f32}, tested()};
  Tensor gradient{weight.spec(), tested()}, loss;

  void load(std::uint64_t seed) const {
    x.copy_from_host(std::as_bytes(std::span<const float>(random_values(seed, kRows * kColumns))));
  }
  void start() const {
    weight.copy_from_host(std::as_bytes(std::span<const float>(random_values(test_seed(), kColumns))));
  }
  void work() {
    Tape tape;
    tape.watch(weight, gradient);
    const Tensor y = ops::tanh(ops::mul(x, weight));
    loss = ops::mean(ops::square(ops::add(y, ops::mul(y, weight))));
    tape.backward(loss);
    const NoGrad constants;
    weight.copy_from(ops::sub(weight, ops::mul(gradient, gradient)));
  }
};

// Work that is done when somebody waits for it: what a GPU may do at worst.
struct LateStream {
  std::vector<std::function<void()>> pending;
  std::size_t done = 0;                      // of pending
  std::map<cuda::Event, std::size_t> marks;  // how much of pending must be done
  int waits = 0, buffers = 0;
};
LateStream late;

void do_until(std::size_t end) {
  if (end > late.done) ++late.waits;
  for (; late.done < end; ++late.done) late.pending[late.done]();
}

cuda::Runtime late_runtime() {
  cuda::Runtime runtime{};  // what copies through the host need
  runtime.allocate_host = [](std::size_t bytes) {
    ++late.buffers;
    return std::malloc(bytes);
  };
  runtime.release_host = [](void* memory) {
    --late.buffers;
    std::free(memory);
  };
  runtime.make_event = [] { return reinterpret_cast<cuda::Event>(new char); };
  runtime.drop_event = [](cuda::Event event) { delete reinterpret_cast<char*>(event); };
  runtime.record = [](cuda::Event event, cu::Stream) { late.marks[event] = late.pending.size(); };
  runtime.wait = [](cuda::Event event) { do_until(late.marks[event]); };
  runtime.copy = [](cu::Stream, void* to, const void* from, std::size_t bytes) {
    late.pending.push_back([=] { std::memcpy(to, from, bytes); });
  };
  return runtime;
}

TEST_SUITE("device runtime") {
  TEST_CASE("recorded work gives the bits of work that is asked for anew, over new inputs") {
    SmallStep anew, replayed;
    anew.start();
    replayed.start();
    std::unique_ptr<Graph> graph;
    for (std::uint64_t step = 0; step < 5; ++step) {
      CAPTURE(step);
      anew.load(test_seed() + step);
      replayed.load(test_seed() + step);
      anew.work();
      if (step == 1) graph = tested().capture([&] { replayed.work(); });
      if (graph)
        graph->launch();
      else
        replayed.work();
      // What others are given meanwhile is not the graph's.
      const Tensor other(replayed.x.spec(), tested());
      other.device().fill_bytes(other.bytes(), std::byte{0x7F}, other.spec().bytes());
      CHECK(replayed.loss.to_host<float>() == anew.loss.to_host<float>());
      CHECK(replayed.gradient.to_host<float>() == anew.gradient.to_host<float>());
      CHECK(replayed.weight.to_host<float>() == anew.weight.to_host<float>());
    }
  }

  TEST_CASE(
      "recorded work may not read the host's memory nor write it, and a failed recording leaves the device well") {
    SmallStep step;
    step.start();
    step.load(test_seed());
    const ProfileRange module(RangeKind::module, "encoder");
    const auto failing = [&](auto&& last) {
      return [&, last] {
        (void)tested().capture([&] {
          step.work();
          last();
        });
      };
    };
    expect_error(ErrorKind::usage, {std::string(tested().name()), "recorded", "to the host", "encoder"},
                 failing([&] { (void)step.loss.to_host<float>(); }));
    expect_error(ErrorKind::usage, {"from the host"}, failing([&] { step.load(1); }));
    expect_error(ErrorKind::usage, {"recorded already"}, failing([&] { (void)tested().capture([] {}); }));
    step.work();
    CHECK(step.loss.to_host<float>().size() == 1);
  }

  TEST_CASE("recorded work does not poison, when it is done again, what others released while it was recorded") {
    Tensor before({{1000}, DType::f32}, tested());
    std::unique_ptr<Graph> graph;
    tested().allocator().set_poison(true);
    try {
      graph = tested().capture([&] { before = {}; });
    } catch (...) {
      tested().allocator().set_poison(false);
      throw;
    }
    tested().allocator().set_poison(false);
    const Tensor after({{1000}, DType::f32}, tested());
    tested().fill(DType::f32, after.count(), 3, after.bytes());
    graph->launch();
    CHECK(after.to_host<float>() == std::vector<float>(1000, 3.0f));
  }

  TEST_CASE("a write past the end that is found at release is told by the next call") {
    if (emulator::is_checked() || test_device() != DeviceKind::emulated) return;  // found at the access, or nowhere
    void* const memory = tested().allocate(512);
    probes::write_from(nullptr, static_cast<float*>(memory), 1, probes::kBlock);
    tested().release(memory, 512);
    expect_error(ErrorKind::usage, {"past the end", "512 bytes"}, [] { tested().synchronize(); });
    tested().synchronize();
  }

  TEST_CASE("a device of the host cannot record") {
    CHECK_FALSE(device(DeviceKind::cpu).can_capture());
    expect_error(ErrorKind::usage, {"cpu", "cannot record"}, [] { (void)device(DeviceKind::cpu).capture([] {}); });
  }

  TEST_CASE("uploads neither wait for the device nor overwrite what it has not read") {
    late = {};
    {
      const cuda::Runtime runtime = late_runtime();
      cuda::Staging staging(runtime);
      constexpr int kUploads = 40, kCount = 5000;
      std::vector<std::vector<float>> arrived(kUploads, std::vector<float>(kCount));
      std::vector<float> source(kCount);
      for (int i = 0; i < kUploads; ++i) {
        std::iota(source.begin(), source.end(), static_cast<float>(i));
        staging.upload(nullptr, arrived[static_cast<std::size_t>(i)].data(), source.data(), kCount * sizeof(float));
        if (i == 3) CHECK(late.waits == 0);
      }
      CHECK(late.buffers <= 6);
      do_until(late.pending.size());
      for (int i = 0; i < kUploads; ++i) {
        const std::vector<float>& got = arrived[static_cast<std::size_t>(i)];
        CHECK(got.front() == static_cast<float>(i));
        CHECK(got.back() == static_cast<float>(i + kCount - 1));
      }
    }
    CHECK(late.buffers == 0);
  }

  TEST_CASE("large uploads do not wait for the device either, and their page-locked memory is used again") {
    late = {};
    {
      const cuda::Runtime runtime = late_runtime();
      cuda::Staging staging(runtime);
      const std::vector<float> there = random_values(test_seed(), 9 << 18);  // 9 MiB: two pieces
      std::vector<float> arrived(there.size());
      const auto upload = [&] { staging.upload(nullptr, arrived.data(), there.data(), there.size() * sizeof(float)); };
      for (int i = 0; i < 4; ++i) upload();
      CHECK(late.waits == 0);
      for (int i = 0; i < 4; ++i) upload();
      CHECK(late.buffers == 4 * 2);
      do_until(late.pending.size());
      CHECK(arrived == there);
    }
    CHECK(late.buffers == 0);
  }

  TEST_CASE("a large copy goes in pieces, and a download may be waited for later") {
    late = {};
    const cuda::Runtime runtime = late_runtime();
    cuda::Staging staging(runtime);
    const std::vector<float> there = random_values(test_seed(), 5 << 20);  // 20 MiB
    std::vector<float> device_memory(there.size()), back(there.size());
    staging.upload(nullptr, device_memory.data(), there.data(), there.size() * sizeof(float));
    const auto begun = staging.start_download(nullptr, device_memory.data() + 7, sizeof(float));
    staging.download(nullptr, back.data(), device_memory.data(), there.size() * sizeof(float));
    CHECK(back == there);
    float seventh = 0;
    std::memcpy(&seventh, begun->wait().data(), sizeof seventh);
    CHECK(seventh == there[7]);
  }
}

}  // namespace
}  // namespace gesso
