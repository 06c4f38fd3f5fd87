#include "cuda/emulator/emulator.h"
#include "cuda/runtime.h"

namespace gesso::cuda {
namespace {

// The emulator does all work where it is submitted.
void copy(cu::Stream, void* to, const void* from, std::size_t bytes) { emulator::copy(to, from, bytes); }
void fill(cu::Stream, void* to, std::byte value, std::size_t bytes) { emulator::fill(to, value, bytes); }
void synchronize(cu::Stream) {}
std::uint64_t launches() { return emulator::statistics().launches; }

}  // namespace

const Runtime& emulated_runtime() {
  static constexpr Runtime table = {.allocate = emulator::allocate,
                                    .release = emulator::release,
                                    .copy = copy,
                                    .fill = fill,
                                    .synchronize = synchronize,
                                    .launches = launches};
  return table;
}

}  // namespace gesso::cuda
