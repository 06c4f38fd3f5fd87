#include "tools/signals.h"

#include <signal.h>

#include <cerrno>

#include "train/standard_streams.h"

namespace gesso {
namespace {

static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler must not wait");

RunControls controls;
std::atomic<bool> interrupted = false;  // by a SIGINT

// Ends this process as the signal does where nobody handles it, as soon as its handler returns.
void end_by(int number) {
  signal(number, SIG_DFL);
  raise(number);
}

// SIGTERM may come twice: timeout(1) sends it to the process and to its group.
extern "C" void on_stop(int number) {
  const int error = errno;
  const bool is_second = number == SIGINT && interrupted.exchange(true);
  if (is_second || !controls.looked_after) {
    end_by(number);
  } else if (!controls.stop.exchange(true)) {
    tell("\nstopping after this step; Ctrl-C, twice in all, stops at once\n");
  }
  errno = error;
}

extern "C" void on_wish(int number) { (number == SIGUSR1 ? controls.checkpoint : controls.pictures) = true; }

void handle(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, nullptr);
}

}  // namespace

RunControls& controls_by_signals() {
  for (const int number : {SIGINT, SIGTERM}) handle(number, on_stop);
  for (const int number : {SIGUSR1, SIGUSR2}) handle(number, on_wish);
  handle(SIGPIPE, SIG_IGN);
  return controls;
}

}  // namespace gesso
