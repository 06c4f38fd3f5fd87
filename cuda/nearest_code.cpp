#include "cuda/nearest_code.h"

#include "cuda/elementwise.h"
#include "cuda/entry.h"
#include "cuda/sorted_picks.h"

namespace gesso::cuda {
namespace {

TableByDevice<NearestCodeKernels> tables;

void search(const Execution& run, const Tensor& z, const Tensor& codebook, const Tensor& index) {
  if (index.count() == 0) return;
  const Tensor biases = run.scratch({{codebook.dim(0)}, DType::f32});
  NearestCodeSearch search{.vectors = z.dim(0),
                           .codes = static_cast<int>(codebook.dim(0)),
                           .width = static_cast<int>(codebook.dim(1)),
                           .z = pointer<float>(z),
                           .codebook = pointer<float>(codebook),
                           .biases = pointer<float>(biases),
                           .index = pointer<std::int32_t>(index)};
  search.in_vectors = search.width % kVector == 0 && vectors_at(search.z) && vectors_at(search.codebook);
  tables.of(run).search(stream_of(run), search);
}

void forward(const Attributes&, const Forward& f) {
  const Tensor &z = f.in[0], &index = f.out[0], &counts = f.out[1], &sums = f.out[2];
  const std::int64_t codes = counts.count();
  search(f.run, z, f.in[1], index);
  const SortedPicks by_code = sort_picks(f.run, index, codes);
  tables.of(f.run).count(stream_of(f.run), static_cast<int>(codes), pointer<std::int32_t>(by_code.begins),
                         pointer<float>(counts));
  add_picked_rows(f.run, {.outer = 1, .rows = codes, .picks = index.count(), .inner = z.dim(1)}, by_code, z, sums);
}

}  // namespace

void register_nearest_code(DeviceKind device, const NearestCodeKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "nearest_code", {forward, nullptr});
}

}  // namespace gesso::cuda
