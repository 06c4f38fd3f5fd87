// What every module call gets: where, how, at which step. The only other hidden state is the tape.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "core/tensor.h"

namespace gesso::nn {

enum class Mode : std::uint8_t { train, evaluate };

// Lies in device memory, so that a captured step can be replayed with new values.
struct StepState {
  Tensor step;           // [1] i64, 0 for the first step
  Tensor learning_rate;  // [1] f32

  explicit StepState(Device& device);
  void set(std::int64_t step_number, double rate) const;
};

// State that a forward pass would change (codebook counts, running statistics) is not changed there: the change waits
// here until the step's one commit, after the finite check. A stopped, recomputed or replayed step so never corrupts
// state.
class StateUpdates {
 public:
  // How what equal parts of a batch bring to a target becomes what the whole brings: it is added, or averaged, or its
  // rows follow each other.
  enum class Join : std::uint8_t { sum, mean, rows };
  // What goes into a target. The whole step must change nothing where it is not finite.
  struct Taken {
    Tensor value;
    Join join = Join::sum;
  };
  // taken: the values, in the order of the announcement. gate: [1] f32; where it is not finite, nothing may change.
  using Apply = std::function<void(std::span<const Tensor> taken, const Tensor& gate)>;

  // One update a target: a recomputed region, which announces its update again, does not apply it twice.
  void announce(const Tensor& target, Apply apply, const std::vector<Taken>& taken = {});
  // What the next part of a batch announced, of the size of those before it: these become what the whole would
  // announce.
  void join(StateUpdates next_part);
  Tensors taken() const;            // of all that are announced
  void commit(const Tensor& gate);  // in the order in which they were announced; empties the list

 private:
  // Of the parts that have come: their sum, also where their mean is wanted, or each.
  struct Share {
    Tensors values;
    Join join;
    void add(const Share& next);
    Tensor whole(std::int64_t parts) const;
  };
  struct Pending {
    Tensor target;
    Apply apply;
    std::vector<Share> taken;
    std::int64_t parts = 1;  // of the batch, that are in `taken`
  };
  Pending* pending_for(const Tensor& target);
  std::vector<Pending> pending_;
};

// What a module call is given. The references must outlive the call.
struct Context {
  Device& device;
  Mode mode = Mode::evaluate;
  const StepState& state;
  StateUpdates& updates;
  std::uint64_t seed = 0;
  std::int64_t first_sample = 0;  // global index of the batch's first sample: a batch may be split anywhere
  // A model keeps less for the backward pass and computes it again there, to the same bits. This context must then
  // outlive that pass.
  bool recompute = false;

  bool training() const { return mode == Mode::train; }
  // Of a part of the batch: the one that begins with its sample `first`.
  Context part(std::int64_t first, StateUpdates& part_updates) const {
    return {device, mode, state, part_updates, seed, first_sample + first, recompute};
  }
  // Of the draws of one site, see core/rng.h.
  std::uint64_t key(Purpose purpose, std::string_view site, std::uint64_t call = 0) const {
    return random_key(seed, purpose, site, call);
  }
};

}  // namespace gesso::nn
