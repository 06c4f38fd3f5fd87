#include "core/dry_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace gesso {
namespace {
constexpr std::size_t kPages = std::size_t{1} << 42;          // bytes that are asked for; none is used untouched
constexpr std::uintptr_t kNowhere = std::uintptr_t{1} << 60;  // beyond what any process can map
}  // namespace

DryAddresses::DryAddresses(Backing backing) {
  if (backing == Backing::none) return;
  void* const pages = mmap(nullptr, kPages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages != MAP_FAILED) pages_ = static_cast<std::byte*>(pages);
}
DryAddresses::~DryAddresses() {
  if (pages_ != nullptr) (void)munmap(pages_, kPages);
}

void* DryAddresses::take(std::size_t bytes) {
  const std::size_t begin = taken_;
  taken_ += (bytes + 127) / 64 * 64;
  if (pages_ != nullptr && taken_ <= kPages) return pages_ + begin;
  return reinterpret_cast<void*>(kNowhere + begin);
}

void answer_ones(void* to, std::size_t bytes) {
  constexpr float kOne = 1;
  for (std::size_t i = 0; i < bytes; i += sizeof kOne)
    std::memcpy(static_cast<std::byte*>(to) + i, &kOne, std::min(sizeof kOne, bytes - i));
}

}  // namespace gesso
