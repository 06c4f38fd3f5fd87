// A codebook as a moving average of the vectors that chose each code (van den Oord, Vinyals and Kavukcuoglu 2017,
// appendix A.1), with Laplace smoothing of the counts and revival of codes that nobody chooses.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

struct CodebookUpdateAttrs {
  float decay = 0.99f;
  float eps = 1e-5f;
  float revival_threshold = 0;  // a code whose moving count is below is replaced by a vector of z; 0: never
  std::uint64_t key = 0;        // random_key() of who revives
};

// What the moving average is made of; start with counts at 1 and sums at the codebook.
struct CodebookState {
  Tensor codebook;  // [K,D]
  Tensor counts;    // [K] moving count n of each code
  Tensor sums;      // [K,D] moving sum m of its vectors
};

// Overwrites the state. counts [K], sums [K,D]: of this step (ops::nearest_code). z [N,D]: candidates for revival;
// empty: none is revived. step [1] i64: which draw. gate [1]: nothing is updated where it is not finite (the norm of
// the gradients). Throws where shapes do not fit.
void codebook_update(const CodebookState& state, const Tensor& counts, const Tensor& sums, const Tensor& z,
                     const Tensor& step, const Tensor& gate, const CodebookUpdateAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> codebook_update_rows();
}
