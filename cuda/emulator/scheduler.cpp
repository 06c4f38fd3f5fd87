// The run queue. A fiber runs until it meets a collective or returns; then the schedule picks the next. A thread that
// returns hands its stack to the next unstarted one, so kernels without collectives never switch.
#include "cuda/emulator/scheduler.h"

#include <fmt/format.h>

#include <exception>
#include <map>
#include <utility>

namespace gesso::emulator {

constinit thread_local Thread* current = nullptr;
constinit thread_local Gang* gang = nullptr;

namespace {

void finish_bulk_copy(std::size_t index) {
  const BulkCopy copy = std::move(gang->bulk_copies[index]);
  gang->bulk_copies.erase(gang->bulk_copies.begin() + static_cast<std::ptrdiff_t>(index));
  copy.finish();
}

std::string stuck_report() {
  struct Site {
    unsigned threads = 0;
    std::string first;
  };
  std::map<std::string, Site> sites;
  for (const Thread& thread : gang->threads) {
    if (thread.state != Thread::State::waiting) continue;
    Site& site = sites[thread.waits_for + at(thread.place)];
    if (site.threads++ == 0) site.first = describe(thread);
  }
  std::string report = "deadlock: every live thread waits";
  for (const auto& [name, site] : sites)
    report += fmt::format("\n  {} in {}, the first is {}", site.threads, name, site.first);
  return report;
}

Thread* take_first() {
  Gang& g = *gang;
  Thread* thread = g.queue[g.head];
  g.head = (g.head + 1) % g.queue.size();
  --g.runnable;
  return thread;
}

Thread* pick() {
  Gang& g = *gang;
  const Order order = options().threads;
  // The random schedule lets some copies end early; the others let all end as late as can be.
  if (order == Order::random && !g.bulk_copies.empty() && next_random(g.random) % 4 == 0)
    finish_bulk_copy(next_random(g.random) % g.bulk_copies.size());
  while (g.runnable == 0) {
    if (g.bulk_copies.empty()) stop(stuck_report());
    finish_bulk_copy(order == Order::lifo ? g.bulk_copies.size() - 1 : 0);
  }
  if (order == Order::lifo) return g.queue[(g.head + --g.runnable) % g.queue.size()];
  if (order == Order::random)
    std::swap(g.queue[g.head], g.queue[(g.head + next_random(g.random) % g.runnable) % g.queue.size()]);
  return take_first();
}

void thread_returned(Thread& thread) {
  Block& block = *thread.block;
  Warp& warp = block.warps[thread.warp];
  warp.exited |= 1u << thread.lane;
  --block.live;
  for (const PendingCollective& pending : warp.pending)
    if (pending.mask >> thread.lane & 1)
      stop(fmt::format("a lane returned while others wait for it in {}{}", pending.name, at(pending.place)));
  if (block.barrier.arrived)
    stop("a thread returned while others wait for it at a barrier" + at(block.barrier.waiters[0].thread->place));
  thread.state = Thread::State::done;
  if (checker.segment_end && warp.exited == warp.exists) checker.segment_end(thread.warp);
}

// Runs the kernel for this thread; what it throws becomes the launch's error.
void run_kernel() {
  std::string thrown;
  try {
    gang->kernel->run();
    return;
  } catch (const std::exception& error) {
    thrown = error.what();
  }
  stop("an exception in the kernel: " + thrown);
}

void fiber_main();

void enter(Thread* next, void** saved) {
  if (next->state == Thread::State::fresh) {
    next->stack = gang->free_stacks.back();
    gang->free_stacks.pop_back();
    next->stack_pointer = fresh_frame(next->stack, fiber_main);
  }
  next->state = Thread::State::ready;
  current = next;
  ++gang->statistics.switches;
  gesso_emulator_switch(saved, next->stack_pointer);
}

void fiber_main() {
  void* abandoned = nullptr;
  for (;;) {
    Thread* me = current;
    run_kernel();
    thread_returned(*me);
    if (--gang->alive == 0) {
      gang->free_stacks.push_back(me->stack);
      current = nullptr;
      gesso_emulator_switch(&abandoned, gang->scheduler_stack);
    }
    Thread* next = pick();
    if (next->state != Thread::State::fresh) {
      gang->free_stacks.push_back(me->stack);
      enter(next, &abandoned);
    }
    next->stack = me->stack;
    next->state = Thread::State::ready;
    current = next;
  }
}

}  // namespace

void make_ready(Thread* thread) {
  Gang& g = *gang;
  if (thread->state == Thread::State::waiting) thread->state = Thread::State::ready;
  g.queue[(g.head + g.runnable++) % g.queue.size()] = thread;
}

void suspend(const char* waits_for, const Place& place) {
  Thread* me = current;
  me->state = Thread::State::waiting;
  me->waits_for = waits_for;
  me->place = place;
  Thread* next = pick();
  if (next != me) {
    enter(next, &me->stack_pointer);
  } else {
    me->state = Thread::State::ready;
  }
}

void run_all_threads() {
  current = nullptr;
  enter(pick(), &gang->scheduler_stack);
  current = nullptr;
}

// What lives on the abandoned stacks is never destroyed: a launch that fails may leak a little memory.
void stop(const std::string& what) {
  gang->error = current ? fmt::format("{}\n  in {}", what, describe(*current)) : what;
  current = nullptr;
  void* abandoned = nullptr;
  gesso_emulator_switch(&abandoned, gang->scheduler_stack);
  __builtin_unreachable();
}

std::string describe(const Thread& thread) {
  const uint3& block = thread.view->index;
  return fmt::format("block ({},{},{}) thread ({},{},{}) warp {} lane {}", block.x, block.y, block.z, thread.index.x,
                     thread.index.y, thread.index.z, thread.warp, thread.lane);
}

std::string at(Site site) { return " at " + source_line(site); }
std::string at(const Place& place) { return at(site_of(place)); }

}  // namespace gesso::emulator
