// Who holds memory: what a thread asks for is counted to the op and the module that it says it works for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gesso {

// What this thread asks for while it lives is held by this op of this module. The names must live as long as it does.
class MemoryUse {
 public:
  MemoryUse(std::string_view op, std::string_view module, bool backward = false);
  ~MemoryUse();
  MemoryUse(const MemoryUse&) = delete;
  MemoryUse& operator=(const MemoryUse&) = delete;

  struct Names {
    std::string_view op, module;
    bool backward = false;
  };
  static Names current();  // of this thread; where nothing was said, the op "other"

 private:
  Names names_;
  const MemoryUse* outer_;
};

struct MemoryHolder {
  std::string op, module;  // module: may be empty
  bool backward = false;   // of the op's backward pass: gradients of its operands, and its scratch
  std::size_t bytes = 0;
  std::string text() const;  // "conv2d backward in decoder.up.0"
};

}  // namespace gesso
