#include "core/profiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>

namespace gesso {
namespace {

struct State {
  std::atomic<bool> on = false;
  std::mutex mutex;
  std::vector<ProfileEvent> events;
};
State& state() {
  static State s;
  return s;
}

thread_local const ProfileRange* innermost = nullptr;
std::atomic<const RangeObserver*> range_observer = nullptr;

int thread_number() {
  static std::atomic<int> next = 0;
  thread_local const int number = next++;
  return number;
}

std::int64_t now_ns() {
  using namespace std::chrono;
  return duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

constexpr std::string_view kKindNames[] = {"step", "phase", "module", "op"};
std::string_view name_of(RangeKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

std::string json_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out;
}

}  // namespace

ProfileRange::ProfileRange(RangeKind kind, std::string_view name) : name_(name), outer_(innermost), kind_(kind) {
  innermost = this;
  if (const RangeObserver* observer = range_observer.load(std::memory_order_acquire)) observer->opened(kind, name);
  if (state().on.load(std::memory_order_relaxed)) begin_ns_ = now_ns();
}

ProfileRange::~ProfileRange() {
  innermost = outer_;
  if (const RangeObserver* observer = range_observer.load(std::memory_order_acquire)) observer->closed(kind_);
  if (begin_ns_ == 0 || !state().on.load(std::memory_order_relaxed)) return;
  ProfileEvent event{.name = std::string(name_),
                     .pass = std::move(pass_),
                     .operands = std::move(operands_),
                     .kind = kind_,
                     .thread = thread_number(),
                     .begin_ns = begin_ns_,
                     .end_ns = now_ns(),
                     .flops = flops_,
                     .bytes = bytes_};
  const std::lock_guard lock(state().mutex);
  state().events.push_back(std::move(event));
}

std::string module_path() {
  for (const ProfileRange* range = innermost; range; range = range->outer_)
    if (range->kind_ == RangeKind::module) return std::string(range->name_);
  return {};
}

std::string_view op_at_work() {
  for (const ProfileRange* range = innermost; range; range = range->outer_)
    if (range->kind_ == RangeKind::op) return range->name_;
  return {};
}

void set_range_observer(const RangeObserver& observer) { range_observer = &observer; }

Profiler& Profiler::instance() {
  static Profiler profiler;
  return profiler;
}
void Profiler::start() { state().on = true; }
void Profiler::stop() { state().on = false; }
bool Profiler::on() const { return state().on; }
void Profiler::clear() {
  const std::lock_guard lock(state().mutex);
  state().events.clear();
}

std::vector<ProfileEvent> Profiler::events() const {
  const std::lock_guard lock(state().mutex);
  return state().events;
}

std::vector<ProfileRow> Profiler::rows() const {
  const std::lock_guard lock(state().mutex);
  // Events end before the ranges around them do: what ended since an outer range's begin, on its thread, lies inside
  // it.
  std::map<int, std::vector<const ProfileEvent*>> open;
  std::map<std::pair<RangeKind, std::string>, ProfileRow> rows;
  for (const ProfileEvent& event : state().events) {
    auto& inner = open[event.thread];
    double inside_ns = 0;
    while (!inner.empty() && inner.back()->begin_ns >= event.begin_ns) {
      inside_ns += static_cast<double>(inner.back()->end_ns - inner.back()->begin_ns);
      inner.pop_back();
    }
    inner.push_back(&event);
    const double ns = static_cast<double>(event.end_ns - event.begin_ns);
    ProfileRow& row = rows[{event.kind, event.name}];
    row.name = event.name;
    row.kind = event.kind;
    ++row.calls;
    row.ms += ns * 1e-6;
    row.self_ms += (ns - inside_ns) * 1e-6;
    row.flops += event.flops;
    row.bytes += event.bytes;
  }
  std::vector<ProfileRow> sorted;
  for (auto& [key, row] : rows) sorted.push_back(std::move(row));
  std::ranges::stable_sort(sorted, std::greater(), &ProfileRow::self_ms);
  return sorted;
}

std::string Profiler::table() const {
  std::string text = fmt::format("{:<7} {:<40} {:>8} {:>10} {:>10} {:>9} {:>8}\n", "kind", "name", "calls", "ms",
                                 "self ms", "GFLOP/s", "GB/s");
  for (const ProfileRow& row : rows()) {
    text += fmt::format("{:<7} {:<40} {:>8} {:>10.3f} {:>10.3f}", name_of(row.kind), row.name, row.calls, row.ms,
                        row.self_ms);
    if (row.flops > 0 || row.bytes > 0)
      text += fmt::format(" {:>9.1f} {:>8.1f}", row.flops / row.ms * 1e-6, row.bytes / row.ms * 1e-6);
    text += '\n';
  }
  return text;
}

std::string Profiler::chrome_trace() const {
  const std::lock_guard lock(state().mutex);
  std::string json = "{\"traceEvents\":[";
  bool first = true;
  for (const ProfileEvent& event : state().events) {
    json += fmt::format(
        "{}{{\"name\":\"{}\",\"cat\":\"{}\",\"ph\":\"X\",\"ts\":{:.3f},\"dur\":{:.3f},\"pid\":0,\"tid\":{},"
        "\"args\":{{\"pass\":\"{}\",\"operands\":\"{}\",\"flops\":{:.0f},\"bytes\":{:.0f}}}}}",
        first ? "\n" : ",\n", json_escaped(event.name), name_of(event.kind), static_cast<double>(event.begin_ns) * 1e-3,
        static_cast<double>(event.end_ns - event.begin_ns) * 1e-3, event.thread, json_escaped(event.pass),
        json_escaped(event.operands), event.flops, event.bytes);
    first = false;
  }
  return json + "\n]}\n";
}

}  // namespace gesso
