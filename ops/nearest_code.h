// The code nearest to each vector: vector quantisation (van den Oord, Vinyals and Kavukcuoglu 2017, "Neural discrete
// representation learning", eq. 1 and 2), with the statistics that a moving-average codebook needs.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

struct NearestCode {
  Tensor index;   // [N] i32
  Tensor counts;  // [K] vectors that chose code k
  Tensor sums;    // [K,D] of those vectors
};

// The code at the smallest Euclidean distance from each vector (van den Oord et al. 2017, eq. 1): z [N,D], codebook
// [K,D]. Of codes at the same distance the lowest index is taken; a vector that holds a NaN takes code 0. Throws where
// widths differ or there is no code.
NearestCode nearest_code(const Tensor& z, const Tensor& codebook);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> nearest_code_rows();
}
