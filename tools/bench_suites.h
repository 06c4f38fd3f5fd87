// What a training step of known networks multiplies: every shape of its convolutions and matrix products once, with how
// often a step makes the call. Networks that gesso does not have yet are among them, so the shapes are tables. And the
// shapes of docs/performance.md, each of which counts once.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ops/op.h"

namespace gesso {

struct SuiteCall {
  std::string_view op;  // of the op table
  Case<Attributes> of;  // named by its shape; the product alone, without bias, residual or activation
  Operands gradients;   // of operand 0, the input, and of operand 1, the weight: those that the step computes
  int times;            // that a step makes the call
};

struct Suite {
  std::string_view name;
  std::int64_t batch;  // images of a step; of the shapes of docs/performance.md some have a multiple
  std::vector<SuiteCall> (*calls)(std::int64_t batch);
};

// Throws, with the names that there are, where there is none of that name.
const Suite& suite_named(std::string_view name);

}  // namespace gesso
