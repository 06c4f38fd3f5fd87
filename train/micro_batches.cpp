#include "train/micro_batches.h"

#include <utility>

#include "core/tape.h"
#include "ops/binary.h"
#include "ops/cast.h"

namespace gesso {
namespace {

// What one of k micro-batches adds to the means over their batch.
void take_share(std::vector<Term>& terms, std::int64_t k) {
  if (k == 1) return;
  for (Term& term : terms)
    term.value = ops::cast(term.value, {.to = term.value.dtype(), .scale = 1 / static_cast<double>(k)});
}

void add(std::vector<Term>& sums, std::vector<Term> shares) {
  if (sums.empty()) {
    sums = std::move(shares);
    return;
  }
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i].value = ops::add(sums[i].value, shares[i].value);
}

}  // namespace

std::vector<Term> differentiate(Task& task, const nn::Context& context, const Tensor& images, std::int64_t k,
                                const std::function<void(std::int64_t)>& begins) {
  const std::int64_t size = images.dim(0) / k;
  std::vector<Term> means;
  for (std::int64_t i = 0; i < k; ++i) {
    if (begins) begins(i);
    nn::StateUpdates updates;
    const nn::Context now = context.part(i * size, updates);
    std::vector<Term> terms;
    {
      Tape tape;
      task.store().watch(tape, /*adds=*/i > 0);
      terms = task.losses(now, images.slice(i * size, (i + 1) * size));
      take_share(terms, k);
      tape.backward(terms.front().value);
    }
    context.updates.join(std::move(updates));
    add(means, std::move(terms));
  }
  return means;
}

}  // namespace gesso
