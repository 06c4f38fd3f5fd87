#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/attention_simd.h"
#include "ops/binary.h"
#include "ops/concat.h"
#include "ops/describe.h"
#include "ops/gemm.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/reshape.h"
#include "ops/unary.h"

namespace gesso {
namespace {

const AttentionKernels& kernels(Isa isa) {
  return by_isa(isa, attention_kernels<simd::Baseline>, attention_kernels<simd::Avx2>,
                attention_kernels<simd::Avx512>)();
}

// Scores of a block of queries against a block of keys are 64 KiB: they, the keys and the values stay in L2.
constexpr std::int64_t kQueries = 128, kKeys = 128;

struct Extent {
  std::int64_t N, tokens, heads, head_dim, width, stride;  // rows of y are `width` apart, rows of qkv `stride`
  float scale;

  Extent(const Shape& qkv, const ops::AttentionAttrs& attrs)
      : N(qkv[0]),
        tokens(qkv[1]),
        heads(attrs.heads),
        head_dim(qkv[2] / (3 * attrs.heads)),
        width(heads * head_dim),
        stride(3 * width),
        scale(attrs.scale != 0 ? attrs.scale : static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)))) {}
};

// One head of one sample: where its rows begin.
template <class T>
struct Head {
  T *q, *k, *v;

  Head(const Extent& e, T* qkv, std::int64_t n, std::int64_t h)
      : q(qkv + n * e.tokens * e.stride + h * e.head_dim), k(q + e.width), v(k + e.width) {}
};

const float* floats(const Tensor& t) { return t ? t.data<float>().data() : nullptr; }
float* writable(const Tensor& t) { return t.data<float>().data(); }

struct Attention {
  static constexpr std::string_view name = "attention";
  static constexpr std::string_view doc =
      "y[N,T,heads*d] = softmax(scale q k^T) v for each head, of qkv[N,T,3*heads*d] in the order ([q,k,v], head, "
      "d), scale = 1 / sqrt(d) unless given; causal: token t sees 0 to t; log_sum[N,heads,T] = log sum exp of the "
      "scaled scores (Vaswani et al. 2017, eq. 1; in blocks: Dao et al. 2022)";
  using Attrs = ops::AttentionAttrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(0); }
  static Operands saved_outputs(const Attrs&, Operands) { return operands(0, 1); }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec& qkv = in[0];
    if (!is_floating(qkv.dtype) || qkv.shape.rank() != 3)
      fail("attention: qkv must be floating [N,T,3*heads*head_dim], but is {}", qkv.text());
    const std::int64_t width = qkv.shape[2];
    if (attrs.heads < 1 || width < 1 || width % 3 != 0 || width / 3 % attrs.heads != 0)
      fail("attention: {} channels are not 3 times {} heads of one width (qkv {})", width, attrs.heads, qkv.text());
    if (!(attrs.scale >= 0 && std::isfinite(attrs.scale)))
      fail("attention: scale must be finite and not negative, but is {}", attrs.scale);
    const Extent e(qkv.shape, attrs);
    return {{{e.N, e.tokens, e.width}, qkv.dtype}, {{e.N, e.heads, e.tokens}, qkv.dtype}};
  }
  static double flops(const Attrs& attrs, std::span<const Spec> in) {
    const Extent e(in[0].shape, attrs);
    const double tokens = static_cast<double>(e.tokens), pairs = tokens * (attrs.causal ? (tokens + 1) / 2 : tokens);
    return static_cast<double>(e.N * e.heads) * pairs * (4 * static_cast<double>(e.head_dim) + 5);
  }
  // A score is a sum of head_dim products, and its error is e^score's relative one; gradients are sums over the tokens.
  static double tolerance(const Attrs& attrs, std::span<const Spec> in) {
    const Extent e(in[0].shape, attrs);
    return 1e-6 * std::sqrt(10.0 + static_cast<double>(e.head_dim + e.tokens));
  }

  // The weights of all keys for query t, and the logarithm of their sum before they were divided by it.
  template <class T>
  static T weights_of(const Attrs& attrs, const Extent& e, const Head<const T>& head, std::int64_t t,
                      std::vector<T>& weights) {
    const T scale = attrs.scale != 0 ? static_cast<T>(attrs.scale) : 1 / std::sqrt(static_cast<T>(e.head_dim));
    weights.assign(static_cast<std::size_t>(attrs.causal ? t + 1 : e.tokens), T{0});
    T highest = -std::numeric_limits<T>::infinity(), sum = 0;
    for (std::size_t s = 0; s < weights.size(); ++s) {
      const T* key = head.k + static_cast<std::int64_t>(s) * e.stride;
      for (std::int64_t d = 0; d < e.head_dim; ++d) weights[s] += head.q[t * e.stride + d] * key[d];
      weights[s] *= scale;
      highest = std::max(highest, weights[s]);
    }
    for (T& weight : weights) sum += weight = std::exp(weight - highest);
    for (T& weight : weights) weight /= sum;
    return highest + std::log(sum);
  }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const Extent e(f.in[0].shape(), attrs);
    const auto y = f.out[0].data<T>(), log_sum = f.out[1].data<T>();
    std::ranges::fill(y, T{0});
    std::vector<T> weights;
    for (std::int64_t n = 0; n < e.N; ++n)
      for (std::int64_t h = 0; h < e.heads; ++h)
        for (std::int64_t t = 0; t < e.tokens; ++t) {
          const Head<const T> head(e, f.in[0].data<T>().data(), n, h);
          T* row = y.data() + (n * e.tokens + t) * e.width + h * e.head_dim;
          log_sum[static_cast<std::size_t>((n * e.heads + h) * e.tokens + t)] =
              weights_of<T>(attrs, e, head, t, weights);
          for (std::size_t s = 0; s < weights.size(); ++s)
            for (std::int64_t d = 0; d < e.head_dim; ++d)
              row[d] += weights[s] * head.v[static_cast<std::int64_t>(s) * e.stride + d];
        }
  }

  // With p the weights, dp = dy v^T: dv = p^T dy, ds = scale p (dp - sum p dp + dlog_sum), dq = ds k, dk = ds^T q.
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const Extent e(b.in[0].shape(), attrs);
    std::ranges::fill(b.dx[0].data<T>(), T{0});
    for (std::int64_t n = 0; n < e.N; ++n)
      for (std::int64_t h = 0; h < e.heads; ++h)
        for (std::int64_t t = 0; t < e.tokens; ++t) query_backward<T>(attrs, b, e, n, h, t);
  }
  template <class T>
  static void query_backward(const Attrs& attrs, const Backward& b, const Extent& e, std::int64_t n, std::int64_t h,
                             std::int64_t t) {
    const Head<const T> head(e, b.in[0].data<T>().data(), n, h);
    const Head<T> gradient(e, b.dx[0].data<T>().data(), n, h);
    const T* dy = b.dy[0] ? b.dy[0].data<T>().data() + (n * e.tokens + t) * e.width + h * e.head_dim : nullptr;
    const T dlog_sum = b.dy[1] ? b.dy[1].data<T>()[static_cast<std::size_t>((n * e.heads + h) * e.tokens + t)] : T{0};
    const T scale = attrs.scale != 0 ? static_cast<T>(attrs.scale) : 1 / std::sqrt(static_cast<T>(e.head_dim));
    std::vector<T> weights, dweights;
    weights_of<T>(attrs, e, head, t, weights);
    T inner = 0;
    for (std::size_t s = 0; s < weights.size(); ++s) {
      const std::int64_t row = static_cast<std::int64_t>(s) * e.stride;
      T sum = 0;
      for (std::int64_t d = 0; dy && d < e.head_dim; ++d) {
        sum += dy[d] * head.v[row + d];
        gradient.v[row + d] += weights[s] * dy[d];
      }
      dweights.push_back(sum);
      inner += weights[s] * sum;
    }
    for (std::size_t s = 0; s < weights.size(); ++s) {
      const std::int64_t row = static_cast<std::int64_t>(s) * e.stride;
      const T dscore = scale * weights[s] * (dweights[s] - inner + dlog_sum);
      for (std::int64_t d = 0; d < e.head_dim; ++d) {
        gradient.q[t * e.stride + d] += dscore * head.k[row + d];
        gradient.k[row + d] += dscore * head.q[t * e.stride + d];
      }
    }
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    const Extent e(f.in[0].shape(), attrs);
    const std::int64_t blocks = (e.tokens + kQueries - 1) / kQueries;
    parallel_for(f.run.pool, e.N * e.heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        attend_block(attrs, f, e, i / blocks / e.heads, i / blocks % e.heads, i % blocks * kQueries);
    });
  }
  // A value that is not finite must not meet queries that do not see it, not even with a weight of 0: queries then go
  // one by one, each against what it sees.
  static void attend_block(const Attrs& attrs, const Forward& f, const Extent& e, std::int64_t n, std::int64_t h,
                           std::int64_t first) {
    const std::int64_t rows = std::min(kQueries, e.tokens - first);
    const Head<const float> head(e, floats(f.in[0]), n, h);
    const bool together =
        !attrs.causal || kernels(f.run.isa).is_finite(rows, e.head_dim, e.stride, head.v + first * e.stride);
    const std::int64_t step = together ? rows : 1;
    for (std::int64_t row = 0; row < rows; row += step) attend(attrs, f, e, n, h, {first + row, step});
  }
  struct Queries {
    std::int64_t first, rows;
  };
  // Queries against all keys, block by block: exponentials are taken relative to the highest score so far, and what was
  // summed before shrinks whenever a higher one comes.
  static void attend(const Attrs& attrs, const Forward& f, const Extent& e, std::int64_t n, std::int64_t h,
                     const Queries& queries) {
    const AttentionKernels& kernel = kernels(f.run.isa);
    const auto [first, rows] = queries;
    const std::int64_t seen = attrs.causal ? first + rows : e.tokens;
    const Head<const float> head(e, floats(f.in[0]), n, h);
    float* y = writable(f.out[0]) + (n * e.tokens + first) * e.width + h * e.head_dim;
    float* highest = writable(f.out[1]) + (n * e.heads + h) * e.tokens + first;
    const Tensor memory = f.run.scratch({{rows * (kKeys + e.head_dim + 2)}, DType::f32});
    float *scores = writable(memory), *block = scores + rows * kKeys, *total = block + rows * e.head_dim;
    float* shrink = total + rows;
    std::fill_n(highest, rows, -std::numeric_limits<float>::infinity());
    std::fill_n(total, rows, 0.0f);
    for (std::int64_t key = 0; key < seen; key += kKeys) {
      const std::int64_t keys = std::min(kKeys, seen - key);
      multiply_keys(f.run, e, {rows, keys}, head.q + first * e.stride, e.stride, head.k + key * e.stride, scores);
      kernel.softmax({rows, keys, attrs.causal ? first - key + 1 : keys, e.scale}, scores, highest, total, shrink);
      const gemm::Shape values{
          .m = rows, .n = e.head_dim, .k = keys, .b_stride = e.stride, .c_stride = key == 0 ? e.width : 0};
      gemm::multiply(f.run, values, scores, head.v + key * e.stride, key == 0 ? y : block);
      if (key != 0) kernel.accumulate(rows, e.head_dim, e.width, shrink, block, y);
    }
    kernel.divide(rows, e.head_dim, e.width, total, y);
    for (std::int64_t r = 0; r < rows; ++r) highest[r] += std::log(total[r]);  // log_sum
  }
  struct Pairs {
    std::int64_t rows, keys;
  };
  // products[rows,keys] = x[rows,head_dim] of this head times keys (or values) [keys,head_dim]^T
  static void multiply_keys(const Execution& run, const Extent& e, const Pairs& of, const float* x,
                            std::int64_t x_stride, const float* keys, float* products) {
    const gemm::Shape shape{
        .m = of.rows, .n = of.keys, .k = e.head_dim, .transpose_b = true, .a_stride = x_stride, .b_stride = e.stride};
    gemm::multiply(run, shape, x, keys, products);
  }

  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    const Extent e(b.in[0].shape(), attrs);
    const Tensor dy = b.dy[0] ? b.dy[0] : Tensor::zeros(b.out[0].spec(), b.run.device);
    parallel_for(b.run.pool, e.N * e.heads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) head_backward(attrs, b, e, dy, i / e.heads, i % e.heads);
    });
  }
  // Keys block by block against all queries that see them. A block's dk and dv are then final; dq gathers.
  static void head_backward(const Attrs& attrs, const Backward& b, const Extent& e, const Tensor& dy_tensor,
                            std::int64_t n, std::int64_t h) {
    const AttentionKernels& kernel = kernels(b.run.isa);
    const Head<const float> head(e, floats(b.in[0]), n, h);
    const Head<float> gradient(e, writable(b.dx[0]), n, h);
    const float* dy = floats(dy_tensor) + n * e.tokens * e.width + h * e.head_dim;
    const float* log_sum = floats(b.out[1]) + (n * e.heads + h) * e.tokens;
    const Tensor memory = b.run.scratch({{e.tokens * (2 * kKeys + e.head_dim + 1)}, DType::f32});
    float *scores = writable(memory), *dscores = scores + e.tokens * kKeys, *block = dscores + e.tokens * kKeys;
    float* delta = block + e.tokens * e.head_dim;
    kernel.dot(e.tokens, e.head_dim, e.width, dy, floats(b.out[0]) + n * e.tokens * e.width + h * e.head_dim, delta);
    if (b.dy[1])
      for (std::int64_t t = 0; t < e.tokens; ++t) delta[t] -= floats(b.dy[1])[(n * e.heads + h) * e.tokens + t];
    std::int64_t keys = 0;  // of a block
    for (std::int64_t key = 0; key < e.tokens; key += keys) {
      keys = std::min(kKeys, e.tokens - key);
      const auto is_finite = [&](const float* x, std::int64_t stride) {
        return kernel.is_finite(keys, e.head_dim, stride, x + key * stride);
      };
      // As in attend_block(): what is not finite must not meet weights of 0.
      const bool together =
          !attrs.causal || (is_finite(head.q, e.stride) && is_finite(head.k, e.stride) && is_finite(dy, e.width));
      if (!together) keys = 1;
      const std::int64_t first = attrs.causal ? key : 0;  // query
      const Pairs of{e.tokens - first, keys};
      const float *q = head.q + first * e.stride, *k = head.k + key * e.stride;
      multiply_keys(b.run, e, of, q, e.stride, k, scores);
      multiply_keys(b.run, e, of, dy + first * e.width, e.width, head.v + key * e.stride, dscores);
      kernel.backward({of.rows, of.keys, attrs.causal ? 1 : of.keys, e.scale}, log_sum + first, delta + first, scores,
                      dscores);
      gemm::Shape to_keys{
          .m = of.keys, .n = e.head_dim, .k = of.rows, .transpose_a = true, .b_stride = e.width, .c_stride = e.stride};
      gemm::multiply(b.run, to_keys, scores, dy + first * e.width, gradient.v + key * e.stride);
      to_keys.b_stride = e.stride;
      gemm::multiply(b.run, to_keys, dscores, q, gradient.k + key * e.stride);
      const gemm::Shape to_queries{
          .m = of.rows, .n = e.head_dim, .k = of.keys, .b_stride = e.stride, .c_stride = key == 0 ? e.stride : 0};
      gemm::multiply(b.run, to_queries, dscores, k, key == 0 ? gradient.q : block);
      if (key != 0) kernel.accumulate(of.rows, e.head_dim, e.stride, nullptr, block, gradient.q + first * e.stride);
    }
  }

  static Tensors composition(const Attrs& attrs, std::span<const Tensor> in) {
    const Extent e(in[0].shape(), attrs);
    const Tensors qkv = ops::split_equally(in[0], 2, 3);
    const auto head_of = [&](const Tensor& t, std::size_t h) {
      return e.heads == 1 ? t : ops::split_equally(t, 2, static_cast<int>(e.heads))[h];
    };
    Tensors y, log_sum;
    for (std::size_t h = 0; h < static_cast<std::size_t>(e.heads); ++h) {
      const Tensor scores = ops::matmul(head_of(qkv[0], h), head_of(qkv[1], h), {.transpose_b = true});
      const Tensor seen =
          ops::mul(ops::exp(ops::mul(scores, scale_like(scores, attrs, e))), mask_like(scores, attrs, e));
      const Tensor sum = ops::sum(seen, {.axes = axes(2), .keep_dims = true});
      y.push_back(ops::matmul(ops::div(seen, sum), head_of(qkv[2], h)));
      log_sum.push_back(ops::reshape(ops::log(sum), {e.N, 1, e.tokens}));
    }
    if (e.heads == 1) return {y[0], log_sum[0]};
    return {ops::concat(y, 2), ops::concat(log_sum, 1)};
  }
  static Tensor tensor_like(const Tensor& like, const std::vector<double>& values, const Shape& shape) {
    if (like.dtype() == DType::f64) return Tensor::from_host<double>(values, shape, like.device());
    return Tensor::from_host<float>(std::vector<float>(values.begin(), values.end()), shape, like.device());
  }
  static Tensor scale_like(const Tensor& like, const Attrs& attrs, const Extent& e) {
    const double scale = attrs.scale != 0 ? attrs.scale : 1 / std::sqrt(static_cast<double>(e.head_dim));
    return tensor_like(like, {scale}, {});
  }
  // [T,T] 1 where the query, a row, sees the key.
  static Tensor mask_like(const Tensor& like, const Attrs& attrs, const Extent& e) {
    std::vector<double> mask;
    for (std::int64_t query = 0; query < e.tokens; ++query)
      for (std::int64_t key = 0; key < e.tokens; ++key) mask.push_back(!attrs.causal || key <= query);
    return tensor_like(like, mask, {e.tokens, e.tokens});
  }

  static Case<Attrs> on(std::string name, const Attrs& attrs, std::int64_t n, std::int64_t t, std::int64_t head_dim) {
    return {std::move(name), attrs, {{{n, t, 3 * attrs.heads * head_dim}}}};
  }
  static std::vector<Case<Attrs>> samples() {
    return {on("two heads", {.heads = 2}, 2, 9, 5),
            on("causal", {.heads = 2, .causal = true}, 2, 7, 3),
            on("scale given", {.scale = 0.3f}, 1, 5, 8),
            on("several blocks", {.heads = 2}, 2, 2 * kKeys + 3, 5),
            on("several blocks, causal", {.causal = true}, 1, 2 * kKeys + 3, 6),
            on("wide heads", {.heads = 2}, 1, 20, 70),
            on("wide heads, causal", {.causal = true}, 1, 70, 72),
            on("a token less than a tile", {}, 1, 63, 3),
            on("one token", {.heads = 3}, 2, 1, 4),
            on("heads of width one", {.heads = 3, .causal = true}, 1, 4, 1),
            on("no samples", {.heads = 2}, 0, 5, 4),
            on("no tokens", {.heads = 2}, 2, 0, 4)};
  }
  static std::vector<Case<Attrs>> benchmarks() { return {on("N16 T256 4 heads of 64", {.heads = 4}, 16, 256, 64)}; }
  static Case<Attrs> random_case(Random& random) {
    const Attrs attrs{.heads = pick(random, 1, 4), .causal = pick(random, 0, 1) == 1};
    return on("random", attrs, pick(random, 1, 3), pick(random, 1, 40), pick(random, 1, 20));
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{.heads = 2}, {{{2, 5, 15}}}, {"attention", "15 channels", "2 heads", "[2,5,15] f32"}},
            {{}, {{{2, 5, 8}}}, {"8 channels"}},
            {{.heads = 0}, {{{2, 5, 6}}}, {"0 heads"}},
            {{}, {{{2, 5, 0}}}, {"0 channels"}},
            {{}, {{{5, 6}}}, {"[N,T,3*heads*head_dim]", "[5,6] f32"}},
            {{.scale = -1}, {{{2, 5, 6}}}, {"scale", "-1"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> attention_rows() { return {&row_of<Attention>()}; }

namespace ops {
AttentionResult attention(const Tensor& qkv, const AttentionAttrs& attrs) {
  const Tensors out = dispatch(row_of<Attention>(), attrs, {qkv});
  return {out[0], out[1]};
}
}  // namespace ops

}  // namespace gesso
