// Dry devices: no memory, no work, and yet the peak of what a kernel asks for.
#include "core/dry_device.h"

#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <string_view>
#include <vector>

#include "core/allocator.h"
#include "ops/binary.h"
#include "ops/check/checks.h"
#include "ops/conv2d.h"
#include "ops/op_list.h"
#include "tests/measured_memory.h"
#include "tests/support.h"
#include "tools/bench_suites.h"

namespace gesso {
namespace {

TEST_SUITE("dry device") {
  TEST_CASE("every kernel of the CPU asks a dry device for the same memory, and touches none of it") {
    constexpr int kThreads = 3, kRandomCases = 2;
    // What these ask for inside what their pool runs, a dry device does not see.
    const std::set<std::string_view> asks_inside = {"attention", "matmul"};
    ThreadPool pool(kThreads), idle(kThreads, ThreadPool::Sharing::idle);
    Device& cpu = device(DeviceKind::cpu);
    DryDevice dry(DeviceKind::cpu, DryAddresses::Backing::none);
    int cases = 0;
    for (const RowInfo* row : all_rows())
      for (const check::CheckCase& c : check::cases_of(*row, {.seed = test_seed(), .random_cases = kRandomCases})) {
        const std::size_t predicted = peak_of(*row, c, dry, idle), measured = peak_of(*row, c, cpu, pool);
        INFO(row->name, ", case ", c.of.name);
        if (asks_inside.contains(row->name))
          CHECK(predicted <= measured);
        else
          CHECK(predicted == measured);
        ++cases;
      }
    CHECK(cases > 300);
    CHECK(dry.allocator().statistics().live_bytes == 0);
  }

  TEST_CASE("all products of the benchmarks' networks can be asked of a dry device, at any size") {
    DryDevice dry(DeviceKind::cpu, DryAddresses::Backing::none);
    for (const char* name : {"vqvae-28", "unet-64", "ddpm-cifar10"})
      for (const SuiteCall& call : suite_named(name).calls(4096)) {
        Tape tape;
        Tensors in;
        for (const Operand& operand : call.of.in) {
          const Spec spec = check::spec_of(operand, DType::f32);
          in.push_back(spec.dtype == DType::none ? Tensor() : Tensor(spec, dry));
          if (in.back()) tape.watch(in.back());
        }
        const Tensor y = dispatch(row_named(call.op), call.of.attrs, in)[0], dy(y.spec(), dry);
        if (!is_floating(y.dtype())) continue;
        CHECK(tape.backward(std::span(&y, 1), std::span(&dy, 1), tape.leaves()).size() == tape.leaves().size());
      }
    CHECK(dry.allocator().statistics().live_bytes == 0);
  }

  TEST_CASE("a step through dispatch and tape holds nothing afterwards, and reads as ones") {
    const auto dry = device(DeviceKind::cpu).dry();
    CHECK(!dry->computes());
    {
      // A slip that is forgiven, unless the system lends no such range of addresses (thread sanitizer, ulimit -v).
      const Tensor touched({{100}, DType::f32}, *dry);
      if (reinterpret_cast<std::uintptr_t>(touched.bytes()) < std::uintptr_t{1} << 48)
        std::memset(touched.bytes(), 1, 400);
    }
    {
      Tape tape;
      const Tensor x({{2, 9, 9, 3}, DType::f32}, *dry), weight({{8, 3, 3, 3}, DType::f32}, *dry);
      tape.watch(weight);
      const Tensor y = ops::conv2d(x, weight, {.padding = 1});
      const Tensor loss = ops::mul(y, y);
      CHECK(loss.to_host<float>() == std::vector<float>(2 * 9 * 9 * 8, 1.0f));
      const Tensor dy(loss.spec(), *dry);
      (void)tape.backward(std::span(&loss, 1), std::span(&dy, 1), std::span(&weight, 1));
    }
    CHECK(dry->allocator().statistics().live_bytes == 0);
    CHECK(dry->allocator().statistics().peak_bytes > 0);
  }

  TEST_CASE("an idle pool runs nothing, whatever the number of chunks") {
    ThreadPool idle(3, ThreadPool::Sharing::idle);
    int runs = 0;
    idle.run(5, [&](std::int64_t, int) { ++runs; });
    idle.run(1, [&](std::int64_t, int) { ++runs; });
    parallel_for(idle, 10, 100, [&](std::int64_t, std::int64_t) { ++runs; });
    parallel_for(idle, 1000, 100, [&](std::int64_t, std::int64_t) { ++runs; });
    CHECK(runs == 0);
    CHECK(idle.threads() == 3);
    CHECK(idle_pool().threads() == thread_pool().threads());
  }
}

}  // namespace
}  // namespace gesso
