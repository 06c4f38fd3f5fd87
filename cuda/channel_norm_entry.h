// What the entries of group norm and batch norm share.
#pragma once

#include <initializer_list>

#include "core/tensor.h"
#include "cuda/channel_norm.h"
#include "cuda/entry.h"

namespace gesso::cuda {

// How x [samples,...,channels] is cut: by its shape alone, but for in_vectors, which asks all addresses.
ChannelExtent channel_extent(const Shape& x, std::int64_t samples, std::int64_t groups,
                             std::initializer_list<const float*> addresses);

// What the slices leave, in scratch memory: moments, or sums.
struct ChannelParts {
  Tensor first, second;  // [parts,channels]

  ChannelParts(const Execution& run, const ChannelExtent& e);
  ChannelMoments moments() const { return {pointer<float>(first), pointer<float>(second)}; }
  ChannelSums sums() const { return {pointer<float>(first), pointer<float>(second)}; }
};

// dweight and dbias, where they are wanted: the parts' sums of dz xhat and of dz.
void write_gradients(const Execution& run, const ChannelParts& sums, const Tensor& dweight, const Tensor& dbias);

}  // namespace gesso::cuda
