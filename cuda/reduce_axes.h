// Reductions over axes as entries use them.
#pragma once

#include "core/tensor.h"
#include "ops/broadcast.h"

namespace gesso::cuda {

// y = scale * the sum of x over `over`; y holds the dimensions that stay, in their order. Sums run in double, in an
// order that depends on the shape alone.
void sum_axes(const Execution& run, const Tensor& x, Axes over, double scale, const Tensor& y);

// The gradient of an operand that was stretched to a result of this spec: write_terms(t) writes an element for each of
// the result's, and dx, unless it is empty, becomes their sums over the dimensions along which it was stretched.
template <class WriteTerms>
void write_summed(const Execution& run, const Spec& result, const Tensor& dx, WriteTerms&& write_terms) {
  if (!dx) return;
  const bool direct = dx.shape() == result.shape;
  const Tensor terms = direct ? dx : run.scratch(result);
  write_terms(terms);
  if (!direct) sum_axes(run, terms, stretched_axes(dx.shape(), result.shape), 1, dx);
}

}  // namespace gesso::cuda
