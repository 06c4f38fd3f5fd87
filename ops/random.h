// Randomness as ops. What is drawn is a pure function of (key, step, sample, element): the same bits on every device,
// for any number of threads and any split of the batch, again when recomputed and after a resume. See core/rng.h.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// What all draws share; they throw where step or a sample does not lie in [0, 2^48), or a sample has more than 2^34
// elements.
struct RandomAttrs {
  Shape shape{};                  // [N,...]: the outermost dimension counts the samples
  std::uint64_t key = 0;          // of core/rng.h's random_key
  std::int64_t first_sample = 0;  // global number of row 0; row n draws as sample first_sample + n
};
// f32 in [0, 1), multiples of 2^-24. step: [1] i64, not negative.
Tensor uniform(const Tensor& step, const RandomAttrs& attrs);
// Standard normals, f32.
Tensor normal(const Tensor& step, const RandomAttrs& attrs);
// Standard Gumbels -ln(-ln(1 - u)), f32, always finite: argmax(logits + gumbel) draws from softmax(logits).
Tensor gumbel(const Tensor& step, const RandomAttrs& attrs);

struct AddNoiseAttrs {
  std::uint64_t key = 0;
  std::int64_t first_sample = 0;
};
struct Noised {
  Tensor x_t;  // [N,...]
  Tensor eps;  // [N,...] the noise in it: bit for bit `normal` of x_0's shape and this key, step and first_sample
};
// The forward process of diffusion: x_t = sqrt(A_t) x_0 + sqrt(1 - A_t) eps. x_0 [N,...]; t [N] i32, one a sample, in
// [0, T); alpha_bar [T], A of each t in the schedule's order, the product of all 1 - beta up to and with t. On the CPU
// a t outside the table, and an A outside [0, 1], are errors that name them. The gradient is x_0's.
Noised add_noise(const Tensor& x_0, const Tensor& t, const Tensor& alpha_bar, const Tensor& step,
                 const AddNoiseAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> random_rows();
}
