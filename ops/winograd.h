// Winograd's convolution on the CPU: 3x3 kernels with stride 1 for 4 (winograd4) or 2.25 (winograd2) times fewer
// products than the direct way, 4x4 kernels with stride 2 as parts or phases of 2x2 taps for 2.56 times fewer
// (winograd4). The transforms are those of ops/winograd_simd.h; the products of one plane of all tiles are a matrix
// product on the register tile of ops/gemm.h.
#pragma once

#include <vector>

#include "ops/convolution_gather.h"

namespace gesso::convolution {

// How that pass runs on that instruction set: direct, winograd2 or winograd4; what g.algorithm says where it applies.
ConvAlgorithm plan(const ConvGeometry& g, Pass pass, Isa isa);

// c = epilogue(gathered rows times panels) for each of the phases of one group, as the direct way computes them; the
// shifts of a phase's taps ascend.
struct Phase {
  Gather gather;
  gemm::Panels panels;
};
void multiply_by_winograd(const Execution& run, ConvAlgorithm algorithm, const std::vector<Phase>& phases, float* c,
                          const GemmEpilogue& epilogue);

void weight_gradient_by_winograd(const Execution& run, ConvAlgorithm algorithm, const ConvGeometry& g, const float* x,
                                 const float* dy, float* dweight);

}  // namespace gesso::convolution
