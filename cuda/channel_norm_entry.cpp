#include "cuda/channel_norm_entry.h"

#include <algorithm>

#include "cuda/elementwise.h"
#include "cuda/reduce_axes.h"

namespace gesso::cuda {

ChannelExtent channel_extent(const Shape& x, std::int64_t samples, std::int64_t groups,
                             std::initializer_list<const float*> addresses) {
  constexpr std::int64_t kSmallestSlice = 64, kBlocks = 1024, kTile = 32;
  ChannelExtent e{.samples = samples, .positions = 1, .channels = x.back(), .groups = groups};
  for (int i = 0; i + 1 < x.rank(); ++i) e.positions *= x[i];
  if (samples != 0) e.positions /= samples;
  const std::int64_t side_by_side = std::max<std::int64_t>(samples * ((e.channels + kTile - 1) / kTile), 1);
  const std::int64_t wanted = (kBlocks + side_by_side - 1) / side_by_side;
  e.slice = std::max(kSmallestSlice, (e.positions + wanted - 1) / wanted);
  e.slices = (e.positions + e.slice - 1) / e.slice;
  e.in_vectors = e.channels % kVector == 0;
  for (const float* address : addresses) e.in_vectors = e.in_vectors && vectors_at(address);
  return e;
}

ChannelParts::ChannelParts(const Execution& run, const ChannelExtent& e)
    : first(run.scratch({{e.parts(), e.channels}, DType::f32})),
      second(run.scratch({{e.parts(), e.channels}, DType::f32})) {}

void write_gradients(const Execution& run, const ChannelParts& sums, const Tensor& dweight, const Tensor& dbias) {
  if (dweight) sum_axes(run, sums.second, axes(0), 1, dweight);
  if (dbias) sum_axes(run, sums.first, axes(0), 1, dbias);
}

}  // namespace gesso::cuda
