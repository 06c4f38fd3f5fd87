#include "cuda/codebook_update.h"

#include "cuda/entry.h"
#include "cuda/unit.h"
#include "ops/codebook_update.h"

namespace gesso::cuda {
namespace {

TableByDevice<CodebookUpdateKernels> tables;

void forward(const Attributes& attributes, const Forward& f) {
  constexpr int kMostLanes = 32;
  const auto attrs = attributes.as<ops::CodebookUpdateAttrs>();
  const Tensor &codebook = f.in[0], &z = f.in[5];
  if (codebook.dim(0) == 0) return;
  const Tensor new_counts = f.run.scratch(f.in[1].spec()), factor = f.run.scratch({{1}, DType::f64});
  tables.of(f.run).update(stream_of(f.run), {.decay = attrs.decay,
                                             .eps = attrs.eps,
                                             .revival_threshold = attrs.revival_threshold,
                                             .key = attrs.key,
                                             .codes = codebook.dim(0),
                                             .width = codebook.dim(1),
                                             .candidates = z ? z.dim(0) : 0,
                                             .codebook = pointer<float>(codebook),
                                             .moving_counts = pointer<float>(f.in[1]),
                                             .moving_sums = pointer<float>(f.in[2]),
                                             .counts = pointer<float>(f.in[3]),
                                             .sums = pointer<float>(f.in[4]),
                                             .z = pointer<float>(z),
                                             .step = pointer<std::int64_t>(f.in[6]),
                                             .gate = pointer<float>(f.in[7]),
                                             .new_counts = pointer<float>(new_counts),
                                             .factor = pointer<double>(factor),
                                             .lanes = lanes_of(codebook.dim(1), kMostLanes)});
}

}  // namespace

void register_codebook_update(DeviceKind device, const CodebookUpdateKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "codebook_update", {forward, nullptr});
}

}  // namespace gesso::cuda
