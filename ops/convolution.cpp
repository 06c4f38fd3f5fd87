#include "ops/convolution.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "ops/convolution_patches.h"
#include "ops/winograd.h"

namespace gesso::convolution {
namespace {

// More phases of the input's gradient, of which a large stride makes many, are computed one by one.
constexpr std::int64_t kMostPhases = 64;

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

// c = epilogue(the sum over sources of gathered rows times panels); sources are alike but for their images and
// channels, panels [taps][channels][columns] of one group.
void multiply_direct(const Execution& run, std::span<const Phase> sources, float* c, const GemmEpilogue& epilogue) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const std::int64_t row_count = sources[0].gather.rows(), panel_count = sources[0].panels.count();
  const gemm::Partition parts = gemm::partition(kernels, row_count, panel_count);
  std::int64_t channels = 0;
  for (const Phase& source : sources) channels = std::max(channels, source.panels.channels);
  const Tensor zeros = Tensor::zeros({{channels}, DType::f32}, run.device);
  run.pool.run(parts.chunks(), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk / parts.panel_blocks * parts.rows_each;
    const std::int64_t begin = chunk % parts.panel_blocks * parts.panels_each;
    gemm::Rows rows{.count = std::min(parts.rows_each, row_count - first), .pointers = {}, .offsets = {}};
    for (std::size_t i = 0; i < sources.size(); ++i) {
      place_rows(kernels, sources[i].gather, first, zeros.data<float>().data(), rows);
      gemm::multiply_rows(kernels, rows, sources[i].panels, begin, std::min(begin + parts.panels_each, panel_count), c,
                          i + 1 == sources.size() ? epilogue : GemmEpilogue{}, i > 0);
    }
  });
}

// The same for one of them, of a pass of g.
void multiply_phase(const Execution& run, const ConvGeometry& g, const Phase& phase, float* c,
                    const GemmEpilogue& epilogue) {
  if (takes_patches(g, phase.panels.channels)) return multiply_patches(run, phase.gather, phase.panels, c, epilogue);
  multiply_direct(run, {&phase, 1}, c, epilogue);
}

// panel[t][c][k] = weight[k][taps[t]][c] of one group, from any channels of it on.
void pack_for_forward(const Execution& run, const ConvGeometry& g, const std::vector<Tap>& taps, const float* weight,
                      const gemm::Panels& panels) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const std::int64_t group_c = g.C / g.groups, row = g.taps() * group_c, area = panels.channels * panels.width;
  run.pool.run(panels.count(), [&](std::int64_t p, int) {
    const std::int64_t k = p * panels.width, columns = std::min(panels.width, panels.columns - k);
    for (std::int64_t t = 0; t < panels.taps; ++t)
      kernels.transpose(columns, panels.channels, weight + k * row + taps[static_cast<std::size_t>(t)].index * group_c,
                        row, panels.panel(p) + t * area, panels.width);
  });
}

// panel[t][k][c] = weight[k][taps[t]][c] of one group, from any channels of it on.
void pack_for_input_gradient(const Execution& run, const ConvGeometry& g, const std::vector<Tap>& taps,
                             const float* weight, const gemm::Panels& panels) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const std::int64_t group_c = g.C / g.groups, row = g.taps() * group_c, area = panels.channels * panels.width;
  run.pool.run(panels.count(), [&](std::int64_t p, int) {
    const std::int64_t c = p * panels.width, columns = std::min(panels.width, panels.columns - c);
    for (std::int64_t t = 0; t < panels.taps; ++t)
      kernels.copy(panels.channels, columns, weight + taps[static_cast<std::size_t>(t)].index * group_c + c, row,
                   panels.panel(p) + t * area, panels.width);
  });
}

// Where the channels on one side lie in two tensors. gather_of(source, target, phase) -> Gather; pack(taps, source,
// target, panels). Winograd takes the sources one after the other: to transform the results twice costs 3 % of a pass.
template <class GatherOf, class Pack>
void multiply_joined(const Execution& run, ConvAlgorithm algorithm, std::int64_t phases,
                     const std::vector<JoinedChannels<const float>::Part>& from,
                     const std::vector<JoinedChannels<float>::Part>& to, GatherOf gather_of, Pack pack,
                     const GemmEpilogue& epilogue) {
  const auto phase_of = [&](const auto& source, const auto& target, std::int64_t phase) {
    Gather gather = gather_of(source, target, phase);
    const gemm::Panels panels(run, std::ssize(gather.taps), source.channels, target.channels);
    pack(gather.taps, source, target, panels);
    return Phase{std::move(gather), panels};
  };
  for (const auto& target : to) {
    if (algorithm == ConvAlgorithm::direct) {
      for (std::int64_t phase = 0; phase < phases; ++phase) {
        std::vector<Phase> sources;
        for (const auto& source : from) sources.push_back(phase_of(source, target, phase));
        multiply_direct(run, sources, target.pixels, epilogue);
      }
      continue;
    }
    for (std::size_t i = 0; i < from.size(); ++i) {
      std::vector<Phase> of_source;
      for (std::int64_t phase = 0; phase < phases; ++phase) of_source.push_back(phase_of(from[i], target, phase));
      GemmEpilogue finish = i + 1 == from.size() ? epilogue : GemmEpilogue{};
      finish.residual = i == 0 ? epilogue.residual : target.pixels;
      multiply_by_winograd(run, algorithm, of_source, target.pixels, finish);
    }
  }
}

void forward_joined(const Execution& run, const ConvGeometry& g, ConvAlgorithm algorithm, JoinedChannels<const float> x,
                    const float* weight, JoinedChannels<float> y, const GemmEpilogue& epilogue) {
  const auto gather_of = [&](const auto& source, const auto& target, std::int64_t) {
    ConvGeometry to = g;
    to.K = target.apart;
    return forward_gather(to, source.pixels, source.apart);
  };
  const auto pack = [&](const std::vector<Tap>& taps, const auto& source, const auto& target,
                        const gemm::Panels& panels) {
    pack_for_forward(run, g, taps, weight + target.first * g.taps() * g.C + source.first, panels);
  };
  multiply_joined(run, algorithm, 1, x.parts(g.C), y.parts(g.K), gather_of, pack, epilogue);
}

void input_gradient_joined(const Execution& run, const ConvGeometry& g, ConvAlgorithm algorithm,
                           JoinedChannels<const float> dy, const float* weight, JoinedChannels<float> dx,
                           const GemmEpilogue& epilogue) {
  const auto gather_of = [&](const auto& source, const auto& target, std::int64_t phase) {
    ConvGeometry to = g;
    to.C = target.apart;
    return phase_gather(to, source.pixels, source.apart, phase / phases_w(g), phase % phases_w(g));
  };
  const auto pack = [&](const std::vector<Tap>& taps, const auto& source, const auto& target,
                        const gemm::Panels& panels) {
    pack_for_input_gradient(run, g, taps, weight + source.first * g.taps() * g.C + target.first, panels);
  };
  multiply_joined(run, algorithm, phases_h(g) * phases_w(g), dy.parts(g.K), dx.parts(g.C), gather_of, pack, epilogue);
}

// Of one group.
void input_gradient_by_dots(const Execution& run, const ConvGeometry& g, const float* dy, const float* weight,
                            float* dx, const GemmEpilogue& epilogue) {
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups, columns = g.taps() * group_c;
  std::vector<Gather> phases;
  for (std::int64_t i = 0; i < phases_h(g) * phases_w(g); ++i)
    phases.push_back(phase_gather(g, dy, g.K, i / phases_w(g), i % phases_w(g)));
  const Tensor transposed = run.scratch({{columns, group_k}, DType::f32});
  float* weights = transposed.data<float>().data();
  if (run.computes()) gemm::kernels(run.isa).transpose(group_k, columns, weight, columns, weights, group_k);
  multiply_dots(run, phases, {weights, g.taps(), group_k, group_c, group_c * group_k, group_k}, dx, epilogue);
}

}  // namespace

void forward(const Execution& run, const ConvGeometry& g, JoinedChannels<const float> x, const float* weight,
             JoinedChannels<float> y, const GemmEpilogue& epilogue) {
  if (g.y_count() == 0) return;
  const ConvAlgorithm algorithm = plan(g, Pass::forward, run.isa);
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups;
  if (x.is_joined() || y.is_joined()) return forward_joined(run, g, algorithm, x, weight, y, epilogue);
  for (std::int64_t group = 0; group < g.groups; ++group) {
    const Gather gather = forward_gather(g, x.all() + group * group_c, g.C);
    float* group_y = y.all() + group * group_k;
    const float* group_weight = weight + group * group_k * g.taps() * group_c;
    const GemmEpilogue finish = gemm::from_column(epilogue, group * group_k);
    if (algorithm == ConvAlgorithm::direct && takes_dots(g, group_c, group_k)) {
      multiply_dots(run, {&gather, 1}, {group_weight, g.taps(), group_c, group_k, group_c, g.taps() * group_c}, group_y,
                    finish);
      continue;
    }
    const gemm::Panels panels(run, g.taps(), group_c, group_k);
    pack_for_forward(run, g, gather.taps, group_weight, panels);
    if (algorithm == ConvAlgorithm::direct)
      multiply_phase(run, g, {gather, panels}, group_y, finish);
    else
      multiply_by_winograd(run, algorithm, {{gather, panels}}, group_y, finish);
  }
}

void input_gradient(const Execution& run, const ConvGeometry& g, JoinedChannels<const float> dy, const float* weight,
                    JoinedChannels<float> dx, const GemmEpilogue& epilogue) {
  if (g.x_count() == 0) return;
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups, phases = phases_h(g) * phases_w(g);
  const ConvAlgorithm algorithm = plan(g, Pass::input_gradient, run.isa);
  if (dy.is_joined() || dx.is_joined()) return input_gradient_joined(run, g, algorithm, dy, weight, dx, epilogue);
  for (std::int64_t group = 0; group < g.groups; ++group) {
    const float* group_weight = weight + group * group_k * g.taps() * group_c;
    const float* group_dy = dy.all() + group * group_k;
    float* group_dx = dx.all() + group * group_c;
    const GemmEpilogue finish = gemm::from_column(epilogue, group * group_c);
    const auto phase_of = [&](std::int64_t i) {
      Gather gather = phase_gather(g, group_dy, g.K, i / phases_w(g), i % phases_w(g));
      const gemm::Panels panels(run, std::ssize(gather.taps), group_k, group_c);
      pack_for_input_gradient(run, g, gather.taps, group_weight, panels);
      return Phase{std::move(gather), panels};
    };
    if (algorithm != ConvAlgorithm::direct) {
      std::vector<Phase> all;
      for (std::int64_t i = 0; i < phases; ++i) all.push_back(phase_of(i));
      multiply_by_winograd(run, algorithm, all, group_dx, finish);
    } else if (g.stride_h * g.stride_w <= kMostPhases && takes_dots(g, group_k, group_c)) {
      input_gradient_by_dots(run, g, group_dy, group_weight, group_dx, finish);
    } else {
      for (std::int64_t i = 0; i < phases; ++i) multiply_phase(run, g, phase_of(i), group_dx, finish);
    }
  }
}

}  // namespace gesso::convolution
