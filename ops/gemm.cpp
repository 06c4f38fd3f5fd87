#include "ops/gemm.h"

#include <algorithm>

namespace gesso::gemm {
namespace {

// Channels that are summed at a time: their panel (16 columns: 24 KiB) stays in L1 while all rows of a chunk meet it.
constexpr std::int64_t kDepth = 384;
// Tiles a chunk: its rows stay in L2, and a panel that comes from L3 is used often.
constexpr std::int64_t kTilesEach = 10;
// Chunks that are wanted, so that a few dozen threads find work; more only where the matrix is large.
constexpr std::int64_t kChunks = 16;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Part of the sum over taps and channels: several taps whole, or some channels of one tap.
struct Piece {
  std::int64_t first_tap, taps, first_channel, channels;
};

std::vector<Piece> pieces_of(std::int64_t taps, std::int64_t channels) {
  if (taps == 0 || channels == 0) return {{0, 0, 0, 0}};  // an empty sum is stored all the same
  std::vector<Piece> pieces;
  if (channels <= kDepth) {
    const std::int64_t each = divide_up(taps, divide_up(taps * channels, kDepth));
    for (std::int64_t tap = 0; tap < taps; tap += each)
      pieces.push_back({tap, std::min(each, taps - tap), 0, channels});
    return pieces;
  }
  const std::int64_t each = divide_up(channels, divide_up(channels, kDepth));
  for (std::int64_t tap = 0; tap < taps; ++tap)
    for (std::int64_t c = 0; c < channels; c += each) pieces.push_back({tap, 1, c, std::min(each, channels - c)});
  return pieces;
}

void multiply_piece(const GemmKernels& kernels, const Rows& rows, const Panels& panels, std::int64_t p,
                    const Piece& piece, bool add, float* c, const GemmEpilogue* epilogue) {
  const std::int64_t column = p * panels.width;
  for (std::int64_t row = 0; row < rows.count; row += kernels.rows) {
    const std::int64_t tile = row / kernels.rows;
    kernels.tile({.taps = piece.taps,
                  .channels = piece.channels,
                  .rows = rows.pointers.data() + (tile * panels.taps + piece.first_tap) * kernels.rows,
                  .first_channel = piece.first_channel,
                  .panel = panels.panel(p) + (piece.first_tap * panels.channels + piece.first_channel) * panels.width,
                  .out = c + column,
                  .row_offsets = rows.offsets.data() + row,
                  .row_count = std::min<std::int64_t>(kernels.rows, rows.count - row),
                  .column_count = std::min(panels.width, panels.columns - column),
                  .add = add,
                  .epilogue = epilogue});
  }
}

}  // namespace

const GemmKernels& kernels(Isa isa) {
  return by_isa(isa, gemm_kernels<simd::Baseline>, gemm_kernels<simd::Avx2>, gemm_kernels<simd::Avx512>)();
}

Panels::Panels(const Execution& run, std::int64_t taps_, std::int64_t channels_, std::int64_t columns_)
    : taps(taps_),
      channels(channels_),
      columns(columns_),
      width(kernels(run.isa).columns),
      count_(divide_up(columns, width)),
      storage_(run.scratch({{count_, taps, channels, width}, DType::f32})),
      memory_(storage_.data<float>().data()) {}

GemmEpilogue from_column(const GemmEpilogue& epilogue, std::int64_t column) {
  GemmEpilogue here = epilogue;
  if (here.bias != nullptr) here.bias += column;
  if (here.residual != nullptr) here.residual += column;
  here.kept.first += column;
  return here;
}

GemmEpilogue from_row(const GemmEpilogue& epilogue, std::int64_t offset) {
  GemmEpilogue here = epilogue;
  if (here.residual != nullptr) here.residual += offset;
  if (here.image == 0) return here;
  const std::int64_t image = offset / here.image;
  if (here.bias != nullptr) here.bias += image * here.bias_apart;
  if (here.kept.bits != nullptr) here.kept.bits += image * here.kept_apart;
  here.kept.first += offset - image * here.image;
  return here;
}

void multiply_rows(const GemmKernels& kernels, const Rows& rows, const Panels& panels, std::int64_t begin,
                   std::int64_t end, float* c, const GemmEpilogue& epilogue, bool add) {
  const std::vector<Piece> pieces = pieces_of(panels.taps, panels.channels);
  for (std::size_t i = 0; i < pieces.size(); ++i)
    for (std::int64_t p = begin; p < end; ++p) {
      const GemmEpilogue here = from_column(epilogue, p * panels.width);
      const bool last = i + 1 == pieces.size();
      multiply_piece(kernels, rows, panels, p, pieces[i], add || i > 0, c,
                     last && !is_empty(epilogue) ? &here : nullptr);
    }
}

Partition partition(const GemmKernels& kernels, std::int64_t rows, std::int64_t panels) {
  Partition parts{};
  parts.rows_each = std::clamp<std::int64_t>(divide_up(rows, kernels.rows), 1, kTilesEach) * kernels.rows;
  parts.row_blocks = divide_up(rows, parts.rows_each);
  const std::int64_t wanted = parts.row_blocks == 0 ? 1 : divide_up(kChunks, parts.row_blocks);
  parts.panels_each = divide_up(panels, std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(panels, 1)));
  parts.panel_blocks = parts.panels_each == 0 ? 0 : divide_up(panels, parts.panels_each);
  return parts;
}

namespace {

// The shapes here have their strides.
void pack_b(const Execution& run, const GemmKernels& kernels, const Shape& shape, const float* b,
            const Panels& panels) {
  const std::int64_t stride = shape.b_stride;
  run.pool.run(panels.count(), [&](std::int64_t p, int) {
    const std::int64_t column = p * panels.width, columns = std::min(panels.width, shape.n - column);
    if (shape.transpose_b)
      kernels.transpose(columns, shape.k, b + column * stride, stride, panels.panel(p), panels.width);
    else
      kernels.copy(shape.k, columns, b + column, stride, panels.panel(p), panels.width);
  });
}

// Floats from one packed row of op(A) to the next: an odd number of cache lines. Rows of 4 KiB would all lie in the
// same few sets of L1 (attention backward, 1024 tokens: 586 ms against 386).
std::int64_t packed_stride(std::int64_t k) { return (k + 15) / 32 * 32 + 16; }

// Rows [first, first + rows.count) of op(A), copied where they do not lie as rows in memory.
void place_rows(const GemmKernels& kernels, const Shape& shape, const float* a, std::int64_t first, float* packed,
                Rows& rows) {
  const std::int64_t stride = shape.a_stride, c_stride = shape.c_stride;
  const std::int64_t tiles = divide_up(rows.count, kernels.rows);
  if (shape.transpose_a) kernels.transpose(shape.k, rows.count, a + first, stride, packed, packed_stride(shape.k));
  const float* start = shape.transpose_a ? packed : a + first * stride;
  const std::int64_t step = shape.transpose_a ? packed_stride(shape.k) : stride;
  for (std::int64_t i = 0; i < tiles * kernels.rows; ++i) {
    const std::int64_t row = std::min(i, rows.count - 1);
    rows.pointers[static_cast<std::size_t>(i)] = start + row * step;
    rows.offsets[static_cast<std::size_t>(i)] = (first + row) * c_stride;
  }
}

}  // namespace

Product::Product(const Execution& run, const Shape& shape, int workers)
    : run_(run),
      shape_(shape),
      kernels_(kernels(run.isa)),
      panels_(run, 1, shape.k, shape.n),
      parts_(partition(kernels_, shape.m, panels_.count())),
      rows_(static_cast<std::size_t>(workers)) {
  const auto or_dense = [](std::int64_t& stride, std::int64_t dense) {
    if (stride == 0) stride = dense;
  };
  or_dense(shape_.a_stride, shape.transpose_a ? shape.m : shape.k);
  or_dense(shape_.b_stride, shape.transpose_b ? shape.k : shape.n);
  or_dense(shape_.c_stride, shape.n);
  if (shape.transpose_a) packed_ = run.scratch({{workers, parts_.rows_each, packed_stride(shape.k)}, DType::f32});
}

void Product::multiply(const float* a, const float* b, float* c, const GemmEpilogue& epilogue) {
  if (shape_.m == 0 || shape_.n == 0) return;
  pack_b(run_, kernels_, shape_, b, panels_);
  run_.pool.run(parts_.chunks(), [&](std::int64_t chunk, int worker) {
    const std::int64_t first = chunk / parts_.panel_blocks * parts_.rows_each;
    const std::int64_t begin = chunk % parts_.panel_blocks * parts_.panels_each;
    Rows& rows = rows_[static_cast<std::size_t>(worker)];
    rows.count = std::min(parts_.rows_each, shape_.m - first);
    rows.pointers.resize(static_cast<std::size_t>(parts_.rows_each));
    rows.offsets.resize(static_cast<std::size_t>(parts_.rows_each));
    float* packed =
        packed_ ? packed_.data<float>().data() + worker * parts_.rows_each * packed_stride(shape_.k) : nullptr;
    place_rows(kernels_, shape_, a, first, packed, rows);
    multiply_rows(kernels_, rows, panels_, begin, std::min(begin + parts_.panels_each, panels_.count()), c, epilogue);
  });
}

void multiply(const Execution& run, const Shape& shape, const float* a, const float* b, float* c,
              const GemmEpilogue& epilogue) {
  Product(run, shape, run.pool.threads()).multiply(a, b, c, epilogue);
}

void sum_rows(const Execution& run, std::int64_t rows, std::int64_t columns, const float* x, float* sums) {
  sum_rows_of_images(run, 1, rows, columns, x, sums);
}

void sum_rows_of_images(const Execution& run, std::int64_t images, std::int64_t rows, std::int64_t columns,
                        const float* x, float* sums) {
  constexpr std::int64_t kRowsEach = 512;
  const GemmKernels& kernel = kernels(run.isa);
  const std::int64_t chunks = divide_up(rows, kRowsEach);
  const Tensor partial = run.scratch({{images, chunks, columns}, DType::f32});
  float* each = partial.data<float>().data();
  run.pool.run(images * chunks, [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk % chunks * kRowsEach;
    kernel.sum_rows(std::min(kRowsEach, rows - first), columns, x + (chunk / chunks * rows + first) * columns, columns,
                    each + chunk * columns);
  });
  for (std::int64_t n = 0; n < (run.computes() ? images : 0); ++n)
    kernel.sum_rows(chunks, columns, each + n * chunks * columns, columns, sums + n * columns);
}

void activation_backward(const Execution& run, std::int64_t n, Activation activation, const float* kept,
                         const float* dy, float* dx) {
  constexpr std::int64_t kGrain = 1 << 14;
  const GemmKernels& kernel = kernels(run.isa);
  parallel_for(run.pool, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel.activation_backward(end - begin, activation, kept + begin, dy + begin, dx + begin);
  });
}

}  // namespace gesso::gemm
