// Single instructions: the emulator against what NVIDIA's documents say, and a GPU against the emulator, bit by bit.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "cuda/entry.h"
#include "tests/cuda/instructions.h"
#include "tests/emulated_device.h"
#include "tests/known_instructions.h"
#include "tests/support.h"

namespace gesso {
namespace {

using probes::InstructionProbe;
using probes::Known;
using probes::Words;

// The probes as a device runs them. Only a build with nvcc has those of a GPU.
struct Probes {
  std::span<const InstructionProbe> warp, hopper;
  bool has_hopper = true;
};
Probes probes_of(DeviceKind kind) {
  if constexpr (GESSO_GPU_BUILD)
    if (kind == DeviceKind::cuda)
      return {probes::warp_probes<cu::Cuda>(), probes::hopper_probes<cu::Cuda>(), probes::has_hopper<cu::Cuda>()};
  return {probes::warp_probes<cu::Emulated>(), probes::hopper_probes<cu::Emulated>(),
          probes::has_hopper<cu::Emulated>()};
}

Words run_on(Device& device, const InstructionProbe& probe, const Words& in) {
  const Tensor source = Tensor::from_host_bytes(std::as_bytes(std::span(in)), {{std::ssize(in)}, DType::i32}, device);
  const Tensor target({{probe.words_out}, DType::i32}, device);
  device.fill_bytes(target.bytes(), std::byte{0xFF}, target.spec().bytes());
  probe.run(cuda::stream_of(device), reinterpret_cast<const std::uint32_t*>(source.bytes()),
            reinterpret_cast<std::uint32_t*>(target.bytes()));
  Words out(static_cast<std::size_t>(probe.words_out));
  target.copy_to_host(std::as_writable_bytes(std::span(out)));
  return out;
}

// Empty where all are equal.
std::string difference(const Words& got, const Words& want) {
  std::size_t count = 0;
  std::string first;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (got.at(i) == want[i]) continue;
    if (++count == 1) first = fmt::format("first word {}: {:08x}, not {:08x}", i, got[i], want[i]);
  }
  return count ? fmt::format("{} of {} words differ, {}", count, want.size(), first) : "";
}

// One line a probe, which tools/gpu_check reads.
void report(std::string_view probe, bool passed, const std::string& what) {
  fmt::print("probe {}: {}: {}\n", probe, passed ? "passed" : "failed", what);
  CHECK_MESSAGE(passed, probe, ": ", what);
}

void check_emulated(const InstructionProbe& probe, const Known& known) {
  under_all_schedules([&] {
    const std::string wrong = difference(run_on(device(DeviceKind::emulated), probe, known.in), known.want);
    CHECK_MESSAGE(wrong.empty(), probe.name, ": ", wrong);
  });
}

void check_under_test(const InstructionProbe& probe, const Known& known) {
  Device& device = gesso::device(test_device());
  try {
    const std::string wrong = difference(run_on(device, probe, known.in), known.want);
    const std::string equal = fmt::format("{} words on {} equal the emulator's", known.want.size(), device.name());
    report(probe.name, wrong.empty(), wrong.empty() ? equal : wrong);
  } catch (const Error& error) {
    report(probe.name, false, error.what());
  }
}

// available: whether the device under test has the instructions.
void compare_all(std::span<const InstructionProbe> emulated, std::span<const InstructionProbe> under_test,
                 bool available) {
  REQUIRE(emulated.size() == under_test.size());
  for (std::size_t i = 0; i < emulated.size(); ++i) {
    const Known known = probes::known_for(emulated[i].name);
    REQUIRE(std::ssize(known.in) == emulated[i].words_in);
    REQUIRE(std::ssize(known.want) == emulated[i].words_out);
    check_emulated(emulated[i], known);
    if (available)
      check_under_test(under_test[i], known);
    else
      fmt::print("probe {}: skipped: the GPU's compute capability is not 9.0\n", emulated[i].name);
  }
}

TEST_SUITE("device instructions") {
  TEST_CASE("each instruction does on the emulator what documents say, and on the device what it does there") {
    compare_all(probes_of(DeviceKind::emulated).warp, probes_of(test_device()).warp, true);
  }

  TEST_CASE("each instruction of Hopper does so too, where the device has them") {
    const Probes under_test = probes_of(test_device());
    compare_all(probes_of(DeviceKind::emulated).hopper, under_test.hopper, under_test.has_hopper);
  }
}

}  // namespace
}  // namespace gesso
