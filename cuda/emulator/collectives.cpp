// Warp operations and barriers: the last thread to arrive does the work for all of them.
#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <utility>

#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {
namespace {

// The operation that this lane joins: one that waits for it, or a new one. Divergent masks make several a warp.
PendingCollective& join_pending(Warp& warp, unsigned mask, const char* name, Collective function, unsigned lane_bit,
                                const Place& place) {
  for (PendingCollective& pending : warp.pending)
    if (pending.mask == mask && pending.function == function && !(pending.arrived & lane_bit)) return pending;
  PendingCollective& added = warp.pending.emplace_back();
  added.mask = mask;
  added.name = name;
  added.place = place;
  added.function = function;
  return added;
}

void check_mask(const Warp& warp, unsigned mask, unsigned lane_bit, const char* name, const Place& place) {
  const char* problem = nullptr;
  if (!(mask & lane_bit))
    problem = "the calling lane is not in its own mask";
  else if (mask & ~warp.exists)
    problem = "the mask names lanes that this warp does not have";
  else if (mask & warp.exited)
    problem = "the mask names lanes that have returned";
  if (problem) stop(fmt::format("{}{}: {}", name, at(place), problem));
}

bool same_line(const Place& a, const Place& b) {
  return a.line() == b.line() && std::strcmp(a.file_name(), b.file_name()) == 0;
}

void check_arrival(const Block& block, Warp& warp, bool counts, const Place& place) {
  if (block.live < block.threads)
    stop(fmt::format("barrier{} after some threads of the block have returned", at(place)));
  if (block.barrier.arrived && block.barrier.counts != counts)
    stop(fmt::format("barrier{}: threads disagree on its kind", at(place)));
  if (warp.at_barrier && !same_line(warp.barrier_place, place))
    stop(fmt::format("divergent barrier: lanes of one warp are{} and{}", at(warp.barrier_place), at(place)));
  warp.at_barrier = true;
  warp.barrier_place = place;
}

// What barriers do; counts: __syncthreads_count.
int arrive(int predicate, bool counts, const Place& place) {
  Thread* me = current;
  Block& block = *me->block;
  check_arrival(block, block.warps[me->warp], counts, place);
  Barrier& barrier = block.barrier;
  barrier.counts = counts;
  barrier.count += predicate != 0;
  ++barrier.arrived;
  ++gang->statistics.barriers;
  release_to(barrier.clock, *me);
  if (barrier.arrived < block.threads) {
    int result = 0;
    barrier.waiters.push_back({me, &result});
    suspend("a barrier", place);
    return result;
  }
  const Barrier complete = std::exchange(barrier, Barrier{});
  for (Warp& warp : block.warps) warp.at_barrier = false;
  for (const Barrier::Waiter& waiter : complete.waiters) {
    *waiter.result = complete.count;
    acquire_from(complete.clock, *waiter.thread);
    make_ready(waiter.thread);
  }
  acquire_from(complete.clock, *me);
  if (checker.segment_end)
    for (unsigned warp = 0; warp < block.warps.size(); ++warp) checker.segment_end(warp);
  return complete.count;
}

}  // namespace

void warp_collective(unsigned mask, const char* name, Collective function, void* argument, bool orders_memory,
                     const Place& place) {
  Thread* me = current;
  Warp& warp = me->block->warps[me->warp];
  const unsigned lane_bit = 1u << me->lane;
  check_mask(warp, mask, lane_bit, name, place);
  ++gang->statistics.collectives;
  PendingCollective& pending = join_pending(warp, mask, name, function, lane_bit, place);
  pending.arrived |= lane_bit;
  pending.arguments[me->lane] = argument;
  if (orders_memory) release_to(pending.clock, *me);
  if (pending.arrived != mask) return suspend(name, place);
  const PendingCollective complete = std::move(pending);
  warp.pending.erase(warp.pending.begin() + (&pending - warp.pending.data()));
  function(complete.arguments, mask);
  Thread* lane0 = me - me->lane;
  for (unsigned left = mask; left; left &= left - 1) {
    Thread* lane = lane0 + std::countr_zero(left);
    if (orders_memory) acquire_from(complete.clock, *lane);
    if (lane != me) make_ready(lane);
  }
  if (checker.segment_end && mask == warp.exists) checker.segment_end(me->warp);
}

void barrier(const Place& place) { arrive(0, false, place); }
int barrier_count(int predicate, const Place& place) { return arrive(predicate, true, place); }

}  // namespace gesso::emulator
