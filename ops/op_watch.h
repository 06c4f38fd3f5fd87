// Looks at what ops compute, as they compute it: to find the first one that went wrong.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/tensor.h"

namespace gesso {

enum class OpPass : std::uint8_t { forward, backward };

// What an op computed: its outputs, or the gradients of its operands; those not wanted are empty.
struct OpResults {
  std::string_view op, module;  // module: the path of the one it was called in, empty outside of all
  OpPass pass = OpPass::forward;
  std::span<const Tensor> tensors;
};

// Told of every op that this thread runs while it lives; of several, the one made first is told first.
class OpWatch {
 public:
  OpWatch();
  virtual ~OpWatch();
  OpWatch(const OpWatch&) = delete;
  OpWatch& operator=(const OpWatch&) = delete;

  virtual void computed(const OpResults& results) = 0;

  static bool is_on();  // on this thread
  static void tell(const OpResults& results);

 private:
  OpWatch* outer_;
};

}  // namespace gesso
