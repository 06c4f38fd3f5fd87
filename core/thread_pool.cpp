#include "core/thread_pool.h"

#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"

namespace gesso {
namespace {

constexpr int kMaxThreads = 1024;
// How often a waiting thread looks before it sleeps: about 50 us at 40 cycles a pause, longer than the gap between two
// kernels of a step. Waiting longer costs other processes more than the wake-up (5-50 us) costs us.
constexpr int kSpins = 4000;

using Body = FunctionRef<void(std::int64_t, int)>;

// Whether this thread is inside a body; then a further run happens in place.
thread_local bool inside_body = false;

class InsideBody {
 public:
  InsideBody() : outer_(inside_body) { inside_body = true; }
  ~InsideBody() { inside_body = outer_; }
  InsideBody(const InsideBody&) = delete;
  InsideBody& operator=(const InsideBody&) = delete;

 private:
  bool outer_;
};

void run_in_place(std::int64_t chunks, Body body) {
  const InsideBody inside;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk, 0);
}

// What is under way, in one word, so that joining is one compare-and-swap: [run number : 47][open : 1][workers inside :
// 16]. A worker may join an open run only; the caller closes it when no chunk is left and waits for those inside. So a
// worker that wakes late delays nobody.
constexpr std::uint64_t kInside = 0xFFFF, kOpen = 0x10000, kRun = 0x20000;

}  // namespace

struct ThreadPool::State {
  const Sharing sharing;
  const int threads;

  // Written by the caller while no run is open, read by those inside.
  const Body* body = nullptr;
  std::int64_t chunks = 0;
  std::exception_ptr first_error;  // under error_mutex

  alignas(64) std::atomic<std::uint64_t> word = 0;
  alignas(64) std::atomic<std::int64_t> next_chunk = 0;
  alignas(64) std::atomic<int> sleepers = 0;
  std::atomic<int> takers = 0;
  std::atomic<bool> stopping = false, caller_sleeps = false;
  std::atomic<std::int64_t> shared_runs = 0;
  std::mutex run_mutex, sleep_mutex, error_mutex;
  std::condition_variable wake, all_left;
  std::vector<std::thread> workers;

  State(Sharing how, int count) : sharing(how), threads(count) {}
  ~State();
  void take_chunks(int worker);
  void work(int worker);
  void await_run(std::uint64_t seen);
  void open();
  void leave();
  void close();
};

void ThreadPool::State::take_chunks(int worker) {
  const InsideBody inside;
  bool took = false;
  for (;;) {
    const std::int64_t chunk = next_chunk.fetch_add(1, std::memory_order_relaxed);
    if (chunk >= chunks) return;
    if (!took) takers.fetch_add(1, std::memory_order_relaxed);
    took = true;
    // A chunk is left for somebody else: there are at least two, and of those here each holds one.
    while (sharing == Sharing::forced && takers.load(std::memory_order_relaxed) < 2) std::this_thread::yield();
    try {
      (*body)(chunk, worker);
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      if (!first_error) first_error = std::current_exception();
      next_chunk.store(chunks, std::memory_order_relaxed);  // nobody starts another
    }
  }
}

// Returns when the run number is another than `seen`, or the pool stops.
void ThreadPool::State::await_run(std::uint64_t seen) {
  const auto changed = [&] { return word.load() / kRun != seen || stopping.load(); };
  for (int i = 0; i < kSpins; ++i) {
    if (changed()) return;
    __builtin_ia32_pause();
  }
  std::unique_lock lock(sleep_mutex);
  sleepers.fetch_add(1);
  wake.wait(lock, changed);
  sleepers.fetch_sub(1);
}

void ThreadPool::State::work(int worker) {
  std::uint64_t seen = 0;
  for (;;) {
    await_run(seen);
    if (stopping.load()) return;
    std::uint64_t now = word.load();
    seen = now / kRun;
    while ((now & kOpen) != 0 && now / kRun == seen)
      if (word.compare_exchange_weak(now, now + 1)) {
        take_chunks(worker);
        leave();
        break;
      }
  }
}

void ThreadPool::State::open() {
  word.store((word.load() / kRun + 1) * kRun + kOpen);
  // Sequential consistency: either the sleeper sees the new run, or we see the sleeper.
  if (sleepers.load() == 0) return;
  { const std::lock_guard lock(sleep_mutex); }
  wake.notify_all();
}

void ThreadPool::State::leave() {
  word.fetch_sub(1);
  if (!caller_sleeps.load()) return;
  { const std::lock_guard lock(sleep_mutex); }
  all_left.notify_one();
}

void ThreadPool::State::close() {
  word.fetch_and(~kOpen);
  const auto empty = [&] { return (word.load() & kInside) == 0; };
  for (int i = 0; i < kSpins; ++i) {
    if (empty()) return;
    __builtin_ia32_pause();
  }
  std::unique_lock lock(sleep_mutex);
  caller_sleeps.store(true);
  all_left.wait(lock, empty);
  caller_sleeps.store(false);
}

ThreadPool::State::~State() {
  {
    const std::lock_guard lock(sleep_mutex);
    stopping.store(true);
  }
  wake.notify_all();
  for (std::thread& worker : workers) worker.join();
}

ThreadPool::ThreadPool(int threads, Sharing sharing) : state_(std::make_unique<State>(sharing, threads)) {
  if (threads < 1 || threads > kMaxThreads)
    fail("thread pool: {} threads asked for; expected 1 to {}", threads, kMaxThreads);
  if (is_idle()) return;
  try {
    for (int worker = 1; worker < threads; ++worker)
      state_->workers.emplace_back([state = state_.get(), worker] { state->work(worker); });
  } catch (const std::system_error& error) {
    fail(ErrorKind::memory,
         "thread pool: only {} of {} threads could be started ({}); ask for fewer with --threads, or allow more memory "
         "(ulimit -v) or processes (ulimit -u)",
         state_->workers.size() + 1, threads, error.what());
  }
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const { return state_->threads; }
bool ThreadPool::is_idle() const { return state_->sharing == Sharing::idle; }

void ThreadPool::run(std::int64_t chunks, Body body) {
  if (is_idle()) return;
  if (inside_body || chunks <= 1 || state_->workers.empty()) return run_in_place(chunks, body);
  State& state = *state_;
  const std::lock_guard one_at_a_time(state.run_mutex);
  state.body = &body;
  state.chunks = chunks;
  state.first_error = nullptr;
  state.takers.store(0, std::memory_order_relaxed);
  state.next_chunk.store(0, std::memory_order_relaxed);
  state.open();
  state.take_chunks(0);
  state.close();
  if (state.takers.load(std::memory_order_relaxed) >= 2) state.shared_runs.fetch_add(1, std::memory_order_relaxed);
  if (state.first_error) std::rethrow_exception(std::exchange(state.first_error, nullptr));
}

std::int64_t ThreadPool::shared_runs() const { return state_->shared_runs.load(std::memory_order_relaxed); }

namespace {

int default_threads() {
  const char* given = std::getenv("GESSO_THREADS");
  if (given == nullptr) return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
  const std::string_view text = given;
  int threads = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), threads);
  if (error != std::errc{} || end != text.data() + text.size() || threads < 1 || threads > kMaxThreads)
    fail("GESSO_THREADS is '{}'; expected a whole number from 1 to {}", text, kMaxThreads);
  return threads;
}

struct ProcessPools {
  std::unique_ptr<ThreadPool> working, idle;
  explicit ProcessPools(int threads)
      : working(std::make_unique<ThreadPool>(threads)),
        idle(std::make_unique<ThreadPool>(threads, ThreadPool::Sharing::idle)) {}
};
ProcessPools& process_pools() {
  static ProcessPools pools(default_threads());
  return pools;
}

}  // namespace

ThreadPool& thread_pool() { return *process_pools().working; }
ThreadPool& idle_pool() { return *process_pools().idle; }

void set_threads(int threads) {
  ProcessPools replacement(threads);
  process_pools() = std::move(replacement);
}

}  // namespace gesso
