// The one list of families that have kernels: one line each. Included by what registers a device, nobody else.
#pragma once

#include "core/device.h"
#include "cuda/attention.h"
#include "cuda/binary.h"
#include "cuda/cast.h"
#include "cuda/ceilings.h"
#include "cuda/channel_norm.h"
#include "cuda/codebook_update.h"
#include "cuda/copy.h"
#include "cuda/cross_entropy.h"
#include "cuda/layer_norm.h"
#include "cuda/loss.h"
#include "cuda/movement.h"
#include "cuda/nearest_code.h"
#include "cuda/optimizer.h"
#include "cuda/picked_rows.h"
#include "cuda/product.h"
#include "cuda/random.h"
#include "cuda/reduce.h"
#include "cuda/resample.h"
#include "cuda/softmax.h"
#include "cuda/step_gate.h"
#include "cuda/unary.h"
#include "cuda/where.h"

namespace gesso::cuda {

template <class Build>
void register_all_kernels(DeviceKind device) {
  register_unary(device, unary_kernels<Build>());
  register_binary(device, binary_kernels<Build>());
  register_where(device, where_kernels<Build>());
  register_cast(device, cast_kernels<Build>());
  register_copy(device, copy_kernels<Build>());
  register_reduce(device, reduce_kernels<Build>());
  register_softmax(device, softmax_kernels<Build>());
  register_random(device, random_kernels<Build>());
  register_optimizer(device, optimizer_kernels<Build>());
  register_step_gate(device, step_gate_kernels<Build>());
  register_codebook_update(device, codebook_update_kernels<Build>());
  register_nearest_code(device, nearest_code_kernels<Build>());
  register_picked_rows(device, picked_rows_kernels<Build>());
  register_movement(device, movement_kernels<Build>());
  register_resample(device, resample_kernels<Build>());
  register_loss(device, loss_kernels<Build>());
  register_product(device, product_kernels<Build>());
  register_cross_entropy(device, cross_entropy_kernels<Build>());
  register_layer_norm(device, layer_norm_kernels<Build>());
  register_group_norm(device, channel_norm_kernels<Build>());
  register_batch_norm(device, channel_norm_kernels<Build>());
  register_attention(device, attention_kernels<Build>());
  register_ceilings(device, ceiling_kernels<Build>());
}

}  // namespace gesso::cuda
