#include "ops/convolution.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "ops/convolution_patches.h"
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

// c = epilogue(gathered rows times panels); panels [taps][channels][columns] of one group.
void multiply_direct(const Execution& run, const Gather& g, const gemm::Panels& panels, float* c,
                     const GemmEpilogue& epilogue) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const gemm::Partition parts = gemm::partition(kernels, g.rows(), panels.count());
  const Tensor zeros = Tensor::zeros({{panels.channels}, DType::f32}, run.device);
  run.pool.run(parts.chunks(), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk / parts.panel_blocks * parts.rows_each;
    const std::int64_t begin = chunk % parts.panel_blocks * parts.panels_each;
    gemm::Rows rows{.count = std::min(parts.rows_each, g.rows() - first), .pointers = {}, .offsets = {}};
    place_rows(kernels, g, first, zeros.data<float>().data(), rows);
    gemm::multiply_rows(kernels, rows, panels, begin, std::min(begin + parts.panels_each, panels.count()), c, epilogue);
  });
}

// The same for the phases of a pass of g, the way that its plan says.
void multiply(const Execution& run, const ConvGeometry& g, ConvAlgorithm algorithm, const std::vector<Phase>& phases,
              float* c, const GemmEpilogue& epilogue) {
  if (algorithm != ConvAlgorithm::direct) return multiply_by_winograd(run, algorithm, phases, c, epilogue);
  for (const auto& [gather, panels] : phases)
    if (takes_patches(g, panels.channels))
      multiply_patches(run, gather, panels, c, epilogue);
    else
      multiply_direct(run, gather, panels, c, epilogue);
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

}  // namespace

void forward(const Execution& run, const ConvGeometry& g, const float* x, const float* weight, float* y,
             const GemmEpilogue& epilogue) {
  if (g.y_count() == 0) return;
  const ConvAlgorithm algorithm = plan(g, Pass::forward, run.isa);
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups;
  for (std::int64_t group = 0; group < g.groups; ++group) {
    const Gather gather = forward_gather(g, x + group * group_c, g.C);
    const float* group_weight = weight + group * group_k * g.taps() * group_c;
    const GemmEpilogue finish = gemm::from_column(epilogue, group * group_k);
    if (algorithm == ConvAlgorithm::direct && takes_dots(g, group_c, group_k)) {
      multiply_dots(run, {&gather, 1}, {group_weight, g.taps(), group_c, group_k, group_c, g.taps() * group_c},
                    y + group * group_k, finish);
      continue;
    }
    const gemm::Panels panels(run, g.taps(), group_c, group_k);
    pack_for_forward(run, g, gather.taps, group_weight, panels);
    multiply(run, g, algorithm, {{gather, panels}}, y + group * group_k, finish);
  }
}

void input_gradient(const Execution& run, const ConvGeometry& g, const float* dy, const float* weight, float* dx,
                    const GemmEpilogue& epilogue) {
  if (g.x_count() == 0) return;
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups;
  const std::int64_t columns = g.taps() * group_c, phases = phases_h(g) * phases_w(g);
  const ConvAlgorithm algorithm = plan(g, Pass::input_gradient, run.isa);
  for (std::int64_t group = 0; group < g.groups; ++group) {
    const float* group_weight = weight + group * group_k * columns;
    const GemmEpilogue finish = gemm::from_column(epilogue, group * group_c);
    const auto gather_phase = [&](std::int64_t i) {
      return phase_gather(g, dy + group * group_k, g.K, i / phases_w(g), i % phases_w(g));
    };
    if (algorithm == ConvAlgorithm::direct && takes_dots(g, group_k, group_c)) {
      std::vector<Gather> gathers;
      for (std::int64_t i = 0; i < phases; ++i) gathers.push_back(gather_phase(i));
      const Tensor transposed = run.scratch({{columns, group_k}, DType::f32});
      float* weights = transposed.data<float>().data();
      if (run.computes()) gemm::kernels(run.isa).transpose(group_k, columns, group_weight, columns, weights, group_k);
      multiply_dots(run, gathers, {weights, g.taps(), group_k, group_c, group_c * group_k, group_k},
                    dx + group * group_c, finish);
      continue;
    }
    std::vector<Phase> packed;
    for (std::int64_t i = 0; i < phases; ++i) {
      Gather gather = gather_phase(i);
      const gemm::Panels panels(run, std::ssize(gather.taps), group_k, group_c);
      pack_for_input_gradient(run, g, gather.taps, group_weight, panels);
      packed.push_back({std::move(gather), panels});
    }
    multiply(run, g, algorithm, packed, dx + group * group_c, finish);
  }
}

}  // namespace gesso::convolution
