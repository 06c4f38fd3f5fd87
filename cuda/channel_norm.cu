#include "core/rng.h"
#include "cuda/block.h"
#include "cuda/channel_norm.h"
#include "cuda/cu.h"
#include "cuda/logistic.h"

namespace gesso::cuda {
namespace {

constexpr int kThreads = 256, kTile = 32;  // channels of a block: 128 bytes of a position

// What a thread of a block reads: kWide neighbouring channels of every kLanes-th position of a slice.
template <int kWide>
struct Share {
  static constexpr int kLanes = kThreads / (kTile / kWide);
  int lane, column;                    // column: of the tile, the first of kWide
  std::int64_t sample, part, channel;  // part: the slice's row in what the slices leave
  std::int64_t first, end;             // positions, counted through all samples
  bool inside;

  __device__ __forceinline__ Share(const ChannelExtent& e)
      : lane(static_cast<int>(threadIdx.x) / (kTile / kWide)),
        column(static_cast<int>(threadIdx.x) % (kTile / kWide) * kWide) {
    const std::int64_t tiles = (e.channels + kTile - 1) / kTile;
    part = blockIdx.x / tiles;
    sample = part / e.slices;
    channel = blockIdx.x % tiles * kTile + column;
    const std::int64_t begin = part % e.slices * e.slice, rest = e.positions - begin;
    first = sample * e.positions + begin + lane;
    end = sample * e.positions + begin + (rest < e.slice ? rest : e.slice);
    inside = channel < e.channels;
  }
  // visit(element) for the first element of each of the thread's positions.
  template <class Visit>
  __device__ __forceinline__ void each(const ChannelExtent& e, Visit&& visit) const {
    if (!inside) return;
    for (std::int64_t position = first; position < end; position += kLanes) visit(position * e.channels + channel);
  }
};

template <int kWide>
struct Elements {
  float at[kWide];
};
template <int kWide>
__device__ __forceinline__ Elements<kWide> load(const float* from) {
  if constexpr (kWide == 1) {
    return {{*from}};
  } else {
    static_assert(kWide == 4);
    const auto v = cu::load_as<float4>(from);
    return {{v.x, v.y, v.z, v.w}};
  }
}
template <int kWide>
__device__ __forceinline__ void store(float* to, const Elements<kWide>& v) {
  if constexpr (kWide == 1)
    *to = v.at[0];
  else
    cu::store_as(to, make_float4(v.at[0], v.at[1], v.at[2], v.at[3]));
}

struct Moments {
  float count, mean, squares;  // squares: the sum of squared distances from the mean
};
// Of both together (Chan, Golub and LeVeque 1979).
__device__ __forceinline__ Moments joined(const Moments& a, const Moments& b) {
  if (a.count == 0.0f) return b;
  if (b.count == 0.0f) return a;
  const float count = a.count + b.count, distance = b.mean - a.mean, share = b.count / count;
  return {count, fmaf(distance, share, a.mean), a.squares + b.squares + distance * distance * a.count * share};
}

// The sums of lanes that lie kTile apart, as a tree: join(to, from) for two elements of the tile.
template <int kWide, class Join>
__device__ __forceinline__ void join_lanes(const Share<kWide>& share, Join&& join) {
  for (int half = Share<kWide>::kLanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (share.lane >= half) continue;
    CU_UNROLL
    for (int i = 0; i < kWide; ++i) {
      const int to = share.lane * kTile + share.column + i;
      join(to, to + half * kTile);
    }
  }
}

// Each thread's by Welford's updates, then joined. At least 4 blocks a multiprocessor: the compiler would aim at 8, and
// spill around the division.
template <int kWide>
__global__ void __launch_bounds__(kThreads, 4) moments_of_slices(ChannelExtent e, const float* x, ChannelMoments to) {
  CU_SHARED(Moments, parts, [kThreads * kWide]);
  const Share<kWide> share(e);
  Moments own[kWide] = {};
  float count = 0;
  share.each(e, [&](std::int64_t element) {
    const auto v = load<kWide>(x + element);
    count += 1.0f;
    const float weight = 1.0f / count;
    CU_UNROLL
    for (int i = 0; i < kWide; ++i) {
      const float distance = v.at[i] - own[i].mean;
      own[i].mean = fmaf(distance, weight, own[i].mean);
      own[i].squares = fmaf(distance, v.at[i] - own[i].mean, own[i].squares);
    }
  });
  CU_UNROLL
  for (int i = 0; i < kWide; ++i) parts[share.lane * kTile + share.column + i] = {count, own[i].mean, own[i].squares};
  join_lanes(share, [&](int i, int other) { parts[i] = joined(parts[i], parts[other]); });
  if (!share.inside || share.lane != 0) return;
  CU_UNROLL
  for (int i = 0; i < kWide; ++i) {
    to.mean[share.part * e.channels + share.channel + i] = parts[share.column + i].mean;
    to.squares[share.part * e.channels + share.channel + i] = parts[share.column + i].squares;
  }
}

// The parts of one group of one sample, read by a warp: visit(place, positions) for those of a lane.
struct GroupParts {
  static constexpr int kGroups = kThreads / kWarp;  // a block
  std::int64_t group, first_part, first_channel, count;
  bool inside;

  __device__ __forceinline__ GroupParts(const ChannelExtent& e)
      : group(static_cast<std::int64_t>(blockIdx.x) * kGroups + threadIdx.x / kWarp),
        inside(group < e.samples * e.groups) {
    first_part = group / e.groups * e.slices;
    first_channel = group % e.groups * (e.channels / e.groups);
    count = inside ? e.slices * (e.channels / e.groups) : 0;
  }
  template <class Visit>
  __device__ __forceinline__ void each(const ChannelExtent& e, Visit&& visit) const {
    const std::int64_t width = e.channels / e.groups;
    for (std::int64_t i = threadIdx.x % kWarp; i < count; i += kWarp) {
      const std::int64_t slice = i / width, channel = first_channel + i % width, rest = e.positions - slice * e.slice;
      visit((first_part + slice) * e.channels + channel, channel, rest < e.slice ? rest : e.slice);
    }
  }
  __device__ __forceinline__ bool writes() const { return inside && threadIdx.x % kWarp == 0; }
};

__device__ __forceinline__ float rstd_of(float variance, float eps) { return 1.0f / sqrtf(variance + eps); }

__device__ __forceinline__ void finish(const GroupStatistics& to, std::int64_t group, const Moments& all) {
  to.mean[group] = all.mean;
  to.rstd[group] = rstd_of(all.count == 0.0f ? 0.0f : all.squares / all.count, to.eps);
}
__device__ __forceinline__ void finish(const BatchStatistics& to, std::int64_t group, const Moments& all) {
  const float variance = all.squares / all.count, unbiased = all.squares / (all.count - 1.0f);
  to.mean[group] = all.mean;
  to.variance[group] = variance;
  to.rstd[group] = rstd_of(variance, to.eps);
  to.new_mean[group] = (1.0f - to.momentum) * to.old_mean[group] + to.momentum * all.mean;
  to.new_variance[group] = (1.0f - to.momentum) * to.old_variance[group] + to.momentum * unbiased;
}

template <class Statistics>
__global__ void __launch_bounds__(kThreads) statistics(ChannelExtent e, ChannelMoments from, Statistics to) {
  const GroupParts parts(e);
  Moments all{};
  parts.each(e, [&](std::int64_t place, std::int64_t, std::int64_t positions) {
    all = joined(all, {static_cast<float>(positions), from.mean[place], from.squares[place]});
  });
  CU_UNROLL
  for (int apart = kWarp / 2; apart > 0; apart /= 2) {
    const Moments other{__shfl_down_sync(0xFFFFFFFFu, all.count, apart), __shfl_down_sync(0xFFFFFFFFu, all.mean, apart),
                        __shfl_down_sync(0xFFFFFFFFu, all.squares, apart)};
    all = joined(all, other);
  }
  if (parts.writes()) finish(to, parts.group, all);
}

__global__ void __launch_bounds__(kThreads)
    rstd_of_channels(std::int64_t channels, const float* variance, float eps, float* rstd) {
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (c < channels) rstd[c] = rstd_of(variance[c], eps);
}

// What a thread needs to normalise its channels.
template <int kWide>
struct Coefficients {
  float mean[kWide] = {}, rstd[kWide] = {}, weight[kWide] = {}, bias[kWide] = {};
  std::int64_t group[kWide] = {};

  __device__ __forceinline__ Coefficients(const ChannelExtent& e, const ChannelNorm& norm, const Share<kWide>& share) {
    const auto width = static_cast<std::uint32_t>(e.channels / e.groups);
    CU_UNROLL
    for (int i = 0; i < kWide; ++i) {
      if (!share.inside) continue;
      const std::int64_t channel = share.channel + i;
      group[i] = share.sample * e.groups + static_cast<std::uint32_t>(channel) / width;
      mean[i] = norm.mean[group[i]];
      rstd[i] = norm.rstd[group[i]];
      weight[i] = norm.weight != nullptr ? norm.weight[channel] : 0.0f;
      bias[i] = norm.bias != nullptr ? norm.bias[channel] : 0.0f;
    }
  }
  // The gradient of what the element of channel i was normalised to.
  __device__ __forceinline__ float dz(const ChannelNorm& norm, int i, float xhat, float dy) const {
    return norm.silu ? silu_gradient(fmaf(xhat, weight[i], bias[i]), dy) : dy;
  }
};

// What dropout makes of neighbouring elements of y, or of its gradient. Four at once are those of one draw.
template <int kWide>
__device__ __forceinline__ void drop(const ChannelExtent& e, const ChannelDropout& dropout, std::int64_t sample,
                                     std::int64_t element, Elements<kWide>& v) {
  if (dropout.step == nullptr) return;
  const std::int64_t place = element - sample * e.positions * e.channels;  // in its sample
  const Words words =
      random_words(dropout.key, static_cast<std::uint64_t>(*dropout.step),
                   dropout.first_sample + static_cast<std::uint64_t>(sample), static_cast<std::uint32_t>(place / 4));
  CU_UNROLL
  for (int word = 0; word < 4; ++word) {
    const bool dropped = uniform_half_open(words.word[word]) < dropout.rate;
    if constexpr (kWide == 4)
      v.at[word] = dropped ? 0.0f : __fmul_rn(v.at[word], dropout.scale);
    else if (word == place % 4)
      v.at[0] = dropped ? 0.0f : __fmul_rn(v.at[0], dropout.scale);
  }
}

template <int kWide>
__global__ void __launch_bounds__(kThreads) apply_norm(ChannelExtent e, ChannelNorm norm, const float* x, float* y) {
  const Share<kWide> share(e);
  const Coefficients<kWide> c(e, norm, share);
  share.each(e, [&](std::int64_t element) {
    auto v = load<kWide>(x + element);
    CU_UNROLL
    for (int i = 0; i < kWide; ++i) {
      const float z = fmaf((v.at[i] - c.mean[i]) * c.rstd[i], c.weight[i], c.bias[i]);
      v.at[i] = norm.silu ? silu(z) : z;
    }
    drop(e, norm.dropout, share.sample, element, v);
    store<kWide>(y + element, v);
  });
}

template <int kWide>
__global__ void __launch_bounds__(kThreads)
    sums_of_slices(ChannelExtent e, ChannelNorm norm, const float* x, const float* dy, ChannelSums to) {
  CU_SHARED(float, sums, [kThreads * kWide]);
  CU_SHARED(float, sums_xhat, [kThreads * kWide]);
  const Share<kWide> share(e);
  const Coefficients<kWide> c(e, norm, share);
  float sum[kWide] = {}, sum_xhat[kWide] = {};
  share.each(e, [&](std::int64_t element) {
    const auto v = load<kWide>(x + element);
    auto d = load<kWide>(dy + element);
    drop(e, norm.dropout, share.sample, element, d);
    CU_UNROLL
    for (int i = 0; i < kWide; ++i) {
      const float xhat = (v.at[i] - c.mean[i]) * c.rstd[i], dz = c.dz(norm, i, xhat, d.at[i]);
      sum[i] += dz;
      sum_xhat[i] = fmaf(dz, xhat, sum_xhat[i]);
    }
  });
  CU_UNROLL
  for (int i = 0; i < kWide; ++i) {
    sums[share.lane * kTile + share.column + i] = sum[i];
    sums_xhat[share.lane * kTile + share.column + i] = sum_xhat[i];
  }
  join_lanes(share, [&](int i, int other) {
    sums[i] += sums[other];
    sums_xhat[i] += sums_xhat[other];
  });
  if (!share.inside || share.lane != 0) return;
  CU_UNROLL
  for (int i = 0; i < kWide; ++i) {
    to.dz[share.part * e.channels + share.channel + i] = sums[share.column + i];
    to.dz_xhat[share.part * e.channels + share.channel + i] = sums_xhat[share.column + i];
  }
}

// sum, sum_xhat: of weight dz, and times xhat, over the group's `members` elements.
__device__ __forceinline__ void finish(const GroupSlopes& to, std::int64_t group, double sum, double sum_xhat,
                                       double members) {
  const double rstd = to.rstd[group], dmean = to.dmean != nullptr ? to.dmean[group] : 0;
  const double drstd = to.drstd != nullptr ? to.drstd[group] : 0;
  to.slope[group] = static_cast<float>(-rstd * rstd * (sum_xhat + drstd * rstd) / members);
  to.shift[group] = static_cast<float>((dmean - rstd * sum) / members);
}
__device__ __forceinline__ void finish(const BatchSlopes& to, std::int64_t group, double sum, double sum_xhat,
                                       double members) {
  const auto gradient = [&](const float* of) { return of != nullptr ? static_cast<double>(of[group]) : 0.0; };
  const double rstd = to.rstd[group], dmean = gradient(to.dmean) + to.momentum * gradient(to.dnew_mean);
  const double dvariance = gradient(to.dvariance) + to.momentum * members / (members - 1) * gradient(to.dnew_variance);
  to.slope[group] = static_cast<float>((2 * dvariance - rstd * rstd * sum_xhat) / members);
  to.shift[group] = static_cast<float>((dmean - rstd * sum) / members);
}

template <class Slopes>
__global__ void __launch_bounds__(kThreads) slopes(ChannelExtent e, const float* weight, ChannelSums from, Slopes to) {
  const GroupParts parts(e);
  double sum = 0, sum_xhat = 0;
  parts.each(e, [&](std::int64_t place, std::int64_t channel, std::int64_t) {
    sum += static_cast<double>(weight[channel]) * from.dz[place];
    sum_xhat += static_cast<double>(weight[channel]) * from.dz_xhat[place];
  });
  sum = warp_join<Plus>(sum);
  sum_xhat = warp_join<Plus>(sum_xhat);
  const auto members = static_cast<double>(e.positions * (e.channels / e.groups));
  if (parts.writes()) finish(to, parts.group, sum, sum_xhat, members);
}

template <int kWide>
__global__ void __launch_bounds__(kThreads)
    gradient_of_x(ChannelExtent e, ChannelNorm norm, const float* slopes, const float* shifts, const float* x,
                  const float* dy, float* dx) {
  const Share<kWide> share(e);
  const Coefficients<kWide> c(e, norm, share);
  float slope[kWide] = {}, shift[kWide] = {};
  CU_UNROLL
  for (int i = 0; i < kWide; ++i) {
    if (!share.inside || slopes == nullptr) continue;
    slope[i] = slopes[c.group[i]];
    shift[i] = shifts[c.group[i]];
  }
  share.each(e, [&](std::int64_t element) {
    auto v = load<kWide>(x + element);
    auto d = load<kWide>(dy + element);
    drop(e, norm.dropout, share.sample, element, d);
    CU_UNROLL
    for (int i = 0; i < kWide; ++i) {
      const float centred = v.at[i] - c.mean[i], dz = c.dz(norm, i, centred * c.rstd[i], d.at[i]);
      v.at[i] = fmaf(c.rstd[i] * c.weight[i], dz, fmaf(slope[i], centred, shift[i]));
    }
    store<kWide>(dx + element, v);
  });
}

template <class... Parameters, class... Arguments>
void launch_slices(cu::Stream stream, const ChannelExtent& e, void (*in_vectors)(ChannelExtent, Parameters...),
                   void (*one_by_one)(ChannelExtent, Parameters...), const Arguments&... arguments) {
  const auto blocks = static_cast<unsigned>(e.parts() * ((e.channels + kTile - 1) / kTile));
  if (blocks == 0) return;
  cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, e.in_vectors ? in_vectors : one_by_one,
             e, arguments...);
}
template <class... Parameters, class... Arguments>
void launch_groups(cu::Stream stream, const ChannelExtent& e, void (*kernel)(ChannelExtent, Parameters...),
                   const Arguments&... arguments) {
  const auto blocks = static_cast<unsigned>((e.samples * e.groups + GroupParts::kGroups - 1) / GroupParts::kGroups);
  if (blocks == 0) return;
  cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, kernel, e, arguments...);
}

void moments(cu::Stream stream, const ChannelExtent& e, const float* x, const ChannelMoments& to) {
  launch_slices(stream, e, moments_of_slices<4>, moments_of_slices<1>, x, to);
}
template <class Statistics>
void join_moments(cu::Stream stream, const ChannelExtent& e, const ChannelMoments& from, const Statistics& to) {
  launch_groups(stream, e, statistics<Statistics>, from, to);
}
void rstd(cu::Stream stream, std::int64_t channels, const float* variance, float eps, float* to) {
  const auto blocks = static_cast<unsigned>((channels + kThreads - 1) / kThreads);
  if (blocks == 0) return;
  cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, rstd_of_channels, channels, variance,
             eps, to);
}
void apply(cu::Stream stream, const ChannelExtent& e, const ChannelNorm& norm, const float* x, float* y) {
  launch_slices(stream, e, apply_norm<4>, apply_norm<1>, norm, x, y);
}
void sums(cu::Stream stream, const ChannelExtent& e, const ChannelNorm& norm, const float* x, const float* dy,
          const ChannelSums& to) {
  launch_slices(stream, e, sums_of_slices<4>, sums_of_slices<1>, norm, x, dy, to);
}
template <class Slopes>
void join_sums(cu::Stream stream, const ChannelExtent& e, const float* weight, const ChannelSums& from,
               const Slopes& to) {
  launch_groups(stream, e, slopes<Slopes>, weight, from, to);
}
void gradient(cu::Stream stream, const ChannelExtent& e, const ChannelNorm& norm, const float* slope,
              const float* shift, const float* x, const float* dy, float* dx) {
  launch_slices(stream, e, gradient_of_x<4>, gradient_of_x<1>, norm, slope, shift, x, dy, dx);
}

}  // namespace

template <>
const ChannelNormKernels& channel_norm_kernels<cu::Build>() {
  static constexpr ChannelNormKernels table = {.moments = moments,
                                               .group_statistics = join_moments<GroupStatistics>,
                                               .batch_statistics = join_moments<BatchStatistics>,
                                               .rstd = rstd,
                                               .apply = apply,
                                               .sums = sums,
                                               .group_slopes = join_sums<GroupSlopes>,
                                               .batch_slopes = join_sums<BatchSlopes>,
                                               .gradient = gradient};
  return table;
}

}  // namespace gesso::cuda
