// One call of one row, watched: operands from a seed, results that hold a known pattern before, guards around
// everything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/allocator.h"
#include "ops/check/values.h"
#include "ops/op.h"

namespace gesso::check {

// One case of a row with the seed of its values.
struct CheckCase {
  Case<Attributes> of;
  std::uint64_t seed = 0;
};

struct Placement {
  std::int64_t offset = 0;              // not 0: each tensor lies 1 to 3 elements inside a larger one, unaligned
  std::byte fill = Allocator::kPoison;  // what results hold before the call
};

struct Result {
  std::string name;  // "output 0", "operand 2 (in place)", "gradient of operand 1"
  Tensor value;
};

// Guards and poison on a device's allocator while it lives.
class WatchedMemory {
 public:
  explicit WatchedMemory(Device& device);
  ~WatchedMemory();
  WatchedMemory(const WatchedMemory&) = delete;
  WatchedMemory& operator=(const WatchedMemory&) = delete;

 private:
  Allocator& allocator_;
  bool poison_, guard_;
};

class Trial {
 public:
  // Draws the operands, with floating ones of type `floating`, and a gradient for each floating output. Throws what
  // infer throws.
  Trial(const RowInfo& row, const CheckCase& c, DType floating, const Execution& run, const Placement& placement = {});
  Trial(const RowInfo& row, const Attributes& attrs, std::span<const HostTensor> operands, const Execution& run);

  void forward();
  // Of `wanted`, what has a gradient; outputs in `unused` pass none. The kernel sees only what the row says that it
  // saves.
  void backward(Operands wanted, Operands unused = 0);
  // Forward, then all gradients together.
  void run_all();

  const RowInfo& row() const { return row_; }
  const Attributes& attrs() const { return attrs_; }
  const Specs& specs() const { return specs_; }
  const Tensors& in() const { return in_; }
  const Tensors& out() const { return out_; }
  const Tensors& dy() const { return dy_; }
  const Tensors& dx() const { return dx_; }
  Operands differentiable() const;  // present, floating operands that have a gradient
  Operands floating_outputs() const;
  std::vector<Result> results() const;    // outputs and operands updated in place
  std::vector<Result> gradients() const;  // of the last backward
  std::vector<Result> everything() const;
  // What a call damaged: guard bytes, memory around an offset tensor, an input. Empty: nothing.
  const std::string& damage() const { return damage_; }
  std::string shapes() const;  // "[4,6] f32, absent"

 private:
  // An input as it was before a call.
  struct Snapshot {
    std::string name;
    Tensor tensor;
    std::vector<std::byte> bytes;
  };
  Tensor place(const Spec& spec);
  Tensor take(const HostTensor& host);
  void infer_outputs();
  void inspect(std::string_view call, std::span<const Snapshot> inputs);
  void expect_same_handles(std::string_view call, const Tensors& given, const Tensors& now);
  bool margins_intact(const Tensor& t, const Tensor& around) const;

  const RowInfo& row_;
  Attributes attrs_;
  Execution run_;
  Placement placement_;
  Specs specs_;
  Tensors in_, out_, dy_, dx_;
  std::vector<std::pair<Tensor, Tensor>> placed_;  // each tensor and the larger one around it
  std::string damage_;
};

}  // namespace gesso::check
