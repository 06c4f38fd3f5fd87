// Where the time goes: scoped ranges on a monotonic clock, a table by name, and a trace that Perfetto or
// chrome://tracing opens. Off, a range costs two stores: it still names the place for error messages ("in
// encoder.conv1").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gesso {

enum class RangeKind : std::uint8_t { step, phase, module, op };

// Opens at construction, closes at destruction, on this thread. name: must outlive the range; while the profiler is on,
// until it is cleared.
class ProfileRange {
 public:
  ProfileRange(RangeKind kind, std::string_view name);
  ~ProfileRange();
  ProfileRange(const ProfileRange&) = delete;
  ProfileRange& operator=(const ProfileRange&) = delete;
  // What the range did, for the table's rates.
  void add_work(double flops, double bytes) {
    flops_ += flops;
    bytes_ += bytes;
  }
  // Which pass of an op it is ("forward", "gradients 0 1": of these operands), and its operands: "[4,6] f32, absent ->
  // [4] f32".
  void describe(std::string pass, std::string operands) {
    pass_ = std::move(pass);
    operands_ = std::move(operands);
  }

 private:
  friend std::string module_path();
  friend std::string_view op_at_work();
  std::string_view name_;
  std::string pass_, operands_;
  const ProfileRange* outer_;
  double flops_ = 0, bytes_ = 0;
  std::int64_t begin_ns_ = 0;
  RangeKind kind_;
};

// The innermost module range open on this thread, or an empty text.
std::string module_path();
// The innermost op range open on this thread, or an empty text.
std::string_view op_at_work();

// Told of each range of any thread as it opens and as it closes, whether or not the profiler is on: how ranges reach
// the profiler of a device.
struct RangeObserver {
  void (*opened)(RangeKind kind, std::string_view name);
  void (*closed)(RangeKind kind);
};
// There is one at most; it lives as long as the program. Ranges that are open now will be closed without having been
// opened.
void set_range_observer(const RangeObserver& observer);

// A range that has ended.
struct ProfileEvent {
  std::string name, pass, operands;  // the last two: where described
  RangeKind kind{};
  int thread = 0;
  std::int64_t begin_ns = 0, end_ns = 0;
  double flops = 0, bytes = 0;
};

struct ProfileRow {
  std::string name;
  RangeKind kind{};
  std::int64_t calls = 0;
  double ms = 0, self_ms = 0, flops = 0, bytes = 0;  // self: without the ranges inside
};

class Profiler {
 public:
  static Profiler& instance();
  void start();  // from here on ranges are recorded, of all threads, after what is there already
  void stop();
  bool on() const;
  void clear();                              // forgets what was recorded
  std::vector<ProfileEvent> events() const;  // in the order of their ends
  std::vector<ProfileRow> rows() const;      // by falling self time
  std::string table() const;                 // rows() as text, ops with GFLOP/s and GB/s
  std::string chrome_trace() const;          // JSON: {"traceEvents":[...]}, times in microseconds
};

}  // namespace gesso
