#include "train/standard_streams.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace gesso {
namespace {

// Whether a write would wait for a reader.
bool stalls(int stream, int patience_ms) {
  pollfd state{.fd = stream, .events = POLLOUT, .revents = 0};
  return poll(&state, 1, patience_ms) <= 0;
}

// Bytes that a stream which does not stall takes without waiting: of a pipe PIPE_BUF, in one piece, and of a terminal
// what Linux lends it memory for at a time, with room for a line's end to become two bytes.
std::size_t most_at_once(int stream) {
  constexpr std::size_t kTerminalBytes = 128;
  return isatty(stream) == 1 ? kTerminalBytes : PIPE_BUF;
}

}  // namespace

void tell(std::string_view text) {
  const std::size_t most = most_at_once(STDERR_FILENO);
  while (!text.empty() && !stalls(STDERR_FILENO, 0)) {
    const ssize_t written = write(STDERR_FILENO, text.data(), std::min(text.size(), most));
    if (written < 0 && errno != EINTR) return;
    text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
}

bool hand_over(std::string_view text, const std::atomic<bool>* stop) {
  constexpr int kLookEveryMs = 100;
  const std::size_t most = most_at_once(STDOUT_FILENO);
  while (!text.empty()) {
    while (stalls(STDOUT_FILENO, kLookEveryMs))
      if (stop != nullptr && *stop) return false;
    const std::string_view piece = text.substr(0, most);
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
    text.remove_prefix(piece.size());
  }
  return true;
}

}  // namespace gesso
