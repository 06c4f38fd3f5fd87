#include "cuda/picked_rows.h"

#include <bit>
#include <utility>

#include "cuda/entry.h"
#include "cuda/sorted_picks.h"
#include "cuda/unit.h"
#include "ops/gather.h"

namespace gesso::cuda {
namespace {

TableByDevice<PickedRowsKernels> tables;

void take(const Execution& run, const PickedRows& size, const Tensor& x, const Tensor& index, const Tensor& y) {
  if (y.count() == 0) return;
  constexpr int kMostLanes = 256;
  const auto row = size.inner * static_cast<std::int64_t>(size_of(x.dtype()));
  const int unit = widest_unit(row, address_of(x.bytes()), address_of(y.bytes()));
  const std::int64_t width = row / unit;
  tables.of(run).take(stream_of(run), {size.outer, size.rows, size.picks, width, unit, lanes_of(width, kMostLanes),
                                       x.bytes(), pointer<std::int32_t>(index), y.bytes()});
}

void scatter_add(const Execution& run, const PickedRows& size, const Tensor& x, const Tensor& index, const Tensor& y) {
  if (y.count() != 0) add_picked_rows(run, size, sort_picks(run, index, size.rows), x, y);
}

// Which side holds the rows and which the picks.
PickedRows of_embedding(const Attributes&, const Tensor& weight, const Tensor& index) {
  return picked_rows(weight.shape(), 0, index.shape());
}
PickedRows of_gather(const Attributes& attrs, const Tensor& with_rows, const Tensor& index) {
  return picked_rows(with_rows.shape(), attrs.as<ops::GatherAttrs>().axis, index.shape());
}
PickedRows of_scatter_add(const Attributes& attrs, const Tensor& with_rows, const Tensor& index) {
  return picked_rows(with_rows.shape(), attrs.as<ops::ScatterAddAttrs>().axis, index.shape());
}

template <auto size>
constexpr Kernels kTake = {[](const Attributes& attrs, const Forward& f) {
                             take(f.run, size(attrs, f.in[0], f.in[1]), f.in[0], f.in[1], f.out[0]);
                           },
                           [](const Attributes& attrs, const Backward& b) {
                             scatter_add(b.run, size(attrs, b.dx[0], b.in[1]), b.dy[0], b.in[1], b.dx[0]);
                           }};
constexpr Kernels kScatterAdd = {[](const Attributes& attrs, const Forward& f) {
                                   scatter_add(f.run, of_scatter_add(attrs, f.out[0], f.in[1]), f.in[0], f.in[1],
                                               f.out[0]);
                                 },
                                 [](const Attributes& attrs, const Backward& b) {
                                   take(b.run, of_scatter_add(attrs, b.dy[0], b.in[1]), b.dy[0], b.in[1], b.dx[0]);
                                 }};

}  // namespace

SortedPicks sort_picks(const Execution& run, const Tensor& index, std::int64_t rows) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31, kMostTiles = 256, kPicksATile = 1024;
  const std::int64_t picks = index.count();
  if (rows >= kMost || picks >= kMost)
    fail("{} indices of {} rows: {} counts fewer than 2^31 of either; use a smaller train.batch", picks, rows,
         run.device.name());
  SortedPicks sorted{run.scratch({{rows + 1}, DType::i32}), run.scratch({{picks}, DType::i32})};
  SortPass pass{.picks = picks, .rows = rows, .index = pointer<std::int32_t>(index)};
  const std::int64_t pieces = (picks + kPicksATile - 1) / kPicksATile;
  pass.tile = (pieces + kMostTiles - 1) / kMostTiles * kPicksATile;
  pass.tiles = picks == 0 ? 0 : static_cast<int>((picks + pass.tile - 1) / pass.tile);
  const Tensor other = run.scratch({{picks}, DType::i32});
  const Tensor places = run.scratch({{kSortDigits, pass.tiles}, DType::i32});
  pass.places = pointer<std::int32_t>(places);
  pass.to = pointer<std::int32_t>(sorted.order);
  std::int32_t* spare = pointer<std::int32_t>(other);
  const auto bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(rows)));
  for (; pass.shift < bits && picks != 0; pass.shift += kSortBits) {
    tables.of(run).sort(stream_of(run), pass);
    pass.from = pass.to;
    pass.to = std::exchange(spare, pass.to);
  }
  if (pass.from == pointer<std::int32_t>(other)) sorted.order = other;
  tables.of(run).begin(stream_of(run), {picks, rows, pass.index, pointer<std::int32_t>(sorted.order),
                                        pointer<std::int32_t>(sorted.begins)});
  return sorted;
}

void add_picked_rows(const Execution& run, const PickedRows& size, const SortedPicks& picks, const Tensor& x,
                     const Tensor& y) {
  if (y.count() == 0) return;
  constexpr int kMostColumns = 32;
  AddRows add{.outer = size.outer, .rows = size.rows, .picks = size.picks, .inner = size.inner};
  add.columns = lanes_of(size.inner, kMostColumns);
  add.lanes = lanes_of((size.picks + size.rows - 1) / size.rows, kAddThreads / add.columns);
  add.begins = pointer<std::int32_t>(picks.begins);
  add.order = pointer<std::int32_t>(picks.order);
  add.x = pointer<float>(x);
  add.y = pointer<float>(y);
  tables.of(run).add(stream_of(run), add);
}

void register_picked_rows(DeviceKind device, const PickedRowsKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "embedding", kTake<of_embedding>);
  register_kernels(device, "gather", kTake<of_gather>);
  register_kernels(device, "scatter_add", kScatterAdd);
}

}  // namespace gesso::cuda
