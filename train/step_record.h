// What is said of a step that did not go as steps go: on the terminal, in metrics.jsonl, in a dump.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nn/step_gate.h"
#include "train/task.h"

namespace gesso {

// "spike", "skipped", "too many spikes", "not finite"
std::string_view name_of(ops::StepVerdict verdict);

struct StepRecord {
  std::int64_t step = 0;  // as people count: 1 is the first
  nn::StepDecision decision = {};
  std::vector<Metric> values = {};             // the loss first, its parts, grad_norm last
  std::vector<std::int64_t> samples = {};      // of the batch, in the data set
  std::string first_bad = {}, complaint = {};  // which result of an op was not finite first, and how; empty: none was
  std::string device = {}, isa = {}, version = {};

  double loss() const { return values.front().value; }
  double norm() const { return values.back().value; }
  std::string what() const;  // "step 7: loss 3, gradient norm 40: a spike, ..."
};

// As one object of JSON. A value comes with its bits, as it may be no number.
std::string text_of(const StepRecord& record);
// Throws ErrorKind::data, saying what is wrong, on what text_of() does not write.
StepRecord parse_step_record(std::string_view text);

// Whether the same went wrong at the same place.
bool same_finding(const StepRecord& a, const StepRecord& b);
// Whether loss and gradient norm, and all parts of the loss, have the same bits, or are no numbers in both.
bool same_values(const StepRecord& a, const StepRecord& b);

}  // namespace gesso
