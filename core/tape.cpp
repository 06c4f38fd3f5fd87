#include "core/tape.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "core/error.h"
#include "core/memory_use.h"

namespace gesso {
namespace {
thread_local Tape* current_tape = nullptr;
}  // namespace

Tape::Tape() : outer_(current_tape) {
  static std::atomic<std::uint64_t> ids = 0;
  id_ = ++ids;
  current_tape = this;
}
Tape::~Tape() { current_tape = outer_; }
Tape* Tape::current() { return current_tape; }

int Tape::slot(const Tensor& t) const { return t && t.body_->tape == id_ ? t.body_->slot : -1; }

int Tape::known_slot(const Tensor& t, std::string_view role) const {
  const int found = slot(t);
  if (found < 0) fail("backward: the {} {} {} is not on this tape", role, t.name(), t.spec().text());
  return found;
}

int Tape::add_slot(const Tensor& t) {
  slots_.push_back({t.spec(), &t.device(), {}, {}});
  t.body_->tape = id_;
  t.body_->slot = static_cast<int>(slots_.size()) - 1;
  return t.body_->slot;
}

void Tape::watch(const Tensor& leaf, const Tensor& destination, bool adds) {
  if (destination && destination.spec() != leaf.spec())
    fail("watch: the gradient of {} {} cannot be written into {}", leaf.name(), leaf.spec().text(),
         destination.spec().text());
  if (knows(leaf)) fail("watch: {} {} is on this tape already", leaf.name(), leaf.spec().text());
  if (adds && !destination) fail("watch: {} {} has nothing to add to", leaf.name(), leaf.spec().text());
  Slot& s = at(add_slot(leaf));
  s.destination = destination;
  s.adds = adds;
  leaves_.push_back(leaf);
}

void Tape::record(std::span<const Tensor> in, std::span<const Tensor> out, std::unique_ptr<Recorded> op) {
  Record record;
  record.op = std::move(op);
  for (const Tensor& x : in) record.in_slots.push_back(slot(x));
  for (const Tensor& y : out) record.out_slots.push_back(y && is_floating(y.dtype()) ? add_slot(y) : -1);
  records_.push_back(std::move(record));
}

// Which slots lead to a target, among what the records from `first` on made.
void Tape::mark_needed(std::size_t first) {
  for (std::size_t i = first; i < records_.size(); ++i)
    if (std::ranges::any_of(records_[i].in_slots, [&](int slot) { return needed(slot); }))
      for (int slot : records_[i].out_slots)
        if (slot >= 0) at(slot).needed = true;
}

void Tape::add_gradient(int slot, Tensor gradient) {
  Slot& s = at(slot);
  if (!s.gradient) {
    if (s.destination && !gradient.same_memory(s.destination)) s.destination.copy_from(gradient);
    s.gradient = s.destination ? s.destination : std::move(gradient);
    return;
  }
  const auto& body = s.gradient.body_;
  const bool shared = body.use_count() > 1 || body->storage.use_count() > 1;  // a view, or the caller's seed
  if (!s.destination && shared) {
    Tensor own(s.spec, *s.device);
    own.copy_from(s.gradient);
    s.gradient = own;
  }
  s.device->accumulate(s.spec.dtype, s.spec.shape.count(), gradient.bytes(), s.gradient.bytes());
}

Tensors Tape::take_output_gradients(const Record& record) {
  Tensors dy;
  for (int slot : record.out_slots) {
    if (slot < 0)
      dy.emplace_back();
    else if (at(slot).is_target)
      dy.push_back(at(slot).gradient);
    else
      dy.push_back(std::exchange(at(slot).gradient, {}));
  }
  return dy;
}

void Tape::step_back(std::size_t index) {
  const Tensors dy = take_output_gradients(records_[index]);
  const std::vector<int> in_slots = records_[index].in_slots;
  if (std::ranges::none_of(dy, [](const Tensor& t) { return static_cast<bool>(t); })) return;
  if (std::ranges::none_of(in_slots, [&](int slot) { return needed(slot); })) return;
  if (records_[index].op->is_region()) return replay(index, dy);

  const MemoryUse use(records_[index].op->name(), records_[index].op->module(), /*backward=*/true);
  Tensors dx(in_slots.size());
  const bool allocate = !records_[index].op->passes_through();
  for (std::size_t i = 0; allocate && i < in_slots.size(); ++i) {
    if (!needed(in_slots[i])) continue;
    const Slot& s = at(in_slots[i]);
    const auto before = in_slots.begin() + static_cast<std::ptrdiff_t>(i);
    const bool twice =
        std::find(in_slots.begin(), before, in_slots[i]) != before;  // x * x: each gradient its own memory
    dx[i] = s.destination && !s.gradient && !twice ? s.destination : Tensor(s.spec, *s.device);
  }
  records_[index].op->backward(dy, dx);
  for (std::size_t i = 0; i < dx.size(); ++i)
    if (dx[i] && needed(in_slots[i])) add_gradient(in_slots[i], std::move(dx[i]));
}

// The region's own records are appended, walked and dropped again, in place of the one that stands for them.
void Tape::replay(std::size_t index, std::span<const Tensor> dy) {
  const std::size_t first = records_.size();
  const Tensors out = records_[index].op->replay();
  mark_needed(first);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (dy[i] && slot(out[i]) >= 0) add_gradient(slot(out[i]), dy[i]);
  walk(first, false);
}

void Tape::walk(std::size_t first, bool keep) {
  for (std::size_t i = records_.size(); i-- > first;) {
    step_back(i);
    if (!keep) records_.pop_back();
  }
}

Tensor Tape::finished_gradient(int slot) {
  Slot& s = at(slot);
  if (!s.gradient) {
    s.gradient = s.destination ? s.destination : Tensor(s.spec, *s.device);
    s.gradient.fill_zero();
  }
  return s.gradient;
}

Tensors Tape::backward(std::span<const Tensor> seeds, std::span<const Tensor> dy, std::span<const Tensor> targets,
                       bool keep) {
  if (freed_)
    fail("backward: the records of this tape were freed by an earlier walk; that one must be told to keep them");
  if (seeds.size() != dy.size()) fail("backward: {} seeds but {} gradients for them", seeds.size(), dy.size());
  for (Slot& s : slots_) {
    s.gradient = s.adds ? s.destination : Tensor();
    s.needed = s.is_target = false;
  }
  std::vector<int> wanted;
  for (const Tensor& t : targets) {
    wanted.push_back(known_slot(t, "target"));
    at(wanted.back()).needed = at(wanted.back()).is_target = true;
  }
  mark_needed(0);
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    const int seed = known_slot(seeds[i], "seed");
    if (dy[i].spec() != seeds[i].spec())
      fail("backward: the gradient {} does not fit its seed {}", dy[i].spec().text(), seeds[i].spec().text());
    add_gradient(seed, dy[i]);
  }
  {
    const NoGrad what_backward_computes;
    freed_ = !keep;
    walk(0, keep);
  }
  Tensors result;
  for (int slot : wanted) result.push_back(finished_gradient(slot));
  if (!keep)
    for (Slot& s : slots_)
      if (!s.is_target) s.gradient = {};
  return result;
}

void Tape::backward(const Tensor& loss) {
  if (!loss || loss.count() != 1) fail("backward: a loss has one element, not {}", loss.spec().text());
  const MemoryUse use("loss", "", /*backward=*/true);
  const Tensor dy(loss.spec(), loss.device());
  loss.device().fill(loss.dtype(), 1, 1, dy.bytes());
  backward(std::span(&loss, 1), std::span(&dy, 1), leaves_);
}

Tape::Scope::Scope(Tape* tape) : before_(std::exchange(current_tape, tape)) {}
Tape::Scope::~Scope() { current_tape = before_; }

namespace {

class RecordedRegion final : public Recorded {
 public:
  RecordedRegion(Tape& tape, std::string_view name, Region region, std::span<const Tensor> inputs)
      : tape_(tape), name_(name), region_(std::move(region)), inputs_(inputs.begin(), inputs.end()) {
    for (const Tensor& x : inputs_) versions_.push_back(x ? x.version() : 0);
  }
  std::string_view name() const override { return name_; }
  void backward(std::span<const Tensor>, std::span<Tensor>) override {}
  bool is_region() const override { return true; }
  Tensors replay() override {
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      if (inputs_[i] && inputs_[i].version() != versions_[i])
        fail("recompute {}: its input {} {} was overwritten by {} before backward ran it again", name_,
             inputs_[i].name(), inputs_[i].spec().text(), inputs_[i].last_writer());
    const Tape::Scope recording(&tape_);
    return region_(inputs_);
  }

 private:
  Tape& tape_;
  std::string_view name_;
  Region region_;
  Tensors inputs_;
  std::vector<std::uint32_t> versions_;
};

}  // namespace

Tensors recompute(std::string_view name, Region region, std::span<const Tensor> inputs) {
  Tape* const tape = Tape::current();
  if (!tape) return region(inputs);
  Tensors out;
  {
    const NoGrad forget;
    out = region(inputs);
  }
  for (Tensor& y : out)
    if (tape->knows(y)) y = y.view(y.shape());  // an operand handed through: its own place stays its own
  Tensors in(inputs.begin(), inputs.end());     // and the leaves: the region may reach any of them
  in.insert(in.end(), tape->leaves().begin(), tape->leaves().end());
  tape->record(in, out, std::make_unique<RecordedRegion>(*tape, name, std::move(region), inputs));
  return out;
}

}  // namespace gesso
