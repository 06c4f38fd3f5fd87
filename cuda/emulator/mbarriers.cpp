#include "cuda/emulator/mbarriers.h"

#include <utility>

#include "cuda/emulator/hopper.h"

namespace gesso::emulator {

Mbarrier& mbarrier_at(const std::uint64_t* barrier, const Place& place) {
  Block& block = *current->block;
  const auto found = block.mbarriers.find(block.offset(barrier));
  if (found == block.mbarriers.end()) stop("use of an mbarrier that was not initialised" + at(place));
  touch(barrier, sizeof *barrier, Access::read, site_of(place));
  return found->second;
}

void flip_if_complete(Mbarrier& barrier) {
  if (barrier.pending || barrier.transaction_bytes) return;
  barrier.phase ^= 1;
  barrier.pending = barrier.count;
  for (Thread* thread : std::exchange(barrier.waiters, {})) {
    acquire_from(barrier.clock, *thread);
    make_ready(thread);
  }
}

void mbarrier_init(std::uint64_t* barrier, unsigned count, const Place& place) {
  Block& block = *current->block;
  const std::size_t offset = block.offset(barrier);
  if (offset >= kArena || offset % sizeof *barrier) stop("an mbarrier outside shared memory" + at(place));
  touch(barrier, sizeof *barrier, Access::write, site_of(place));
  Mbarrier fresh;
  fresh.count = fresh.pending = count;
  block.mbarriers[offset] = fresh;
}

void mbarrier_arrive(std::uint64_t* barrier, unsigned expected_bytes, const Place& place) {
  Mbarrier& m = mbarrier_at(barrier, place);
  if (!m.pending) stop("more arrivals than the mbarrier counts" + at(place));
  release_to(m.clock, *current);
  tick(*current);
  m.transaction_bytes += expected_bytes;
  --m.pending;
  flip_if_complete(m);
}

void mbarrier_wait(std::uint64_t* barrier, unsigned parity, const Place& place) {
  Mbarrier& m = mbarrier_at(barrier, place);
  if (m.phase != (parity & 1)) return acquire_from(m.clock, *current);
  m.waiters.push_back(current);
  suspend("an mbarrier wait", place);
}

}  // namespace gesso::emulator
