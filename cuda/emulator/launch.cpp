// A launch: the limits of the hardware, the order of blocks, and each block from start to end.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>

#include "core/error.h"
#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {

constinit Checker checker;
std::uint64_t launch_number = 0;

namespace {

std::mutex launch_mutex;  // one grid at a time: device memory has one state
Statistics all_statistics;

unsigned volume(const dim3& extent) { return extent.x * extent.y * extent.z; }

uint3 position(unsigned linear, const dim3& extent) {
  return {linear % extent.x, linear / extent.x % extent.y, linear / extent.x / extent.y};
}

void check_limits(const LaunchShape& launch) {
  const auto [gx, gy, gz] = launch.grid;
  const auto [bx, by, bz] = launch.block;
  const auto threads = std::uint64_t{bx} * by * bz;
  if (threads == 0 || bx > 1024 || by > 1024 || bz > 64 || threads > 1024)
    fail("a block of {}x{}x{} threads; there must be 1 to 1024, 64 of them in z", bx, by, bz);
  if (gx == 0 || gy == 0 || gz == 0 || gx > 0x7fffffffu || gy > 65535 || gz > 65535 ||
      std::uint64_t{gx} * gy * gz > 0x7fffffffu)
    fail("a grid of {}x{}x{} blocks; each extent must be at least 1, y and z at most 65535", gx, gy, gz);
  if (launch.shared_bytes > kMaxDynamicBytes)
    fail("{} bytes of dynamic shared memory; a block has {}", launch.shared_bytes, kMaxDynamicBytes);
}

void reserve_stacks(Gang& g, std::size_t threads) {
  constexpr std::size_t kSpan = kStackBytes + kGuardPage;
  if (g.stack_area.size() < threads * kSpan) {
    g.stack_area = MappedMemory(threads * kSpan);
    for (std::size_t i = 0; i < threads; ++i) g.stack_area.forbid(i * kSpan, kGuardPage);
  } else if (g.free_stacks.size() * kSpan == g.stack_area.size()) {
    return;
  }
  g.free_stacks.clear();  // after an error abandoned fibers still hold some
  for (std::size_t end = g.stack_area.size(); end > 0; end -= kSpan)
    g.free_stacks.push_back(g.stack_area.data() + end - kSpan + kGuardPage);
}

void prepare(Gang& g, const LaunchShape& shape, const BoundKernel& kernel) {
  const std::size_t threads = volume(shape.block);
  g.shape = &shape;
  g.kernel = &kernel;
  g.threads.resize(threads);
  g.queue.resize(threads);
  if (is_checked()) g.clocks.resize(threads * threads);
  reserve_stacks(g, threads);
}

void start_block(Gang& g, unsigned linear) {
  Block& block = g.block;
  const LaunchShape& launch = *g.shape;
  const unsigned threads = volume(launch.block);
  block.view = {position(linear, launch.grid), launch.block, launch.grid};
  block.threads = block.live = threads;
  block.linear = linear;
  block.warps.assign((threads + 31) / 32, Warp{});
  block.barrier = Barrier{};
  block.mbarriers.clear();
  for (WarpGroup& group : block.warp_groups) group = WarpGroup{};
  if (checker.forget_block) checker.forget_block(block);
  start_shared_memory(block, launch.shared_bytes);
  for (unsigned t = 0; t < threads; ++t) {
    Thread& thread = g.threads[t];
    thread = Thread{};
    thread.index = position(t, launch.block);
    thread.linear = t;
    thread.lane = t % 32;
    thread.warp = t / 32;
    thread.view = &block.view;
    thread.block = &block;
    block.warps[thread.warp].exists |= 1u << thread.lane;
    if (is_checked()) {
      thread.clock = g.clocks.data() + t * g.threads.size();
      std::fill_n(thread.clock, g.threads.size(), 0u);
      thread.clock[t] = 1;
    }
    make_ready(&thread);
  }
}

// Throws where the block ended with work that nobody waited for.
void end_block(const Gang& g) {
  for (const AsyncCopies& copies : g.async_copies) {
    if (!copies.open.empty()) fail("a block ended with a cp.async never committed{}", at(copies.open[0].place));
    for (const auto& group : copies.groups)
      if (!group.empty()) fail("a block ended with a cp.async never waited for{}", at(group[0].place));
  }
  end_shared_memory(g.block);
  for (const WarpGroup& group : g.block.warp_groups)
    if (!group.operations.empty()) fail("a block ended with a wgmma never waited for{}", at(group.operations[0].place));
  if (!g.bulk_copies.empty()) fail("a block ended with a bulk copy in flight{}", at(g.bulk_copies[0].place));
}

void run_block(Gang& g, unsigned linear) {
  const unsigned threads = static_cast<unsigned>(g.threads.size());
  g.head = g.runnable = 0;
  g.alive = threads;
  g.error.clear();
  g.bulk_copies.clear();
  g.async_copies.assign(threads, {});
  g.wgmma_commits.assign(threads, 0);
  g.random = options().seed * 0x9E3779B97F4A7C15u + linear;
  start_block(g, linear);
  ++g.statistics.blocks;
  g.statistics.threads += threads;
  run_all_threads();
  if (!g.error.empty()) fail("{}", g.error);
  end_block(g);
}

// In which order the blocks of a grid run.
std::vector<unsigned> block_order(const LaunchShape& launch) {
  std::vector<unsigned> order(volume(launch.grid));
  std::iota(order.begin(), order.end(), 0u);
  if (options().blocks == Order::lifo) std::reverse(order.begin(), order.end());
  if (options().blocks == Order::random) {
    std::uint64_t random = options().seed;
    for (std::size_t left = order.size(); left > 1; --left)
      std::swap(order[left - 1], order[next_random(random) % left]);
  }
  return order;
}

// The work that OS threads share: each takes the next block until none is left or one has failed.
struct Grid {
  Grid(const LaunchShape& of, const BoundKernel& runs) : shape(of), kernel(runs), order(block_order(of)) {}
  const LaunchShape& shape;
  const BoundKernel& kernel;
  std::vector<unsigned> order;
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::string error;
};

void add(Statistics& sum, const Statistics& part) {
  sum.blocks += part.blocks;
  sum.threads += part.threads;
  sum.switches += part.switches;
  sum.collectives += part.collectives;
  sum.barriers += part.barriers;
}

void work(Grid& grid) {
  static thread_local const auto own = std::make_unique<Gang>();  // keeps stacks and arenas
  gang = own.get();
  gang->statistics = {};
  std::string error;
  try {
    catch_crashes();
    prepare(*gang, grid.shape, grid.kernel);
    for (std::size_t i = 0; (i = grid.next++) < grid.order.size();) run_block(*gang, grid.order[i]);
  } catch (const std::exception& thrown) {
    grid.next = grid.order.size();
    error = thrown.what();
  }
  const std::lock_guard lock(grid.mutex);
  if (grid.error.empty()) grid.error = error;
  add(all_statistics, gang->statistics);
  gang = nullptr;
}

void run_grid(Grid& grid) {
  const std::size_t workers = is_checked() ? 1 : std::min<std::size_t>(options().workers, grid.order.size());
  if (workers <= 1) return work(grid);
  catch_crashes();  // before the workers do, all at once
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < workers; ++i) threads.emplace_back(work, std::ref(grid));
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

Options& options() {
  static Options shared;
  return shared;
}

const Statistics& statistics() { return all_statistics; }
void reset_statistics() { all_statistics = {}; }
bool is_checked() { return checker.touch != nullptr; }

void run(const LaunchShape& shape, const BoundKernel& kernel, std::string_view op) {
  const std::lock_guard lock(launch_mutex);
  std::string error;
  try {
    check_limits(shape);
    ++launch_number;
    Grid grid(shape, kernel);
    const HostAccess access;
    run_grid(grid);
    error = std::move(grid.error);
  } catch (const Error& thrown) {
    error = thrown.what();
  }
  ++all_statistics.launches;
  ++all_statistics.launches_by_op[std::string(op)];
  if (error.empty()) return;
  fail("emulated kernel {} (launched{}{}{}): {}", function_name(kernel.address()), at(shape.place),
       op.empty() ? "" : " by op ", op, error);
}

}  // namespace gesso::emulator
