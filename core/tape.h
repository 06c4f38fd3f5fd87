// The tape: a flat list of what was done (a Wengert list). Backward walks it once from the end; no owning graph, so a
// long chain cannot overflow the stack when it is destroyed. The tape knows no op.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace gesso {

// One recorded op, type-erased.
class Recorded {
 public:
  virtual ~Recorded() = default;
  virtual std::string_view name() const = 0;
  virtual std::string_view module() const { return {}; }  // in which it was done
  // Writes the gradients of the inputs. dy[i] is empty where output i was not used; dx[i] is allocated where that
  // gradient is wanted and empty elsewhere.
  virtual void backward(std::span<const Tensor> dy, std::span<Tensor> dx) = 0;
  // True: no dx is allocated; backward puts views of dy there (reshape), for all inputs.
  virtual bool passes_through() const { return false; }
  // A region that kept only its inputs has no backward of its own: it runs again, recording on the current tape, and
  // returns its outputs anew. All other records return nothing.
  virtual Tensors replay() { return {}; }
  virtual bool is_region() const { return false; }
};

// Current for its thread while it lives; a tensor of another tape is a constant here.
class Tape {
 public:
  Tape();
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  static Tape* current();  // null: nothing is recorded

  // Makes a tape, or none, current for this thread while it lives.
  class Scope {
   public:
    explicit Scope(Tape* tape);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Tape* before_;
  };

  // Makes a leaf known. Its gradient is written into `destination` where one is given (same spec), else into fresh
  // memory; adds: it is added to what the destination holds.
  void watch(const Tensor& leaf, const Tensor& destination = {}, bool adds = false);
  bool knows(const Tensor& t) const { return slot(t) >= 0; }

  // Appends an op with its operands and results; the results get their place on this tape.
  void record(std::span<const Tensor> in, std::span<const Tensor> out, std::unique_ptr<Recorded> op);
  std::span<const Tensor> leaves() const { return leaves_; }

  // Gradients of sum_i <seeds[i], dy[i]> with respect to the targets, in their order; zeros where a target has no
  // influence; of a leaf that adds, what its destination then holds. Ops that lead to no target do not run. Frees
  // records and what they saved as it goes, unless told to keep them: then a second walk is possible. Throws if a seed
  // or a target is not on this tape, or if the records are freed already.
  Tensors backward(std::span<const Tensor> seeds, std::span<const Tensor> dy, std::span<const Tensor> targets,
                   bool keep = false);
  // The gradients of a scalar loss with respect to all watched leaves, into their destinations.
  void backward(const Tensor& loss);

  std::size_t size() const { return records_.size(); }

 private:
  struct Slot {
    Spec spec;
    Device* device = nullptr;
    Tensor gradient, destination;
    bool adds = false;       // to what the destination holds
    bool needed = false;     // leads to a target of the walk under way
    bool is_target = false;  // of the walk under way: its gradient stays
  };
  struct Record {
    std::vector<int> in_slots, out_slots;  // -1: not tracked
    std::unique_ptr<Recorded> op;
  };
  Slot& at(int slot) { return slots_[static_cast<std::size_t>(slot)]; }
  bool needed(int slot) const { return slot >= 0 && slots_[static_cast<std::size_t>(slot)].needed; }
  int slot(const Tensor& t) const;
  int known_slot(const Tensor& t, std::string_view role) const;
  int add_slot(const Tensor& t);
  void mark_needed(std::size_t first);
  void walk(std::size_t first, bool keep);
  void step_back(std::size_t index);
  void replay(std::size_t index, std::span<const Tensor> dy);
  Tensors take_output_gradients(const Record& record);
  void add_gradient(int slot, Tensor gradient);
  Tensor finished_gradient(int slot);

  std::uint64_t id_;
  std::vector<Record> records_;
  std::vector<Slot> slots_;
  Tensors leaves_;
  bool freed_ = false;
  Tape* outer_;
};

// Nothing is recorded on this thread while it lives.
struct NoGrad : Tape::Scope {
  NoGrad() : Scope(nullptr) {}
};

// Runs `region` on `inputs` keeping only the inputs; backward runs it again for what lies between. It must be a pure
// function of its inputs and of watched leaves (randomness is: it depends on keys and steps only). name: a string that
// lives as long as the program.
using Region = std::function<Tensors(std::span<const Tensor> inputs)>;
Tensors recompute(std::string_view name, Region region, std::span<const Tensor> inputs);

}  // namespace gesso
