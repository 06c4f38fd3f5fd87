#include "ops/op_list.h"

#include <algorithm>

#include "ops/assign.h"
#include "ops/attention.h"
#include "ops/batch_norm.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/codebook_update.h"
#include "ops/concat.h"
#include "ops/conv2d.h"
#include "ops/conv_transpose2d.h"
#include "ops/cross_entropy.h"
#include "ops/dropout.h"
#include "ops/embedding.h"
#include "ops/extreme.h"
#include "ops/gather.h"
#include "ops/group_norm.h"
#include "ops/layer_norm.h"
#include "ops/loss.h"
#include "ops/matmul.h"
#include "ops/nearest_code.h"
#include "ops/optimizer.h"
#include "ops/pad.h"
#include "ops/permute.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/resample.h"
#include "ops/slice.h"
#include "ops/softmax.h"
#include "ops/step_gate.h"
#include "ops/straight_through.h"
#include "ops/unary.h"
#include "ops/variance.h"
#include "ops/weight_layout.h"
#include "ops/where.h"

namespace gesso {
namespace {

std::vector<const RowInfo*> join(std::initializer_list<std::vector<const RowInfo*>> families) {
  std::vector<const RowInfo*> rows;
  for (const auto& family : families) rows.insert(rows.end(), family.begin(), family.end());
  return rows;
}

}  // namespace

std::span<const RowInfo* const> all_rows() {
  static const std::vector<const RowInfo*> rows = join({
      unary_rows(),
      unary_parametric_rows(),
      binary_rows(),
      where_rows(),
      reduce_rows(),
      extreme_rows(),
      variance_rows(),
      softmax_rows(),
      loss_rows(),
      cross_entropy_rows(),
      embedding_rows(),
      cast_rows(),
      concat_rows(),
      pad_rows(),
      weight_layout_rows(),
      random_rows(),
      dropout_rows(),
      optimizer_rows(),
      step_gate_rows(),
      matmul_rows(),
      conv2d_rows(),
      conv_transpose2d_rows(),
      nearest_code_rows(),
      straight_through_rows(),
      codebook_update_rows(),
      assign_rows(),
      group_norm_rows(),
      batch_norm_rows(),
      attention_rows(),
      layer_norm_rows(),
      resample_rows(),
      permute_rows(),
      slice_rows(),
      gather_rows(),
  });
  return rows;
}

const RowInfo& row_named(std::string_view name) {
  const auto found = std::ranges::find(all_rows(), name, [](const RowInfo* row) { return row->name; });
  if (found != all_rows().end()) return **found;
  std::string names;
  for (const RowInfo* row : all_rows()) names += fmt::format("{}{}", names.empty() ? "" : ", ", row->name);
  fail("there is no op '{}'; there are {}", name, names);
}

}  // namespace gesso
