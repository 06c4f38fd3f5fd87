// Named parameters in flat arenas: one for weights, one for gradients, one for each moment, one for their moving
// average. So the optimiser, the gradient norm and a checkpoint are one flat pass each.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "core/tape.h"
#include "core/tensor.h"
#include "nn/initializer.h"

namespace gesso::nn {

// The order of dimensions that published files use for a weight; in memory it is always the order of `shape`.
// channels_second: memory [A,h,w,B], disk [A,B,h,w]: OHWI to OIHW for a convolution, IHWO to IOHW for a transposed one.
enum class DiskOrder : std::uint8_t { same, channels_second };

// trained: has a gradient, moves with the optimiser. state: changed by the step's commit only (codebook, running
// statistics).
enum class ParamKind : std::uint8_t { trained, state };

struct ParamSpec {
  Shape shape = {};
  Initializer init = {};
  ParamKind kind = ParamKind::trained;
  bool decays = false;  // whether weight decay applies: not to biases, norms, embeddings
  DiskOrder disk_order = DiskOrder::same;
};

// A declared parameter. Its tensors exist once the store is materialised.
class Param {
 public:
  const std::string& name() const { return entry_->name; }
  const ParamSpec& spec() const { return entry_->spec; }
  const Tensor& tensor() const { return entry_->tensor; }
  operator const Tensor&() const { return entry_->tensor; }  // implicit: a parameter is used as the tensor it is
  std::int64_t offset() const { return entry_->offset; }     // in its arena, in elements

 private:
  friend class ParamStore;
  struct Entry {
    std::string name;
    ParamSpec spec;
    std::int64_t offset = 0;
    Tensor tensor;
  };
  explicit Param(const Entry* entry) : entry_(entry) {}
  const Entry* entry_;
};

class ParamStore {
 public:
  ParamStore() = default;
  ParamStore(const ParamStore&) = delete;
  ParamStore& operator=(const ParamStore&) = delete;

  // Throws on a name that exists, or after materialize().
  Param declare(std::string name, const ParamSpec& spec);
  // Makes the arenas, in f32, or in f64 for checks on the reference device, and fills them from the initialisers.
  void materialize(Device& device, std::uint64_t seed, DType dtype = DType::f32);

  std::vector<Param> params() const;  // in the order of declaration
  // Throws where there is none of that name.
  Param named(std::string_view name) const;
  std::int64_t count(ParamKind kind) const;  // elements, without padding

  const Tensor& weights() const { return weights_; }      // [P]: what decays first, then what does not
  const Tensor& gradients() const { return gradients_; }  // [P]
  const Tensor& state() const { return state_; }          // [S]
  std::int64_t decayed() const { return decayed_; }       // the first elements of weights() to which decay applies
  Device& device() const { return weights_.device(); }

  // One parameter's part of an arena of the shape of weights() (a moment, an average).
  static Tensor part_of(const Tensor& arena, const Param& param) {
    return arena.part(param.offset(), param.spec().shape);
  }

  // Tells the tape of every trained parameter; gradients go to the arena. adds: to those that are there.
  void watch(Tape& tape, bool adds = false) const;
  // After weights() or state() were overwritten as a whole: saved tensors of an older version are then refused.
  void mark_written(std::string_view writer) const;

 private:
  void place(ParamKind kind, bool decays, std::int64_t& end);

  std::deque<Param::Entry> entries_;  // addresses stay
  Tensor weights_, gradients_, state_;
  std::vector<Tensor> gradient_parts_;  // of the trained ones, in the order of declaration
  std::int64_t decayed_ = 0;
  bool materialized_ = false;
};

// A place in the tree of names: `Conv2d conv{scope / "conv1", ...}` declares conv1.weight and conv1.bias.
class Scope {
 public:
  explicit Scope(ParamStore& store) : store_(&store) {}
  Scope operator/(std::string_view name) const;
  Scope operator/(int index) const { return *this / std::to_string(index); }
  Param declare(std::string_view name, const ParamSpec& spec) const;
  const std::string& path() const { return path_; }

 private:
  ParamStore* store_;
  std::string path_;
};

}  // namespace gesso::nn
