#include "core/thread_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "tests/own_process.h"

namespace gesso {
namespace {

// Chunks that need each other: returns only after two workers are inside, so a run of it is shared or never ends.
void meet(ThreadPool& pool) {
  std::atomic<int> inside = 0;
  pool.run(2, [&](std::int64_t, int) {
    inside.fetch_add(1);
    while (inside.load() < 2) std::this_thread::yield();
  });
}

TEST_SUITE("thread_pool") {
  TEST_CASE("every chunk runs exactly once, by a worker in range") {
    for (const int threads : {1, 2, 3, 8}) {
      ThreadPool pool(threads);
      CHECK(pool.threads() == threads);
      for (const std::int64_t chunks : {0, 1, 2, 7, 1000}) {
        std::vector<std::atomic<int>> done(static_cast<std::size_t>(chunks));
        std::atomic<bool> in_range = true;
        pool.run(chunks, [&](std::int64_t chunk, int worker) {
          done[static_cast<std::size_t>(chunk)].fetch_add(1);
          if (worker < 0 || worker >= threads) in_range = false;
        });
        CHECK(in_range.load());
        for (const auto& count : done) CHECK(count.load() == 1);
      }
    }
  }

  TEST_CASE("many short runs one after another lose no chunk") {
    ThreadPool pool(4);
    std::int64_t sum = 0;
    for (int round = 0; round < 5000; ++round) {
      std::atomic<std::int64_t> taken = 0;
      pool.run(5, [&](std::int64_t chunk, int) { taken.fetch_add(chunk + 1); });
      sum += taken.load();
    }
    CHECK(sum == 5000 * 15);
  }

  TEST_CASE("two workers really share a run, also after they slept, and the pool counts it") {
    ThreadPool pool(2);
    meet(pool);
    CHECK(pool.shared_runs() == 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    meet(pool);
    CHECK(pool.shared_runs() == 2);
    pool.run(1, [](std::int64_t, int) {});
    CHECK(pool.shared_runs() == 2);
  }

  TEST_CASE("a pool that is made to share shares every run of several chunks") {
    ThreadPool pool(2, ThreadPool::Sharing::forced);
    for (std::int64_t run = 1; run <= 2000; ++run) {
      std::atomic<std::int64_t> taken = 0;
      pool.run(2 + run % 3, [&](std::int64_t, int) { taken.fetch_add(1); });
      CHECK(taken.load() == 2 + run % 3);
      CHECK(pool.shared_runs() == run);
    }
    CHECK_THROWS_AS(pool.run(5, [](std::int64_t, int) { throw std::runtime_error("each"); }), std::runtime_error);
  }

  TEST_CASE("a caller that waits for a slow worker sleeps and is woken") {
    ThreadPool pool(2);
    std::atomic<int> inside = 0;
    const std::thread::id caller = std::this_thread::get_id();
    pool.run(2, [&](std::int64_t, int) {
      inside.fetch_add(1);
      while (inside.load() < 2) std::this_thread::yield();
      if (std::this_thread::get_id() != caller) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    });
    CHECK(inside.load() == 2);
  }

  TEST_CASE("a run inside a body happens in place on worker 0") {
    ThreadPool pool(3), other(3);
    std::atomic<int> inner = 0;
    std::atomic<bool> in_place = true;
    pool.run(8, [&](std::int64_t, int) {
      const std::thread::id self = std::this_thread::get_id();
      const auto body = [&](std::int64_t, int worker) {
        if (worker != 0 || std::this_thread::get_id() != self) in_place = false;
        inner.fetch_add(1);
      };
      pool.run(4, body);
      other.run(4, body);
    });
    CHECK(inner.load() == 64);
    CHECK(in_place.load());
  }

  TEST_CASE("two threads may call one pool") {
    ThreadPool pool(2);
    std::atomic<int> sum = 0;
    const auto many = [&] {
      for (int i = 0; i < 500; ++i) pool.run(3, [&](std::int64_t, int) { sum.fetch_add(1); });
    };
    std::thread second(many);
    many();
    second.join();
    CHECK(sum.load() == 3000);
  }

  TEST_CASE("an exception of a body arrives at the caller, and the pool goes on") {
    for (const int threads : {1, 2, 4}) {
      ThreadPool pool(threads);
      CHECK_THROWS_WITH_AS(pool.run(100,
                                    [](std::int64_t chunk, int) {
                                      if (chunk == 3) throw std::runtime_error("chunk 3");
                                    }),
                           "chunk 3", std::runtime_error);
      std::atomic<int> count = 0;
      pool.run(100, [&](std::int64_t, int) { count.fetch_add(1); });
      CHECK(count.load() == 100);
    }
  }

  TEST_CASE("the pieces of parallel_for do not depend on the number of threads") {
    const auto pieces = [](int threads) {
      ThreadPool pool(threads);
      std::mutex mutex;
      std::set<std::pair<std::int64_t, std::int64_t>> result;
      parallel_for(pool, 1003, 64, [&](std::int64_t begin, std::int64_t end) {
        const std::lock_guard lock(mutex);
        result.emplace(begin, end);
      });
      return result;
    };
    const auto one = pieces(1);
    CHECK(one.size() == 16);
    CHECK(one.rbegin()->second == 1003);
    CHECK(pieces(2) == one);
    CHECK(pieces(5) == one);
  }

  TEST_CASE("impossible thread counts are refused") {
    CHECK_THROWS_WITH_AS(ThreadPool(0), doctest::Contains("0 threads asked for; expected 1 to 1024"), Error);
    CHECK_THROWS_WITH_AS(ThreadPool(1025), doctest::Contains("expected 1 to 1024"), Error);
    CHECK_THROWS_AS(set_threads(-1), Error);
  }

  TEST_CASE("the process's pool can be replaced") {
    const int before = thread_pool().threads();
    set_threads(3);
    CHECK(thread_pool().threads() == 3);
    set_threads(before);
    CHECK(thread_pool().threads() == before);
  }

  TEST_CASE("the number of threads of this process is printed on request" * doctest::skip()) {
    MESSAGE("threads: ", thread_pool().threads());
  }

  TEST_CASE("GESSO_THREADS sets the process's pool, and is refused where it is no number") {
    const std::string name = "the number of threads of this process is printed on request";
    CHECK(run_own_test("GESSO_THREADS=5", name).output.find("threads: 5") != std::string::npos);
    for (const std::string wrong : {"0", "two", "3x", "-1", "99999999999"}) {
      const OwnProcess refused = run_own_test("GESSO_THREADS=" + wrong, name);
      CHECK(refused.status != 0);
      CHECK(refused.output.find("GESSO_THREADS is '" + wrong + "'; expected a whole number") != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace gesso
