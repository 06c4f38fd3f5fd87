// Scaled dot-product self-attention (Vaswani et al. 2017, "Attention is all you need", sec. 3.2) in blocks, so that the
// matrix of all scores never exists (Dao et al. 2022, "FlashAttention").
#pragma once

#include "ops/op.h"

namespace gesso::ops {

struct AttentionAttrs {
  std::int64_t heads = 1;
  float scale = 0;      // of the scores; 0: 1 / sqrt(head_dim)
  bool causal = false;  // token t sees tokens 0 to t only
};
struct AttentionResult {
  Tensor y;        // [N,T,heads*head_dim]
  Tensor log_sum;  // [N,heads,T] logarithm of the sum of exp(scaled scores)
};

// y = softmax(scale q k^T) v of each head (Vaswani et al. 2017, eq. 1), without ever holding all scores. qkv
// [N,T,3*heads*head_dim], in the order ([q,k,v], head, head_dim). Throws where heads do not divide the width.
AttentionResult attention(const Tensor& qkv, const AttentionAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> attention_rows();
}
