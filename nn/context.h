// What every module call gets: where, how, at which step. The only other hidden state is the tape.
#pragma once

#include <cstdint>
#include <functional>
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
  // gate: [1] f32; where it is not finite, nothing may change.
  using Apply = std::function<void(const Tensor& gate)>;

  // One update a target: a recomputed region, which announces its update again, does not apply it twice. taken: what
  // goes into the target; the whole step must change nothing where it is not finite.
  void announce(const Tensor& target, Apply apply, const Tensors& taken = {});
  Tensors taken() const;            // of all that are announced
  void commit(const Tensor& gate);  // in the order in which they were announced; empties the list
  void clear() { pending_.clear(); }

 private:
  struct Pending {
    Tensor target;
    Apply apply;
    Tensors taken;
  };
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
  // Of the draws of one site, see core/rng.h.
  std::uint64_t key(Purpose purpose, std::string_view site, std::uint64_t call = 0) const {
    return random_key(seed, purpose, site, call);
  }
};

}  // namespace gesso::nn
