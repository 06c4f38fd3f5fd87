// Errors: what went wrong, told once, with who, what was given, what was expected, and what to do.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace gesso {

// What kind of failure; its value is the program's exit code.
enum class ErrorKind : int {
  usage = 2,    // a call, an option or a configuration that cannot be right
  data = 3,     // a data set or a file with wrong content
  numeric = 4,  // a value that is no longer finite
  memory = 5,   // out of memory
  io = 6,       // the operating system refused to read or write
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& text) : std::runtime_error(text), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

// Throws Error; the text is formatted only here, on the failing path.
template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(kind, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw Error(ErrorKind::usage, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace gesso
