#include "ops/convolution.h"

#include <algorithm>
#include <array>
#include <vector>

#include "ops/winograd.h"

namespace gesso::convolution {
namespace {

// Pointers and offsets for the grid rows [first, first + rows.count).
void place_rows(const GemmKernels& kernels, const Gather& g, std::int64_t first, const float* zeros, gemm::Rows& rows) {
  const std::int64_t taps = std::ssize(g.taps), tile_rows = kernels.rows;
  const std::int64_t padded = divide_up(rows.count, tile_rows) * tile_rows;
  rows.pointers.resize(static_cast<std::size_t>(padded * taps));
  rows.offsets.resize(static_cast<std::size_t>(padded));
  GridWalk walk(g, first);
  for (std::int64_t row = 0; row < padded; ++row) {
    const float** pointers = rows.pointers.data() + row / tile_rows * taps * tile_rows + row % tile_rows;
    const bool used = row < rows.count;
    for (std::int64_t t = 0; t < taps; ++t)
      pointers[t * tile_rows] = used ? walk.pixel(g.taps[static_cast<std::size_t>(t)], zeros) : zeros;
    rows.offsets[static_cast<std::size_t>(row)] = used ? walk.result_offset() : 0;
    if (used) walk.next();
  }
}

// The same where the taps of a row are joined in `memory`, [rows.count, taps * channels].
void place_joined_rows(const GemmKernels& kernels, const Gather& g, std::int64_t channels, std::int64_t first,
                       float* memory, gemm::Rows& rows) {
  const std::int64_t depth = std::ssize(g.taps) * channels;
  const std::int64_t padded = divide_up(rows.count, kernels.rows) * kernels.rows;
  join_taps(g, channels, first, rows.count, memory, depth);
  rows.pointers.resize(static_cast<std::size_t>(padded));
  rows.offsets.resize(static_cast<std::size_t>(padded));
  GridWalk walk(g, first);
  for (std::int64_t row = 0; row < padded; ++row) {
    const bool used = row < rows.count;
    rows.pointers[static_cast<std::size_t>(row)] = memory + (used ? row : 0) * depth;
    rows.offsets[static_cast<std::size_t>(row)] = used ? walk.result_offset() : 0;
    if (used) walk.next();
  }
}

// c = epilogue(gathered rows times panels); panels [taps][channels][columns] of one group.
void multiply_direct(const Execution& run, const Gather& g, gemm::Panels& panels, float* c,
                     const GemmEpilogue& epilogue) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const std::int64_t taps = panels.taps, channels = panels.channels;
  const bool joins = joins_taps(taps, channels);
  if (joins) {
    panels.taps = 1;
    panels.channels = taps * channels;
  }
  const gemm::Partition parts = gemm::partition(kernels, g.rows(), panels.count());
  const Tensor zeros = Tensor::zeros({{channels}, DType::f32}, run.device);
  const Tensor joined = run.scratch({{joins ? run.pool.threads() : 0, parts.rows_each, taps * channels}, DType::f32});
  run.pool.run(parts.chunks(), [&](std::int64_t chunk, int worker) {
    const std::int64_t first = chunk / parts.panel_blocks * parts.rows_each;
    const std::int64_t begin = chunk % parts.panel_blocks * parts.panels_each;
    gemm::Rows rows{.count = std::min(parts.rows_each, g.rows() - first), .pointers = {}, .offsets = {}};
    if (joins)
      place_joined_rows(kernels, g, channels, first,
                        joined.data<float>().data() + worker * parts.rows_each * taps * channels, rows);
    else
      place_rows(kernels, g, first, zeros.data<float>().data(), rows);
    gemm::multiply_rows(kernels, rows, panels, begin, std::min(begin + parts.panels_each, panels.count()), c, epilogue);
  });
}

void multiply(const Execution& run, ConvAlgorithm algorithm, const Gather& g, gemm::Panels& panels, float* c,
              const GemmEpilogue& epilogue) {
  if (algorithm == ConvAlgorithm::direct)
    multiply_direct(run, g, panels, c, epilogue);
  else
    multiply_by_winograd(run, algorithm, g, panels, c, epilogue);
}

GemmEpilogue of_group(const GemmEpilogue& epilogue, std::int64_t first_channel) {
  return {.bias = epilogue.bias == nullptr ? nullptr : epilogue.bias + first_channel,
          .residual = epilogue.residual == nullptr ? nullptr : epilogue.residual + first_channel,
          .activation = epilogue.activation};
}

// panel[t][c][k] = weight[k][taps[t]][c] of one group.
void pack_for_forward(const Execution& run, const ConvGeometry& g, const std::vector<Tap>& taps, const float* weight,
                      const gemm::Panels& panels) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const std::int64_t row = g.taps() * panels.channels, area = panels.channels * panels.width;
  run.pool.run(panels.count(), [&](std::int64_t p, int) {
    const std::int64_t k = p * panels.width, columns = std::min(panels.width, panels.columns - k);
    for (std::int64_t t = 0; t < panels.taps; ++t)
      kernels.transpose(columns, panels.channels,
                        weight + k * row + taps[static_cast<std::size_t>(t)].index * panels.channels, row,
                        panels.panel(p) + t * area, panels.width);
  });
}

// panel[t][k][c] = weight[k][taps[t]][c] of one group.
void pack_for_input_gradient(const Execution& run, const ConvGeometry& g, const std::vector<Tap>& taps,
                             const float* weight, const gemm::Panels& panels) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const std::int64_t row = g.taps() * panels.columns, area = panels.channels * panels.width;
  run.pool.run(panels.count(), [&](std::int64_t p, int) {
    const std::int64_t c = p * panels.width, columns = std::min(panels.width, panels.columns - c);
    for (std::int64_t t = 0; t < panels.taps; ++t)
      kernels.copy(panels.channels, columns, weight + taps[static_cast<std::size_t>(t)].index * panels.columns + c, row,
                   panels.panel(p) + t * area, panels.width);
  });
}

// So few channels in the result that a tile would compute mostly columns that nobody stores. Then all taps of all
// pixels are multiplied first, taps * channels columns side by side, and each row of the result sums what its taps see.
constexpr std::int64_t kFewColumns = 4;

bool has_few_columns(const ConvGeometry& g, std::int64_t columns) {
  return g.groups == 1 && g.taps() > 1 && columns <= kFewColumns;
}

// c[row][j] = epilogue(sum over taps of products[what the tap sees][tap * tap_stride + j * column_stride]); `g` looks
// into the products.
struct TapSums {
  std::int64_t columns, tap_stride, column_stride;
};
void sum_taps(const Execution& run, const Gather& g, const TapSums& sums, float* c, const GemmEpilogue& epilogue) {
  constexpr std::int64_t kGrain = 1024;
  const GemmKernels& kernels = gemm::kernels(run.isa);
  parallel_for(run.pool, g.rows(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    GridWalk walk(g, begin);
    for (std::int64_t row = begin; row < end; ++row, walk.next()) {
      std::array<float, kFewColumns> total{};
      for (const Tap& tap : g.taps)
        if (const float* seen = walk.pixel(tap, nullptr))
          for (std::int64_t j = 0; j < sums.columns; ++j)
            total[static_cast<std::size_t>(j)] += seen[tap.index * sums.tap_stride + j * sums.column_stride];
      const std::int64_t offset = walk.result_offset();
      std::copy_n(total.begin(), sums.columns, c + offset);
      if (!gemm::is_empty(epilogue))  // a tile that adds nothing
        kernels.tile({.taps = 0,
                      .channels = 0,
                      .rows = nullptr,
                      .first_channel = 0,
                      .panel = nullptr,
                      .out = c,
                      .row_offsets = &offset,
                      .row_count = 1,
                      .column_count = sums.columns,
                      .add = true,
                      .epilogue = &epilogue});
    }
  });
}

}  // namespace

void forward(const Execution& run, const ConvGeometry& g, const float* x, const float* weight, float* y,
             const GemmEpilogue& epilogue) {
  if (g.y_count() == 0) return;
  const ConvAlgorithm algorithm = plan(g, Pass::forward, run.isa);
  if (algorithm == ConvAlgorithm::direct && has_few_columns(g, g.K) && g.stride_h == 1 && g.stride_w == 1) {
    const Tensor products = run.scratch({{g.N * g.H * g.W, g.K * g.taps()}, DType::f32});
    float* all = products.data<float>().data();
    gemm::multiply(run, {.m = g.N * g.H * g.W, .n = g.K * g.taps(), .k = g.C, .transpose_b = true}, x, weight, all);
    return sum_taps(run, forward_gather(g, all, g.K * g.taps()),
                    {.columns = g.K, .tap_stride = 1, .column_stride = g.taps()}, y, epilogue);
  }
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups;
  for (std::int64_t group = 0; group < g.groups; ++group) {
    const Gather gather = forward_gather(g, x + group * group_c, g.C);
    gemm::Panels panels(run, g.taps(), group_c, group_k);
    pack_for_forward(run, g, gather.taps, weight + group * group_k * g.taps() * group_c, panels);
    multiply(run, algorithm, gather, panels, y + group * group_k, of_group(epilogue, group * group_k));
  }
}

void input_gradient(const Execution& run, const ConvGeometry& g, const float* dy, const float* weight, float* dx,
                    const GemmEpilogue& epilogue) {
  if (g.x_count() == 0) return;
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups, width = g.taps() * g.C;
  const ConvAlgorithm algorithm = plan(g, Pass::input_gradient, run.isa);
  const bool few = algorithm == ConvAlgorithm::direct && has_few_columns(g, g.C);
  const Tensor products = run.scratch({{few ? g.N * g.OH * g.OW : 0, width}, DType::f32});
  float* all = products.data<float>().data();
  if (few) gemm::multiply(run, {.m = g.N * g.OH * g.OW, .n = width, .k = g.K}, dy, weight, all);
  for (std::int64_t part = 0; part < g.groups * phases_h(g) * phases_w(g); ++part) {
    const std::int64_t group = part / (phases_h(g) * phases_w(g));
    const std::int64_t phase_h = part / phases_w(g) % phases_h(g), phase_w = part % phases_w(g);
    if (few) {
      const Gather gather = phase_gather(g, all, width, phase_h, phase_w);
      sum_taps(run, gather, {.columns = g.C, .tap_stride = g.C, .column_stride = 1}, dx, epilogue);
      continue;
    }
    const Gather gather = phase_gather(g, dy + group * group_k, g.K, phase_h, phase_w);
    gemm::Panels panels(run, std::ssize(gather.taps), group_k, group_c);
    pack_for_input_gradient(run, g, gather.taps, weight + group * group_k * g.taps() * group_c, panels);
    multiply(run, algorithm, gather, panels, dx + group * group_c, of_group(epilogue, group * group_c));
  }
}

}  // namespace gesso::convolution
