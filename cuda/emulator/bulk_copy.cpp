// The bulk tensor copy engine: tiles, and the pixels of a convolution (im2col). A copy checks and poisons its target at
// issue; it happens when no thread can run, or at random under the random schedule.
#include <algorithm>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "cuda/emulator/hopper.h"
#include "cuda/emulator/mbarriers.h"

namespace gesso::emulator {
namespace {

constexpr std::size_t kElement = 2;  // bytes of a bf16
constexpr int kSwizzle = 128;

struct CopyPlan {
  TensorMap map;
  std::int64_t coordinates[5] = {};
  std::int64_t filter_offset[2] = {};
};

// Where the row of a box at these coordinates begins; null where it lies outside in any dimension but the innermost.
const std::byte* row_address(const TensorMap& map, const std::int64_t* x) {
  const std::byte* address = map.base;
  for (int i = 0; i < map.rank; ++i) {
    if (i && (x[i] < 0 || x[i] >= map.dims[i])) return nullptr;
    address += x[i] * map.strides[i];
  }
  return address;
}

// Coordinates c, w, h, n: walks w, then h, then n inside the bounding box; the filter's offset is added to each pixel.
template <class Row>
void for_pixels(const CopyPlan& plan, Row row) {
  const TensorMap& map = plan.map;
  std::int64_t w = plan.coordinates[1], h = plan.coordinates[2], n = plan.coordinates[3];
  for (unsigned pixel = 0; pixel < map.pixels; ++pixel) {
    const std::int64_t x[4] = {plan.coordinates[0], w + plan.filter_offset[0], h + plan.filter_offset[1], n};
    row(map.channels, x[0], row_address(map, x));
    w += map.step[1];
    if (w <= map.dims[1] - 1 + map.upper[0]) continue;
    w = map.lower[0];
    h += map.step[2];
    if (h <= map.dims[2] - 1 + map.upper[1]) continue;
    h = map.lower[1];
    ++n;
  }
}

template <class Row>
void for_tile(const CopyPlan& plan, Row row) {
  const TensorMap& map = plan.map;
  std::uint32_t i[5] = {};
  for (int d = 1;; d = 1) {
    std::int64_t x[5] = {};
    for (int k = 0; k < map.rank; ++k) x[k] = plan.coordinates[k] + i[k];
    row(map.box[0], x[0], row_address(map, x));
    while (d < map.rank && ++i[d] == map.box[d]) i[d++] = 0;
    if (d >= map.rank) return;
  }
}

// row(elements, first innermost coordinate, address or null) for each row of the copy, in the order of shared memory.
template <class Row>
void for_rows(const CopyPlan& plan, Row row) {
  if (plan.map.im2col) return for_pixels(plan, row);
  for_tile(plan, row);
}

// Counts the bytes of the target and reports the reads of the source.
std::size_t check_source(const CopyPlan& plan, Site site) {
  std::size_t bytes = 0;
  for_rows(plan, [&](unsigned elements, std::int64_t x0, const std::byte* source) {
    bytes += elements * kElement;
    const std::int64_t inside = std::min<std::int64_t>(elements, plan.map.dims[0] - x0);
    if (source && x0 >= 0 && inside > 0) touch(source, static_cast<std::size_t>(inside) * kElement, Access::read, site);
  });
  return bytes;
}

void move(const CopyPlan& plan, std::byte* arena, std::size_t target) {
  for_rows(plan, [&](unsigned elements, std::int64_t x0, const std::byte* source) {
    for (unsigned e = 0; e < elements; ++e, target += kElement) {
      const bool inside = source && x0 + e >= 0 && x0 + e < plan.map.dims[0];
      std::byte* to = arena + swizzled(target, plan.map.swizzle);
      if (inside)
        std::memcpy(to, source + e * kElement, kElement);
      else
        std::memset(to, 0, kElement);  // what lies outside the tensor is zero
    }
  });
}

}  // namespace

TensorMap make_tensor_map(const void* base, int rank, const std::uint64_t* dims, const std::uint64_t* strides,
                          const std::uint32_t* box) {
  TensorMap map;
  map.base = static_cast<const std::byte*>(base);
  map.rank = rank;
  map.swizzle = kSwizzle;
  if (reinterpret_cast<std::uintptr_t>(base) % 16) fail("tensor map: the base {} is not 16-byte aligned", base);
  for (int i = 0; i < rank; ++i) {
    map.dims[i] = static_cast<std::int64_t>(dims[i]);
    map.strides[i] = i ? static_cast<std::int64_t>(strides[i - 1]) : std::int64_t{kElement};
    map.box[i] = box ? box[i] : 1;
    map.step[i] = 1;
    if (dims[i] == 0) fail("tensor map: dimension {} is empty", i);
    if (i && strides[i - 1] % 16) fail("tensor map: stride {} is {} bytes, no multiple of 16", i, strides[i - 1]);
    if (map.box[i] == 0 || map.box[i] > 256) fail("tensor map: a box side of {}; 1 to 256 are possible", map.box[i]);
  }
  if (box && box[0] * kElement > kSwizzle)
    fail("tensor map: {} elements a row are wider than the swizzle's {} bytes", box[0], kSwizzle);
  return map;
}

TensorMap make_im2col_map(const void* base, const std::uint64_t* dims, const std::uint64_t* strides, const int* lower,
                          const int* upper, unsigned channels, unsigned pixels, const std::uint32_t* step) {
  TensorMap map = make_tensor_map(base, 4, dims, strides, nullptr);
  map.im2col = true;
  map.channels = channels;
  map.pixels = pixels;
  std::copy_n(step, 4, map.step);
  for (int i = 0; i < 2; ++i) {
    map.lower[i] = lower[i];
    map.upper[i] = upper[i];
    if (std::min(lower[i], upper[i]) < -128 || std::max(lower[i], upper[i]) > 127)
      fail("im2col map: corners {} and {} of the bounding box; -128 to 127 are possible", lower[i], upper[i]);
  }
  if (channels == 0 || channels % 8 || channels * kElement > kSwizzle || pixels == 0 || pixels > 1024)
    fail("im2col map: {} channels and {} pixels; a multiple of 8 up to 64, and 1 to 1024", channels, pixels);
  return map;
}

void bulk_load(void* shared, const TensorMap& map, const int* coordinates, const std::uint16_t* filter_offset,
               std::uint64_t* barrier, const Place& place) {
  Block& block = *current->block;
  const std::size_t target = block.offset(shared);
  if (target >= kArena || target % 128)
    stop("a bulk tensor copy to what is not 128-byte aligned shared memory" + at(place));
  CopyPlan plan{map};
  std::copy_n(coordinates, map.rank, plan.coordinates);
  if (filter_offset) std::copy_n(filter_offset, 2, plan.filter_offset);
  const std::size_t bytes = check_source(plan, site_of(place));
  if (target + bytes > kArena) stop("a bulk tensor copy runs past the end of shared memory" + at(place));
  touch(shared, bytes, Access::write, site_of(place));
  poison(shared, bytes);
  if (checker.set_in_flight) checker.set_in_flight(block, target, bytes, true);
  Mbarrier* completes = &mbarrier_at(barrier, place);
  Clock issued;
  release_to(issued, *current);
  tick(*current);
  const auto finish = [=, &block] {
    move(plan, block.arena.data(), target);
    if (checker.set_in_flight) checker.set_in_flight(block, target, bytes, false);
    join(completes->clock, issued);
    completes->transaction_bytes -= static_cast<std::int64_t>(bytes);
    flip_if_complete(*completes);
  };
  gang->bulk_copies.push_back({finish, place});
}

}  // namespace gesso::emulator
