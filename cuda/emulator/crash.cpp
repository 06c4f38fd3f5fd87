// What crashes inside a kernel becomes an error that names the thread: a stack overflow hits a fiber's guard page; a
// wild pointer or a misaligned vector access faults. A fault of host code on guarded device memory is told before the
// program ends of it.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {
namespace {

constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGFPE};
constexpr std::size_t kSignalStack = 64 << 10;

struct sigaction previous[kSignals.size()];

void stop_for(int signal, const std::byte* address) {
  const auto offset = static_cast<std::size_t>(address - gang->stack_area.data());
  if (gang->stack_area.contains(address) && offset % (kStackBytes + kGuardPage) < kGuardPage)
    stop(fmt::format("stack overflow: more than the {} KiB that a thread has under the emulator", kStackBytes >> 10));
  if (signal == SIGFPE) stop("an integer division by zero");
  stop(fmt::format("a crash ({}) at address {}: a wild or misaligned pointer", strsignal(signal),
                   static_cast<const void*>(address)));
}

void tell_host_access(const void* address) {
  const std::string text = fmt::format("emulator: host code touched {}; copy it first, or launch a kernel\n",
                                       describe_device_address(address));
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text.data(), text.size());
}

void on_crash(int signal, siginfo_t* info, void*) {
  if (current && gang) stop_for(signal, static_cast<const std::byte*>(info->si_addr));
  if (signal == SIGSEGV && is_device_memory(info->si_addr)) tell_host_access(info->si_addr);
  // Back to who was there before: the fault happens again, for them. Should they hand it back, the program ends.
  static volatile sig_atomic_t handed_on = 0;
  if (handed_on != 0) ::signal(signal, SIG_DFL);
  for (std::size_t i = 0; handed_on == 0 && i < kSignals.size(); ++i)
    if (kSignals[i] == signal) sigaction(signal, &previous[i], nullptr);
  handed_on = 1;
}

}  // namespace

void catch_crashes() {
  static thread_local const auto own_stack = std::make_unique<std::byte[]>(kSignalStack);
  stack_t stack{};
  stack.ss_sp = own_stack.get();
  stack.ss_size = kSignalStack;
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_crash;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction before {};
    sigaction(kSignals[i], &action, &before);
    if (before.sa_sigaction != on_crash) previous[i] = before;
  }
}

}  // namespace gesso::emulator
