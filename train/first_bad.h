// What the results of ops look like, and where numbers stop being finite.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "ops/op_watch.h"

namespace gesso {

// A result of an op: an output, or the gradient of an operand.
struct ResultStatistics {
  std::string op, module;
  OpPass pass = OpPass::forward;
  Spec spec;
  std::int64_t bad = 0;                          // elements that are not finite
  double low = 0, high = 0, mean = 0, root = 0;  // of the others; root: of the mean square. No others: low > high
  std::string micro_batch = {};                  // "2 of 4"; empty: the batch was not split, or it is not known
  std::string where() const;                     // "conv2d in encoder.down.0, forward"
  std::string complaint() const;                 // where, and what is not finite
};

// Tells of each floating result computed on this thread while it lives. Reads it, so it waits for the device.
class ResultWatch final : public OpWatch {
 public:
  using Tell = std::function<void(const ResultStatistics&)>;
  explicit ResultWatch(Tell tell) : tell_(std::move(tell)) {}
  void computed(const OpResults& results) override;

 private:
  Tell tell_;
};

// Keeps the first one with elements that are not finite.
class FirstBad {
 public:
  const std::optional<ResultStatistics>& found() const { return found_; }
  // Of what comes next; from 0.
  void begin_micro_batch(std::int64_t number, std::int64_t of);

 private:
  void look_at(const ResultStatistics& result);

  std::optional<ResultStatistics> found_;
  std::string micro_batch_;
  ResultWatch watch_{[this](const ResultStatistics& result) { look_at(result); }};
};

}  // namespace gesso
