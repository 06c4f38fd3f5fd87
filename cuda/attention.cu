// Products run on the CUDA cores, in fp32. A block of 16 x 16 threads owns 64 rows (queries; in the backward for keys
// and values, keys) and 64 of the head's dims in the results; heads that are wider are cut into blocks that compute the
// scores again. Scores are a product of rows with rows, [64,head_dim] [64,head_dim]^T; they are then stored with the
// index first that the second product sums over.
#include "cuda/attention.h"
#include "cuda/cu.h"
#include "cuda/row_team.h"

namespace gesso::cuda {
namespace {

constexpr int kThreads = 256, kSide = 16, kOwn = 4;  // a thread owns kOwn x kOwn elements of a tile
constexpr int kTile = kSide * kOwn;
constexpr int kDepth = 32;  // dims of one step of a product of rows
// Rows in shared memory are 16 bytes longer than their elements: eight threads that read 16 bytes of neighbouring rows
// meet no bank twice.
constexpr int kPad = 4;
constexpr int kPitch = kTile + kPad, kStagedPitch = kDepth + kPad;
// Two operands of a product of rows, or the right one of the second product.
constexpr int kStaged = 2 * kTile * kStagedPitch > kTile* kPitch ? 2 * kTile* kStagedPitch : kTile* kPitch;

using Own = float[kOwn][kOwn];

// Part of a matrix of row-major data: what is outside counts as 0.
struct Rows {
  const float* data = nullptr;
  std::int64_t stride = 0;
  int rows = 0, columns = 0;
};

// Thread (y, x) owns rows kOwn y + i; of a product of rows, columns x + kSide j; of a second product, kOwn x + j.
__device__ __forceinline__ int thread_x() { return static_cast<int>(threadIdx.x) % kSide; }
__device__ __forceinline__ int thread_y() { return static_cast<int>(threadIdx.x) / kSide; }
__device__ __forceinline__ int row_of(int i) { return thread_y() * kOwn + i; }
__device__ __forceinline__ int score_column(int j) { return thread_x() + j * kSide; }

// kTile rows of kColumns columns from `first` on.
template <int kColumns>
__device__ __forceinline__ void load_tile(float* to, const Rows& from, int first, bool in_vectors) {
  constexpr int kTo = kColumns + kPad, kVectors = kColumns / 4;
  if (in_vectors) {
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kVectors; i += kThreads) {
      const int row = i / kVectors, column = i % kVectors * 4;
      const bool inside = row < from.rows && first + column < from.columns;
      cu::store_as(to + row * kTo + column, inside ? cu::load_as<float4>(from.data + row * from.stride + first + column)
                                                   : make_float4(0, 0, 0, 0));
    }
  } else {
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kColumns; i += kThreads) {
      const int row = i / kColumns, column = i % kColumns;
      const bool inside = row < from.rows && first + column < from.columns;
      to[row * kTo + column] = inside ? from.data[row * from.stride + first + column] : 0.0f;
    }
  }
}

__device__ __forceinline__ float dot(const float4& a, const float4& b, float sum) {
  return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

// products[i][j] = row row_of(i) of a times row score_column(j) of b. Begins with a barrier.
__device__ __forceinline__ void multiply_rows(Own& products, float* staged, const Rows& a, const Rows& b,
                                              bool in_vectors) {
  float *of_a = staged, *of_b = staged + kTile * kStagedPitch;
  CU_UNROLL
  for (auto& row : products) {
    CU_UNROLL
    for (float& product : row) product = 0;
  }
  const int columns = a.columns;
  for (int first = 0; first < columns; first += kDepth) {
    __syncthreads();  // what was staged has been read
    load_tile<kDepth>(of_a, a, first, in_vectors);
    load_tile<kDepth>(of_b, b, first, in_vectors);
    __syncthreads();
    for (int d = 0; d < kDepth && first + d < columns; d += 4) {
      float4 x[kOwn], y[kOwn];
      CU_UNROLL
      for (int i = 0; i < kOwn; ++i) {
        x[i] = cu::load_as<float4>(of_a + row_of(i) * kStagedPitch + d);
        y[i] = cu::load_as<float4>(of_b + score_column(i) * kStagedPitch + d);
      }
      CU_UNROLL
      for (int i = 0; i < kOwn; ++i) {
        CU_UNROLL
        for (int j = 0; j < kOwn; ++j) products[i][j] = dot(x[i], y[j], products[i][j]);
      }
    }
  }
}

// left[score_column(j)][row_of(i)] = scores[i][j]
__device__ __forceinline__ void store_scores(float* left, const Own& scores) {
  CU_UNROLL
  for (int j = 0; j < kOwn; ++j)
    cu::store_as(left + score_column(j) * kPitch + thread_y() * kOwn,
                 make_float4(scores[0][j], scores[1][j], scores[2][j], scores[3][j]));
}

// Which pairs of the rows k of a tile and the block's own rows a product takes: all, or where the two are the same
// tokens and attention is causal, keys no later than their query. What is not seen is left out: times a weight of 0, a
// NaN would be seen.
enum class Taken { all, up_to_own, from_own };

// sums[i][j] += left[k][row_of(i)] right[k][kOwn x + j]
__device__ __forceinline__ void add_products(Own& sums, const float* left, const float* right, int k, Taken taken) {
  const auto a = cu::load_as<float4>(left + k * kPitch + thread_y() * kOwn);
  const auto b = cu::load_as<float4>(right + k * kPitch + thread_x() * kOwn);
  const float x[kOwn] = {a.x, a.y, a.z, a.w}, y[kOwn] = {b.x, b.y, b.z, b.w};
  CU_UNROLL
  for (int i = 0; i < kOwn; ++i) {
    if (taken == Taken::up_to_own && k > row_of(i)) continue;
    if (taken == Taken::from_own && k < row_of(i)) continue;
    CU_UNROLL
    for (int j = 0; j < kOwn; ++j) sums[i][j] = fmaf(x[i], y[j], sums[i][j]);
  }
}

// Adds those products over k < the rows of `from`, right being its columns from `first` on. Other threads' scores and
// what is staged are safe to be written again after a barrier.
__device__ __forceinline__ void accumulate(Own& sums, const float* left, float* right, const Rows& from, int first,
                                           bool in_vectors, Taken taken) {
  __syncthreads();  // what was staged has been read
  load_tile<kTile>(right, from, first, in_vectors);
  __syncthreads();
  const int count = from.rows < kTile ? from.rows : kTile;
  const int own = row_of(0), after = own + kOwn < count ? own + kOwn : count;  // between them the pairs differ
  if (taken == Taken::up_to_own)
    for (int k = 0; k < own; ++k) add_products(sums, left, right, k, Taken::all);
  if (taken != Taken::all)
    for (int k = own; k < after; ++k) add_products(sums, left, right, k, taken);
  if (taken != Taken::up_to_own)
    for (int k = taken == Taken::all ? 0 : after; k < count; ++k) add_products(sums, left, right, k, Taken::all);
}

// What a block works on: one head of one sample, kTile rows from `token`, kTile dims from `dim`.
struct Task {
  std::int64_t sample, head, token;
  int dim;

  __device__ __forceinline__ explicit Task(const AttentionExtent& e) {
    const auto tiles = static_cast<unsigned>((e.tokens + kTile - 1) / kTile);
    const auto slices = static_cast<unsigned>((e.head_dim + kTile - 1) / kTile);
    const unsigned of_head = blockIdx.x / (tiles * slices), in_head = blockIdx.x % (tiles * slices);
    sample = of_head / static_cast<unsigned>(e.heads);
    head = of_head % static_cast<unsigned>(e.heads);
    token = static_cast<std::int64_t>(in_head / slices) * kTile;
    dim = static_cast<int>(in_head % slices) * kTile;
  }
  // Of y and dy: `from` on. Of qkv: part 0, 1, 2.
  __device__ __forceinline__ std::int64_t at(const AttentionExtent& e, std::int64_t from) const {
    return (sample * e.tokens + from) * e.heads * e.head_dim + head * e.head_dim;
  }
  __device__ __forceinline__ std::int64_t at(const AttentionExtent& e, int part, std::int64_t from) const {
    return (sample * e.tokens + from) * 3 * e.heads * e.head_dim + (part * e.heads + head) * e.head_dim;
  }
  __device__ __forceinline__ Rows rows(const AttentionExtent& e, const float* qkv, int part, std::int64_t from) const {
    return {qkv + at(e, part, from), 3 * e.heads * e.head_dim, rows_left(e, from), static_cast<int>(e.head_dim)};
  }
  // Of y's layout; absent: zeros.
  __device__ __forceinline__ Rows rows(const AttentionExtent& e, const float* y, std::int64_t from) const {
    const int columns = static_cast<int>(e.head_dim);
    if (y == nullptr) return {nullptr, 0, 0, columns};
    return {y + at(e, from), e.heads * e.head_dim, rows_left(e, from), columns};
  }
  __device__ __forceinline__ std::int64_t row(const AttentionExtent& e, std::int64_t from) const {
    return (sample * e.heads + head) * e.tokens + from;  // of log_sum and delta
  }
  static __device__ __forceinline__ int rows_left(const AttentionExtent& e, std::int64_t from) {
    return e.tokens - from < kTile ? static_cast<int>(e.tokens - from) : kTile;
  }
};

// The thread's part of a result, its rows from `to` on (the task's head, dim 0).
__device__ __forceinline__ void write_own(const AttentionExtent& e, const Task& task, float* to, std::int64_t stride,
                                          const Own& values) {
  const int rows = Task::rows_left(e, task.token);
  CU_UNROLL
  for (int i = 0; i < kOwn; ++i) {
    CU_UNROLL
    for (int j = 0; j < kOwn; ++j) {
      const int column = task.dim + thread_x() * kOwn + j;
      if (row_of(i) < rows && column < e.head_dim) to[row_of(i) * stride + column] = values[i][j];
    }
  }
}

__device__ __forceinline__ bool is_seen(const AttentionExtent& e, std::int64_t query, std::int64_t key) {
  return key < e.tokens && (!e.causal || key <= query);
}

// Of the keys' tile from `key` on and the queries' from `query` on, to one's own rows.
__device__ __forceinline__ Taken pairs_of(const AttentionExtent& e, std::int64_t query, std::int64_t key, Taken taken) {
  return e.causal && query == key ? taken : Taken::all;
}

struct Higher {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
// Over a row of scores, which the threads of one y share.
template <class Join>
__device__ __forceinline__ float join_row(float value, Join join = {}) {
  CU_UNROLL
  for (int apart = kSide / 2; apart > 0; apart /= 2) value = join(value, __shfl_xor_sync(0xFFFFFFFFu, value, apart));
  return value;
}

// Scores become weights e^(score - highest so far); what was summed before shrinks where a higher one has come.
__device__ __forceinline__ void weigh(const AttentionExtent& e, std::int64_t query, std::int64_t key, Own& scores,
                                      float (&highest)[kOwn], float (&total)[kOwn], Own& sums) {
  CU_UNROLL
  for (int i = 0; i < kOwn; ++i) {
    float raised = highest[i];
    CU_UNROLL
    for (int j = 0; j < kOwn; ++j) {
      const bool seen = is_seen(e, query + row_of(i), key + score_column(j));
      scores[i][j] = seen ? scores[i][j] * e.scale : -INFINITY;
      raised = fmaxf(raised, scores[i][j]);
    }
    raised = join_row<Higher>(raised);
    const float shift = raised == -INFINITY ? 0.0f : raised;  // -infinity less itself is NaN
    const float shrink = expf(highest[i] - shift);
    highest[i] = raised;
    total[i] *= shrink;
    CU_UNROLL
    for (int j = 0; j < kOwn; ++j) {
      scores[i][j] = expf(scores[i][j] - shift);
      total[i] += scores[i][j];
      sums[i][j] *= shrink;
    }
  }
}

__global__ void __launch_bounds__(kThreads) attend(AttentionExtent e, AttentionForward of) {
  CU_SHARED(float4, staged_memory, [kStaged / 4]);
  CU_SHARED(float4, weights_memory, [kTile * kPitch / 4]);
  auto *staged = reinterpret_cast<float*>(staged_memory), *weights = reinterpret_cast<float*>(weights_memory);
  const Task task(e);
  const Rows queries = task.rows(e, of.qkv, 0, task.token);

  Own sums = {};
  float highest[kOwn] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY}, total[kOwn] = {};
  const std::int64_t end = e.causal ? task.token + queries.rows : e.tokens;
  for (std::int64_t key = 0; key < end; key += kTile) {
    Own scores;
    multiply_rows(scores, staged, queries, task.rows(e, of.qkv, 1, key), e.in_vectors);
    weigh(e, task.token, key, scores, highest, total, sums);
    store_scores(weights, scores);
    accumulate(sums, weights, staged, task.rows(e, of.qkv, 2, key), task.dim, e.in_vectors,
               pairs_of(e, task.token, key, Taken::up_to_own));
  }
  CU_UNROLL
  for (int i = 0; i < kOwn; ++i) {
    total[i] = join_row<Plus>(total[i]);
    CU_UNROLL
    for (int j = 0; j < kOwn; ++j) sums[i][j] /= total[i];
    if (task.dim == 0 && thread_x() == 0 && row_of(i) < queries.rows)
      of.log_sum[task.row(e, task.token) + row_of(i)] = highest[i] + logf(total[i]);
  }
  write_own(e, task, of.y + task.at(e, task.token), e.heads * e.head_dim, sums);
}

// A warp for each row of a head.
__global__ void __launch_bounds__(kRowThreads) delta_of_rows(AttentionExtent e, AttentionDelta of) {
  const RowTeam<kWarp> team;  // rows as in y: sample, token, head
  const bool has_row = team.row < e.samples * e.tokens * e.heads;
  const std::int64_t first = team.row * e.head_dim;
  float sum = 0;
  team.each(has_row && of.dy != nullptr ? e.head_dim : 0,
            [&](std::int64_t i) { sum = fmaf(of.dy[first + i], of.y[first + i], sum); });
  sum = team.sum(sum);
  if (!has_row || team.member != 0) return;
  const std::int64_t head = team.row % e.heads, token = team.row / e.heads % e.tokens;
  const std::int64_t to = (team.row / e.heads / e.tokens * e.heads + head) * e.tokens + token;
  of.delta[to] = of.dlog_sum != nullptr ? sum - of.dlog_sum[to] : sum;
}

// The gradient of a score is scale weight (dweight - delta), weight = e^(score - log_sum), dweight = dy v.
__global__ void __launch_bounds__(kThreads) gradient_of_queries(AttentionExtent e, AttentionBackward of) {
  CU_SHARED(float4, staged_memory, [kStaged / 4]);
  CU_SHARED(float4, dscores_memory, [kTile * kPitch / 4]);
  auto *staged = reinterpret_cast<float*>(staged_memory), *dscores = reinterpret_cast<float*>(dscores_memory);
  const Task task(e);
  const Rows queries = task.rows(e, of.qkv, 0, task.token), dy = task.rows(e, of.dy, task.token);
  float log_sum[kOwn] = {}, delta[kOwn] = {};
  CU_UNROLL
  for (int i = 0; i < kOwn; ++i) {
    if (row_of(i) >= queries.rows) continue;
    log_sum[i] = of.log_sum[task.row(e, task.token) + row_of(i)];
    delta[i] = of.delta[task.row(e, task.token) + row_of(i)];
  }

  Own sums = {};
  const std::int64_t end = e.causal ? task.token + queries.rows : e.tokens;
  for (std::int64_t key = 0; key < end; key += kTile) {
    const Rows keys = task.rows(e, of.qkv, 1, key);
    Own scores, dweights;
    multiply_rows(scores, staged, queries, keys, e.in_vectors);
    multiply_rows(dweights, staged, dy, task.rows(e, of.qkv, 2, key), e.in_vectors);
    CU_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      CU_UNROLL
      for (int j = 0; j < kOwn; ++j) {
        const bool seen = is_seen(e, task.token + row_of(i), key + score_column(j));
        const float weight = seen ? expf(fmaf(scores[i][j], e.scale, -log_sum[i])) : 0.0f;
        scores[i][j] = weight * (dweights[i][j] - delta[i]) * e.scale;
      }
    }
    store_scores(dscores, scores);
    accumulate(sums, dscores, staged, keys, task.dim, e.in_vectors, pairs_of(e, task.token, key, Taken::up_to_own));
  }
  write_own(e, task, of.dqkv + task.at(e, 0, task.token), 3 * e.heads * e.head_dim, sums);
}

// The block's rows are keys, against all queries that see them.
__global__ void __launch_bounds__(kThreads) gradient_of_keys_and_values(AttentionExtent e, AttentionBackward of) {
  CU_SHARED(float4, staged_memory, [kStaged / 4]);
  CU_SHARED(float4, scores_memory, [kTile * kPitch / 4]);
  auto *staged = reinterpret_cast<float*>(staged_memory), *stored = reinterpret_cast<float*>(scores_memory);
  const Task task(e);
  const Rows keys = task.rows(e, of.qkv, 1, task.token), values = task.rows(e, of.qkv, 2, task.token);

  Own dkeys = {}, dvalues = {};
  for (std::int64_t query = e.causal ? task.token : 0; query < e.tokens; query += kTile) {
    const Rows queries = task.rows(e, of.qkv, 0, query), dy = task.rows(e, of.dy, query);
    Own weights, dscores;
    multiply_rows(weights, staged, keys, queries, e.in_vectors);
    multiply_rows(dscores, staged, values, dy, e.in_vectors);
    CU_UNROLL
    for (int j = 0; j < kOwn; ++j) {
      const bool inside = score_column(j) < queries.rows;
      const std::int64_t row = task.row(e, query) + score_column(j);
      const float log_sum = inside ? of.log_sum[row] : 0.0f, delta = inside ? of.delta[row] : 0.0f;
      CU_UNROLL
      for (int i = 0; i < kOwn; ++i) {
        const bool seen = inside && is_seen(e, query + score_column(j), task.token + row_of(i));
        weights[i][j] = seen ? expf(fmaf(weights[i][j], e.scale, -log_sum)) : 0.0f;
        dscores[i][j] = weights[i][j] * (dscores[i][j] - delta) * e.scale;
      }
    }
    const Taken taken = pairs_of(e, query, task.token, Taken::from_own);
    store_scores(stored, weights);
    accumulate(dvalues, stored, staged, dy, task.dim, e.in_vectors, taken);
    __syncthreads();  // the weights have been read
    store_scores(stored, dscores);
    accumulate(dkeys, stored, staged, queries, task.dim, e.in_vectors, taken);
  }
  write_own(e, task, of.dqkv + task.at(e, 1, task.token), 3 * e.heads * e.head_dim, dkeys);
  write_own(e, task, of.dqkv + task.at(e, 2, task.token), 3 * e.heads * e.head_dim, dvalues);
}

template <class Of>
void run(cu::Stream stream, void (*kernel)(AttentionExtent, Of), const AttentionExtent& e, const Of& of) {
  const std::int64_t tiles = (e.tokens + kTile - 1) / kTile, slices = (e.head_dim + kTile - 1) / kTile;
  const auto blocks = static_cast<unsigned>(e.samples * e.heads * tiles * slices);
  if (blocks == 0) return;
  cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, kernel, e, of);
}

void forward(cu::Stream stream, const AttentionExtent& e, const AttentionForward& of) { run(stream, attend, e, of); }
void queries(cu::Stream stream, const AttentionExtent& e, const AttentionBackward& of) {
  run(stream, gradient_of_queries, e, of);
}
void keys_and_values(cu::Stream stream, const AttentionExtent& e, const AttentionBackward& of) {
  run(stream, gradient_of_keys_and_values, e, of);
}
void delta(cu::Stream stream, const AttentionExtent& e, const AttentionDelta& of) {
  constexpr std::int64_t kRows = kRowThreads / kWarp;
  const auto blocks = static_cast<unsigned>((e.samples * e.tokens * e.heads + kRows - 1) / kRows);
  if (blocks == 0) return;
  cu::launch({.grid = dim3(blocks), .block = dim3(kRowThreads), .stream = stream}, delta_of_rows, e, of);
}

}  // namespace

template <>
const AttentionKernels& attention_kernels<cu::Build>() {
  static constexpr AttentionKernels table = {
      .forward = forward, .delta = delta, .queries = queries, .keys_and_values = keys_and_values};
  return table;
}

}  // namespace gesso::cuda
