// The profiler: what is counted where, as a table and as a trace.
#include "core/profiler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

namespace gesso {
namespace {

void spend_some_time() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(300);
  while (std::chrono::steady_clock::now() < end) {
  }
}

// The profiler, on while it lives, empty before and after.
class Profiled {
 public:
  Profiled() {
    Profiler::instance().clear();
    Profiler::instance().start();
  }
  ~Profiled() {
    Profiler::instance().stop();
    Profiler::instance().clear();
  }
  Profiled(const Profiled&) = delete;
  Profiled& operator=(const Profiled&) = delete;
};

ProfileRow row(std::string_view name) {
  for (const ProfileRow& found : Profiler::instance().rows())
    if (found.name == name) return found;
  FAIL("no row ", name);
  return {};
}
std::size_t rows() { return Profiler::instance().rows().size(); }

void run_step() {
  const ProfileRange step(RangeKind::step, "step");
  spend_some_time();
  for (int i = 0; i < 2; ++i) {
    const ProfileRange block(RangeKind::module, "encoder.block");
    spend_some_time();
    ProfileRange op(RangeKind::op, "conv2d");
    op.add_work(2e6, 1e6);
    op.add_work(1e6, 0);
    op.describe("forward", "[2] f32 -> [] f32");
    spend_some_time();
  }
}

TEST_SUITE("profiler") {
  TEST_CASE("a range's own time leaves out the ranges inside it") {
    const Profiled on;
    run_step();
    const ProfileRow step = row("step"), block = row("encoder.block"), op = row("conv2d");
    CHECK(step.calls == 1);
    CHECK(block.calls == 2);
    CHECK(op.calls == 2);
    CHECK(op.self_ms == op.ms);
    CHECK(op.ms >= 0.6);
    CHECK(block.self_ms == doctest::Approx(block.ms - op.ms));
    CHECK(step.self_ms == doctest::Approx(step.ms - block.ms));
    CHECK(step.self_ms >= 0.3);
    CHECK(op.flops == 6e6);
    CHECK(op.bytes == 2e6);
  }

  TEST_CASE("ranges of other threads do not count as inside") {
    const Profiled on;
    {
      const ProfileRange outer(RangeKind::phase, "load");
      std::thread([] {
        const ProfileRange inner(RangeKind::phase, "decode");
        spend_some_time();
      }).join();
    }
    CHECK(row("load").self_ms == row("load").ms);
    CHECK(row("load").ms >= row("decode").ms);
  }

  TEST_CASE("rows are sorted by their own time, and name kind, calls and rates in the table") {
    const Profiled on;
    run_step();
    const auto found = Profiler::instance().rows();
    CHECK(std::ranges::is_sorted(found, std::greater(), &ProfileRow::self_ms));
    const std::string table = Profiler::instance().table();
    for (const char* word : {"kind", "self ms", "GFLOP/s", "step", "module", "encoder.block", "conv2d"})
      CHECK_MESSAGE(table.find(word) != std::string::npos, word);
    CHECK(std::ranges::count(table, '\n') == 4);
  }

  TEST_CASE("the trace is JSON that holds every range with its nesting") {
    const Profiled on;
    run_step();
    { const ProfileRange odd(RangeKind::phase, "a \"quoted\\name\"\n"); }
    const auto trace = nlohmann::json::parse(Profiler::instance().chrome_trace());
    const auto& events = trace.at("traceEvents");
    REQUIRE(events.size() == 6);
    const auto& op = events[0];
    const auto& step = events[4];
    CHECK(op.at("name") == "conv2d");
    CHECK(op.at("cat") == "op");
    CHECK(op.at("ph") == "X");
    CHECK(op.at("args").at("flops") == 3000000);
    CHECK(op.at("args").at("pass") == "forward");
    CHECK(op.at("args").at("operands") == "[2] f32 -> [] f32");
    CHECK(step.at("args").at("pass") == "");
    CHECK(step.at("name") == "step");
    CHECK(op.at("tid") == step.at("tid"));
    CHECK(op.at("ts").get<double>() >= step.at("ts").get<double>());
    CHECK(op.at("ts").get<double>() + op.at("dur").get<double>() <=
          step.at("ts").get<double>() + step.at("dur").get<double>() + 0.01);
    CHECK(events[5].at("name") == "a \"quoted\\name\"");
  }

  TEST_CASE("off, nothing is kept; ranges still name the place") {
    Profiler::instance().clear();
    CHECK(!Profiler::instance().on());
    CHECK(module_path().empty());
    {
      const ProfileRange block(RangeKind::module, "encoder.block");
      const ProfileRange op(RangeKind::op, "conv2d");
      CHECK(module_path() == "encoder.block");
      {
        const ProfileRange inner(RangeKind::module, "encoder.block.conv1");
        CHECK(module_path() == "encoder.block.conv1");
      }
      CHECK(module_path() == "encoder.block");
    }
    CHECK(module_path().empty());
    CHECK(rows() == 0);
  }

  TEST_CASE("a range that was open when the profiler came on, or closed after it went off, is left out") {
    Profiler::instance().clear();
    {
      const ProfileRange before(RangeKind::phase, "before");
      const Profiled on;
      { const ProfileRange inside(RangeKind::phase, "inside"); }
      const ProfileRange after(RangeKind::phase, "after");
      CHECK(rows() == 1);
      Profiler::instance().stop();
    }
    CHECK(rows() == 0);
  }

  TEST_CASE("an empty trace is JSON too") {
    Profiler::instance().clear();
    CHECK(nlohmann::json::parse(Profiler::instance().chrome_trace()).at("traceEvents").empty());
  }
}

}  // namespace
}  // namespace gesso
