// Gradient accumulation: a batch that goes through the model in parts, one after the other, gives the loss and the
// gradient of the whole in the memory of a part.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "train/task.h"

namespace gesso {

// The loss terms of a step's batch, images [kN,H,W,C], and the gradient of the first one in the task's store, from k
// micro-batches of N; what these announce is announced to the context as that of the whole. Up to rounding all of it is
// what k = 1 gives, draws and all, for a model that treats each sample alone; batch norm does not. begins: told of each
// micro-batch, from 0; null: nobody asks.
std::vector<Term> differentiate(Task& task, const nn::Context& context, const Tensor& images, std::int64_t k,
                                const std::function<void(std::int64_t)>& begins = nullptr);

}  // namespace gesso
