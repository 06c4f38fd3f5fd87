#include "cuda/launch_record.h"

#include <atomic>
#include <string_view>

#include "core/error.h"
#include "core/profiler.h"

namespace gesso::cu {
namespace {
std::atomic<std::uint64_t> launched = 0;
}  // namespace

void fail_launch(const char* kernel, const char* reason, const std::source_location& place) {
  const std::string_view op = op_at_work();
  fail(
      "cuda: kernel {}{}{} was not launched at {}:{}: {}; an earlier kernel may have failed: CUDA_LAUNCH_BLOCKING=1 "
      "shows which",
      kernel ? kernel : "?", op.empty() ? "" : " of op ", op, place.file_name(), place.line(), reason);
}

void count_launch() { launched.fetch_add(1, std::memory_order_relaxed); }
std::uint64_t launches() { return launched.load(std::memory_order_relaxed); }

}  // namespace gesso::cu
