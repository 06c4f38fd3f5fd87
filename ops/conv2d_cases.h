// What conv2d is tried and timed on.
#pragma once

#include "ops/conv2d.h"

namespace gesso::conv2d_cases {

std::vector<Case<ops::Conv2dAttrs>> samples();
std::vector<Case<ops::Conv2dAttrs>> benchmarks();
Case<ops::Conv2dAttrs> random_case(Random& random);
std::vector<Reject<ops::Conv2dAttrs>> rejects();

}  // namespace gesso::conv2d_cases
