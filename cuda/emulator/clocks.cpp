// Vector clocks: what each thread of a gang knows of the others. Only checked programs have them.
#include <algorithm>

#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {

void join(Clock& into, const Clock& from) {
  if (into.size() < from.size()) into.resize(from.size(), 0);
  for (std::size_t i = 0; i < from.size(); ++i) into[i] = std::max(into[i], from[i]);
}

void release_to(Clock& clock, Thread& thread) {
  if (!thread.clock) return;
  const std::size_t threads = gang->threads.size();
  clock.resize(threads, 0);
  for (std::size_t i = 0; i < threads; ++i) clock[i] = std::max(clock[i], thread.clock[i]);
}

void acquire_from(const Clock& clock, Thread& thread) {
  if (!thread.clock || clock.empty()) return;
  for (std::size_t i = 0; i < clock.size(); ++i) thread.clock[i] = std::max(thread.clock[i], clock[i]);
  tick(thread);
}

void tick(Thread& thread) {
  if (thread.clock) ++thread.clock[thread.linear];
}

}  // namespace gesso::emulator
