// Kernels of norms whose statistics are over positions: group norm, and batch norm as a group norm of one sample whose
// groups are its channels. In two steps: sums over slices of the positions, joined in their order; then what is made of
// each element.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

// x [samples,positions,channels] in groups of neighbouring channels, read in slices of positions.
struct ChannelExtent {
  std::int64_t samples, positions, channels, groups;
  std::int64_t slice = 0, slices = 0;  // positions of a slice, the last perhaps fewer
  bool in_vectors = false;             // 16 bytes at a time: addresses and channels allow it

  std::int64_t parts() const { return samples * slices; }  // rows of what the slices leave
};

// Zero where the element's uniform is below `rate`, as core/rng.h draws it, else scaled.
struct ChannelDropout {
  std::uint64_t key = 0, first_sample = 0;
  const std::int64_t* step = nullptr;  // [1]; null: nothing is dropped
  float rate = 0, scale = 1;
};
// y = dropout(f((x - mean) rstd weight + bias)); mean and rstd [samples,groups], weight and bias [channels].
struct ChannelNorm {
  const float *mean, *rstd, *weight, *bias;
  bool silu;
  ChannelDropout dropout{};
};
// Mean, and sum of the squared distances from it, of each slice's part of a channel: [parts,channels].
struct ChannelMoments {
  float *mean, *squares;
};
// Sums of dz, and of dz xhat, of each slice's part of a channel: [parts,channels].
struct ChannelSums {
  float *dz, *dz_xhat;
};

// rstd = 1 / sqrt(variance + eps), of whole groups.
struct GroupStatistics {
  float eps;
  float *mean, *rstd;
};
// The same of a batch, its variance, and the running values: old + momentum (new - old), of the unbiased variance.
struct BatchStatistics {
  float eps, momentum;
  const float *old_mean, *old_variance;
  float *mean, *variance, *rstd, *new_mean, *new_variance;
};

// What the statistics add to dx: slope (x - mean) + shift; both [samples,groups]. An absent gradient of a result is 0.
struct GroupSlopes {
  const float *rstd, *dmean, *drstd;
  float *slope, *shift;
};
struct BatchSlopes {
  float momentum;
  const float *rstd, *dmean, *dvariance, *dnew_mean, *dnew_variance;
  float *slope, *shift;
};

struct ChannelNormKernels {
  void (*moments)(cu::Stream stream, const ChannelExtent& e, const float* x, const ChannelMoments& to);
  void (*group_statistics)(cu::Stream stream, const ChannelExtent& e, const ChannelMoments& from,
                           const GroupStatistics& to);
  void (*batch_statistics)(cu::Stream stream, const ChannelExtent& e, const ChannelMoments& from,
                           const BatchStatistics& to);
  void (*rstd)(cu::Stream stream, std::int64_t channels, const float* variance, float eps, float* rstd);
  void (*apply)(cu::Stream stream, const ChannelExtent& e, const ChannelNorm& norm, const float* x, float* y);
  void (*sums)(cu::Stream stream, const ChannelExtent& e, const ChannelNorm& norm, const float* x, const float* dy,
               const ChannelSums& to);
  void (*group_slopes)(cu::Stream stream, const ChannelExtent& e, const float* weight, const ChannelSums& from,
                       const GroupSlopes& to);
  void (*batch_slopes)(cu::Stream stream, const ChannelExtent& e, const float* weight, const ChannelSums& from,
                       const BatchSlopes& to);
  // dx = rstd weight dz + slope (x - mean) + shift; slope and shift are 0 where absent.
  void (*gradient)(cu::Stream stream, const ChannelExtent& e, const ChannelNorm& norm, const float* slope,
                   const float* shift, const float* x, const float* dy, float* dx);
};
template <class Build>
const ChannelNormKernels& channel_norm_kernels();

void register_group_norm(DeviceKind device, const ChannelNormKernels& kernels);
void register_batch_norm(DeviceKind device, const ChannelNormKernels& kernels);

}  // namespace gesso::cuda
