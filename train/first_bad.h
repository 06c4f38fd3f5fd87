// Finds where numbers stop being finite.
#pragma once

#include <optional>
#include <string>

#include "ops/op_watch.h"

namespace gesso {

// A result with elements that are not finite.
struct BadResult {
  std::string op, module;
  OpPass pass = OpPass::forward;
  Spec spec;
  std::int64_t bad = 0;      // elements
  double low = 0, high = 0;  // of the others
  std::string text() const;
};

// Keeps the first one of those computed on this thread while it lives. Reads every result, so it waits for the device.
class FirstBad final : public OpWatch {
 public:
  void computed(const OpResults& results) override;
  const std::optional<BadResult>& found() const { return found_; }

 private:
  std::optional<BadResult> found_;
};

}  // namespace gesso
