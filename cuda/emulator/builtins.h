// CUDA's own functions as the emulator does them, under CUDA's names in the global namespace: barriers, shuffles,
// votes, atomics, arithmetic. Only what kernels of this project may use; a last parameter, which nobody gives, is the
// caller's line. What reads other threads' arguments is not instrumented: the checker knows what these functions do.
#pragma once

#include <math.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/emulator/execution.h"

constexpr int warpSize = 32;

namespace gesso::emulator {

enum class Shuffle : std::uint8_t { index, up, down, butterfly };

template <class T>
struct ShuffleArgument {
  T value, result;
  int operand, width;
};

// The source lane of PTX's shfl.sync; the lane itself where the source lies outside its segment.
template <Shuffle Mode>
constexpr int shuffle_source(int lane, int operand, int width) {
  const int segment = ~(width - 1) & 31;
  const int first = lane & segment, last = first | (~segment & 31);
  if constexpr (Mode == Shuffle::up) return lane - operand >= first ? lane - operand : lane;
  if constexpr (Mode == Shuffle::down) return lane + operand <= last ? lane + operand : lane;
  if constexpr (Mode == Shuffle::butterfly) return (lane ^ operand) <= last ? lane ^ operand : lane;
  return first | (operand & ~segment & 31);
}

template <class T, Shuffle Mode>
[[gnu::no_sanitize("thread")]] void shuffle_all(void* const* arguments, unsigned mask) {
  for (unsigned left = mask; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    auto& argument = *static_cast<ShuffleArgument<T>*>(arguments[lane]);
    const int source = shuffle_source<Mode>(lane, argument.operand, argument.width);
    if (mask >> source & 1)
      std::memcpy(&argument.result, &static_cast<ShuffleArgument<T>*>(arguments[source])->value, sizeof(T));
    else
      std::memset(&argument.result, 0xFF, sizeof(T));  // undefined: poison
  }
}

template <Shuffle Mode, class T>
T shuffle(unsigned mask, T value, int operand, int width, const char* name, const Place& place) {
  ShuffleArgument<T> argument{value, value, operand, width};
  warp_collective(mask, name, &shuffle_all<T, Mode>, &argument, false, place);
  return argument.result;
}

template <class T, class Join>
[[gnu::no_sanitize("thread")]] void reduce_all(void* const* arguments, unsigned mask) {
  T joined = *static_cast<T*>(arguments[std::countr_zero(mask)]);
  for (unsigned left = mask & (mask - 1); left; left &= left - 1)
    joined = Join{}(joined, *static_cast<T*>(arguments[std::countr_zero(left)]));
  for (unsigned left = mask; left; left &= left - 1) *static_cast<T*>(arguments[std::countr_zero(left)]) = joined;
}

// Every lane gets the values of all, joined in the order of lanes.
template <class Join, class T>
T reduce(unsigned mask, T value, const char* name, const Place& place) {
  warp_collective(mask, name, &reduce_all<T, Join>, &value, false, place);
  return value;
}

struct Add {
  template <class T>
  [[gnu::always_inline]] T operator()(T a, T b) const {
    return a + b;
  }
};
struct Or {
  template <class T>
  [[gnu::always_inline]] T operator()(T a, T b) const {
    return a | b;
  }
};

// update(old) is stored; old is returned. Compilers' builtins: std::atomic_ref would be instrumented.
template <class T, class Update>
[[gnu::no_sanitize("thread"), gnu::noinline]] T atomic_update(T* target, Update update, const Place& place) {
  touch(target, sizeof(T), Access::atomic, site_of(place));
  T old, updated;
  __atomic_load(target, &old, __ATOMIC_RELAXED);
  do {
    updated = update(old);
  } while (!__atomic_compare_exchange(target, &old, &updated, /*weak=*/true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}

}  // namespace gesso::emulator

// ---- Barriers
inline void __syncthreads(gesso::emulator::Place place = gesso::emulator::Place::current()) {
  gesso::emulator::barrier(place);
}
inline int __syncthreads_count(int predicate, gesso::emulator::Place place = gesso::emulator::Place::current()) {
  return gesso::emulator::barrier_count(predicate, place);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, gesso::emulator::Place place = gesso::emulator::Place::current()) {
  gesso::emulator::warp_collective(
      mask, "__syncwarp", [](void* const*, unsigned) {}, nullptr, true, place);
}

// ---- Shuffles and votes
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize,
              gesso::emulator::Place place = gesso::emulator::Place::current()) {
  return gesso::emulator::shuffle<gesso::emulator::Shuffle::index>(mask, value, source, width, "__shfl_sync", place);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize,
                  gesso::emulator::Place place = gesso::emulator::Place::current()) {
  using enum gesso::emulator::Shuffle;
  return gesso::emulator::shuffle<butterfly>(mask, value, lane_mask, width, "__shfl_xor_sync", place);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                   gesso::emulator::Place place = gesso::emulator::Place::current()) {
  using enum gesso::emulator::Shuffle;
  return gesso::emulator::shuffle<down>(mask, value, static_cast<int>(delta), width, "__shfl_down_sync", place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                 gesso::emulator::Place place = gesso::emulator::Place::current()) {
  using enum gesso::emulator::Shuffle;
  return gesso::emulator::shuffle<up>(mask, value, static_cast<int>(delta), width, "__shfl_up_sync", place);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              gesso::emulator::Place place = gesso::emulator::Place::current()) {
  const unsigned bit = predicate ? 1u << gesso::emulator::current->lane : 0u;
  return gesso::emulator::reduce<gesso::emulator::Or>(mask, bit, "__ballot_sync", place);
}
template <class T>
T __reduce_add_sync(unsigned mask, T value, gesso::emulator::Place place = gesso::emulator::Place::current()) {
  static_assert(std::is_integral_v<T> && sizeof(T) == 4);
  return gesso::emulator::reduce<gesso::emulator::Add>(mask, value, "__reduce_add_sync", place);
}
// ---- Atomics
template <class T>
T atomicAdd(T* target, std::type_identity_t<T> value,
            gesso::emulator::Place place = gesso::emulator::Place::current()) {
  return gesso::emulator::atomic_update(
      target, [value](T old) { return static_cast<T>(old + value); }, place);
}
// ---- Arithmetic
// Rounded once, never contracted into a fused multiply-add: what must have the CPU's bits.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline int __popc(unsigned x) { return std::popcount(x); }
