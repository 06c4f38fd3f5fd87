// Randomness as ops. What is drawn is a pure function of (key, step, sample, element): the same bits on every device,
// for any number of threads and any split of the batch, again when recomputed and after a resume. See core/rng.h.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

struct RandomAttrs {
  Shape shape{};                  // [N,...]: the outermost dimension counts the samples
  std::uint64_t key = 0;          // of core/rng.h's random_key
  std::int64_t first_sample = 0;  // global number of row 0; row n draws as sample first_sample + n
};
// f32 in [0, 1), multiples of 2^-24. step: [1] i64, not negative.
Tensor uniform(const Tensor& step, const RandomAttrs& attrs);
// Standard normals, f32.
Tensor normal(const Tensor& step, const RandomAttrs& attrs);

struct DropoutAttrs {
  double rate = 0;  // of the elements that are dropped, in [0, 1)
  std::uint64_t key = 0;
  std::int64_t first_sample = 0;
};
// x / (1 - rate) where `uniform` of x's shape would draw at least `rate`, else 0. Backward draws the same mask anew.
Tensor dropout(const Tensor& x, const Tensor& step, const DropoutAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> random_rows();
}
