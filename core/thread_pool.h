// Threads share out chunks; which thread takes which chunk is chance, so results must depend on the chunk alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace gesso {

// A callable by reference: no allocation; must not outlive the callable.
template <class Signature>
class FunctionRef;
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>) FunctionRef(F&& f)  // implicit, as with std::function
      : object_(const_cast<void*>(static_cast<const void*>(&f))), call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(static_cast<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, static_cast<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

class ThreadPool {
 public:
  // by_chance: a worker that wakes late finds no chunk left. forced: nobody takes a second chunk of a run before
  // somebody else has taken one; for checks that must know that threads really ran. idle: no chunk is run, and there
  // are no threads; what a kernel does around its runs shows what memory it would take.
  enum class Sharing : std::uint8_t { by_chance, forced, idle };

  // `threads` workers, the caller among them. Throws on fewer than 1 or more than 1024; ErrorKind::memory where the
  // system starts no more.
  explicit ThreadPool(int threads, Sharing sharing = Sharing::by_chance);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;
  bool is_idle() const;
  // Calls body(chunk, worker) for each chunk in [0, chunks), worker in [0, threads()); returns when all are done. The
  // first exception of a body is thrown here. A call from inside a body runs its chunks in place, on worker 0 of that
  // inner call.
  void run(std::int64_t chunks, FunctionRef<void(std::int64_t chunk, int worker)> body);
  // In how many of the runs so far did at least two workers take chunks: lets a test know that threads really ran.
  std::int64_t shared_runs() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The process's pool: as many threads as processors, or GESSO_THREADS.
ThreadPool& thread_pool();
// Replaces the process's pool; not while it runs. Throws as ThreadPool does.
void set_threads(int threads);
// As many threads, all idle: of devices that do not compute.
ThreadPool& idle_pool();

// body(begin, end) over [0, n) in pieces of `grain`: the pieces depend on n and grain only, never on the thread count.
template <class F>
void parallel_for(ThreadPool& pool, std::int64_t n, std::int64_t grain, F&& body) {
  const std::int64_t chunks = (n + grain - 1) / grain;
  if (chunks <= 1) {
    if (n > 0 && !pool.is_idle()) body(std::int64_t{0}, n);
    return;
  }
  pool.run(chunks, [&](std::int64_t chunk, int) { body(chunk * grain, std::min(n, (chunk + 1) * grain)); });
}

}  // namespace gesso
