// Where an access goes, and whether a kernel may touch what is neither shared nor device memory: the program's own
// image, its fibers' stacks and thread-local variables, but nothing that the host allocated.
#include <fmt/format.h>
#include <link.h>
#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "cuda/emulator/check.h"

namespace gesso::emulator {
namespace {

struct Range {
  std::uintptr_t begin, end;
  bool contains(std::uintptr_t address) const { return address >= begin && address < end; }
};

Range os_stack() {
  pthread_attr_t attributes;
  void* begin = nullptr;
  std::size_t bytes = 0;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &begin, &bytes);
  pthread_attr_destroy(&attributes);
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  return {address, address + bytes};
}

int add_segments(dl_phdr_info* image, std::size_t, void* ranges) {
  for (int i = 0; i < image->dlpi_phnum; ++i) {
    const auto& segment = image->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = image->dlpi_addr + segment.p_vaddr;
    static_cast<std::vector<Range>*>(ranges)->push_back({begin, begin + segment.p_memsz});
  }
  return 0;
}

std::vector<Range> program_image() {
  std::vector<Range> ranges;
  dl_iterate_phdr(add_segments, &ranges);
  return ranges;
}

template <class T>
bool lies_in(std::span<const T> array, std::uintptr_t address) {
  return address - reinterpret_cast<std::uintptr_t>(array.data()) < array.size_bytes();
}

bool kernel_may_touch(std::uintptr_t address) {
  if (gang->stack_area.contains(reinterpret_cast<const void*>(address))) return true;
  if (lies_in(std::span<const Thread>(gang->threads), address)) return true;   // threadIdx, ...
  if (lies_in(std::span<const Block>(&gang->block, 1), address)) return true;  // blockIdx, ...
  static thread_local const Range stack = os_stack();
  if (stack.contains(address)) return true;
  static const std::vector<Range> image = program_image();
  if (std::any_of(image.begin(), image.end(), [=](const Range& range) { return range.contains(address); })) return true;
  constexpr std::uintptr_t kThreadLocal = 64 << 10;  // around one of our own
  return address - (reinterpret_cast<std::uintptr_t>(&current) - kThreadLocal) < 2 * kThreadLocal;
}

void check_access(const void* memory, std::size_t bytes, Access access, Site site) {
  if (!current || bytes == 0) return;
  Block& block = *current->block;
  const std::size_t shared_offset = block.offset(memory);
  const bool store = access == Access::write, traced = options().trace && (store || access == Access::read);
  if (shared_offset < kArena) {
    check_shared(block, shared_offset, bytes, access, site);
    if (traced) record_access(memory, bytes, /*shared=*/true, store, site);
  } else if (is_device_memory(memory)) {
    check_device(static_cast<std::size_t>(static_cast<const std::byte*>(memory) - device_base()), bytes, access, site);
    if (traced) record_access(memory, bytes, /*shared=*/false, store, site);
  } else if (!kernel_may_touch(reinterpret_cast<std::uintptr_t>(memory))) {
    stop(fmt::format("the kernel touches host memory {}{}", memory, at(site)));
  }
}

}  // namespace

void install_checker() {
  checker.forget_block = forget_shadow;
  checker.touch = check_access;
  checker.set_in_flight = set_in_flight;
  checker.set_usable = set_usable;
  checker.segment_end = close_requests;
}

}  // namespace gesso::emulator
