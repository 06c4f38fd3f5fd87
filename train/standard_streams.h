// Standard error and standard output of a process that works on whatever becomes of their readers: slow, stalled, gone.
#pragma once

#include <atomic>
#include <string_view>

namespace gesso {

// To standard error. Where that takes nothing (a log on a full disk, a reader that has left or stands still) nobody is
// told, and work goes on. Signal handlers may call it.
void tell(std::string_view text);

// To standard output, where results are promised: waits for a reader that stands still, but once `stop` is set (null:
// it never is) gives up. Returns whether it did not. What the system refuses is for std::ferror(stdout) to say.
bool hand_over(std::string_view text, const std::atomic<bool>* stop);

}  // namespace gesso
