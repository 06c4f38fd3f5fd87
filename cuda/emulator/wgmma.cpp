// wgmma.m64nNk16 of bf16: a warp group meets at the issue, accumulators are NaN from there to the wait, and the wait
// computes. Completion counts for the whole warp group: one thread may then release the stage for all.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "cuda/emulator/hopper.h"
#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {
namespace {

constexpr int kRows = 64, kDepth = 16, kMaxColumns = 256;

// Where element (r, k) of an operand lies in shared memory, r along M or N; a row of the tile is `span` bytes.
//   K-major:  a row is r; 8-row groups lie `stride` bytes apart.
//   MN-major: a row is k; 8-row groups lie `stride` bytes apart, and span/2 elements of r make a slab, `lead` bytes
//   apart.
class Operand {
 public:
  Operand(std::uint64_t descriptor, bool transposed)
      : start_(field(descriptor, 0)),
        lead_(field(descriptor, 16)),
        stride_(field(descriptor, 32)),
        span_(descriptor >> 62 ? 256 >> (descriptor >> 62) : 16),
        transposed_(transposed) {}
  std::size_t offset(int r, int k) const {
    const auto row = static_cast<std::size_t>(r), depth = static_cast<std::size_t>(k);
    const auto span = static_cast<std::size_t>(span_), elements = span / 2;
    if (transposed_)
      return swizzled(start_ + row / elements * lead_ + row % elements * 2 + depth / 8 * stride_ + depth % 8 * span,
                      span_);
    return swizzled(start_ + row / 8 * stride_ + row % 8 * span + depth * 2, span_);
  }
  // The reads of 16-byte pieces that make up rows r and the depth of one operation.
  void touch_all(const Block& block, int rows, Site site) const {
    const int row_step = transposed_ ? 8 : 1, depth_step = transposed_ ? 1 : 8;
    for (int r = 0; r < rows; r += row_step)
      for (int k = 0; k < kDepth; k += depth_step) touch(block.arena.data() + offset(r, k), 16, Access::read, site);
  }

 private:
  static std::size_t field(std::uint64_t descriptor, int shift) { return (descriptor >> shift & 0x3FFF) << 4; }
  std::size_t start_, lead_, stride_;
  int span_;
  bool transposed_;
};

float bf16_at(const Block& block, std::size_t offset) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, block.arena.data() + offset, sizeof bits);
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

void execute(const Block& block, WgmmaOperation& operation) {
  const Operand a(operation.a, operation.transpose_a), b(operation.b, operation.transpose_b);
  static thread_local float columns[kDepth][kMaxColumns], sums[kMaxColumns];  // fibers' stacks are small
  for (int n = 0; n < operation.n; ++n)
    for (int k = 0; k < kDepth; ++k) columns[k][n] = bf16_at(block, b.offset(n, k));
  for (int m = 0; m < kRows; ++m) {
    std::fill_n(sums, operation.n, 0.0f);
    for (int k = 0; k < kDepth; ++k) {
      const float left = bf16_at(block, a.offset(m, k));
      for (int n = 0; n < operation.n; ++n) sums[n] += left * columns[k][n];
    }
    const int warp = m / 16, row = m % 16;
    for (int n = 0; n < operation.n; ++n) {
      float& d = operation.d[warp * 32 + row % 8 * 4 + n % 8 / 2][n / 8 * 4 + row / 8 * 2 + n % 2];
      d = (operation.accumulate ? d : 0.0f) + sums[n];
    }
  }
}

// Takes the accumulators' values aside and poisons them.
void save_accumulators(WgmmaOperation& operation) {
  const int count = operation.n / 2;
  for (float* d : operation.d) {
    operation.saved.insert(operation.saved.end(), d, d + count);
    poison(d, static_cast<std::size_t>(count) * sizeof(float));
  }
}

void restore_accumulators(const WgmmaOperation& operation) {
  const int count = operation.n / 2;
  for (unsigned t = 0; t < kWarpGroup && !operation.saved.empty(); ++t)
    std::copy_n(operation.saved.data() + static_cast<std::ptrdiff_t>(t) * count, count, operation.d[t]);
}

// Executes the group's oldest operation; a later one into the same accumulators keeps them poisoned.
void finish_first(const Block& block, WarpGroup& group) {
  group.done = group.issued;
  WgmmaOperation operation = std::move(group.operations.front());
  group.operations.erase(group.operations.begin());
  restore_accumulators(operation);
  execute(block, operation);
  for (WgmmaOperation& later : group.operations) {
    if (later.d[0] != operation.d[0]) continue;
    save_accumulators(later);
    break;
  }
}

bool same_operation(const WgmmaOperation& x, const WgmmaOperation& y) {
  return x.a == y.a && x.b == y.b && x.n == y.n && x.accumulate == y.accumulate && x.transpose_a == y.transpose_a &&
         x.transpose_b == y.transpose_b;
}

}  // namespace

void wgmma(float* d, int n, std::uint64_t a, std::uint64_t b, bool accumulate, bool transpose_a, bool transpose_b,
           const Place& place) {
  Block& block = *current->block;
  WarpGroup& group = block.warp_groups[current->warp / 4];
  WgmmaOperation mine;
  mine.n = n;
  mine.a = a;
  mine.b = b;
  mine.accumulate = accumulate;
  mine.transpose_a = transpose_a;
  mine.transpose_b = transpose_b;
  mine.place = place;
  mine.group = gang->wgmma_commits[current->linear];
  if (group.arrived == 0)
    group.next = std::move(mine);
  else if (!same_operation(group.next, mine))
    stop("the warps of a group issue different wgmma operations" + at(place));
  group.next.d[current->linear % kWarpGroup] = d;
  // One lane a warp reports the operands' reads: its clock is checked against their writers.
  if (current->lane == 0) {
    Operand(a, transpose_a).touch_all(block, kRows, site_of(place));
    Operand(b, transpose_b).touch_all(block, n, site_of(place));
  }
  release_to(group.issued, *current);
  if (++group.arrived < kWarpGroup) {
    group.waiters.push_back(current);
    return suspend("wgmma", place);
  }
  group.arrived = 0;
  WgmmaOperation operation = std::exchange(group.next, {});
  const bool chained = std::any_of(group.operations.begin(), group.operations.end(),
                                   [&](const WgmmaOperation& before) { return before.d[0] == operation.d[0]; });
  if (!chained) save_accumulators(operation);
  group.operations.push_back(std::move(operation));
  for (Thread* thread : std::exchange(group.waiters, {})) make_ready(thread);
}

void wgmma_commit() { ++gang->wgmma_commits[current->linear]; }

void wgmma_wait(unsigned allowed, const Place& place) {
  const Block& block = *current->block;
  WarpGroup& group = current->block->warp_groups[current->warp / 4];
  const unsigned committed = gang->wgmma_commits[current->linear];
  const auto must_finish = [&] {
    return !group.operations.empty() && group.operations.front().group + allowed < committed;
  };
  if (must_finish()) {  // all others go first
    make_ready(current);
    suspend("a wgmma wait", place);
  }
  while (must_finish()) finish_first(block, group);
  acquire_from(group.done, *current);
}

}  // namespace gesso::emulator
