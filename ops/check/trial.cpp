#include "ops/check/trial.h"

#include <algorithm>
#include <iterator>

namespace gesso::check {
namespace {

// Elements before and behind an offset tensor.
constexpr std::int64_t kMargin = 8;

void append(std::vector<Result>& results, std::string_view what, std::size_t i, const Tensor& value) {
  if (value) results.push_back({fmt::format("{} {}", what, i), value});
}

}  // namespace

WatchedMemory::WatchedMemory(Device& device)
    : allocator_(device.allocator()), poison_(allocator_.poison()), guard_(allocator_.guard()) {
  allocator_.set_poison(true);
  allocator_.set_guard(true);
}
WatchedMemory::~WatchedMemory() {
  allocator_.set_poison(poison_);
  allocator_.set_guard(guard_);
}

Trial::Trial(const RowInfo& row, const CheckCase& c, DType floating, const Execution& run, const Placement& placement)
    : row_(row), attrs_(c.of.attrs), run_(run), placement_(placement) {
  Random random(c.seed);
  for (const Operand& operand : c.of.in) in_.push_back(take(draw(operand, floating, random)));
  infer_outputs();
  for (const Tensor& y : out_) {
    const bool has_gradient = y && is_floating(y.dtype());
    dy_.push_back(has_gradient ? take(draw({y.shape(), Domain::normal, 0, y.dtype()}, floating, random)) : Tensor());
  }
}

Trial::Trial(const RowInfo& row, const Attributes& attrs, std::span<const HostTensor> operands, const Execution& run)
    : row_(row), attrs_(attrs), run_(run) {
  for (const HostTensor& operand : operands) in_.push_back(take(operand));
  infer_outputs();
}

Tensor Trial::place(const Spec& spec) {
  if (spec.dtype == DType::none) return {};
  if (placement_.offset == 0) {
    placed_.emplace_back(Tensor(spec, run_.device), Tensor());
  } else {
    const Tensor around({{spec.shape.count() + 2 * kMargin}, spec.dtype}, run_.device);
    run_.device.fill_bytes(around.bytes(), Allocator::kPoison, around.spec().bytes());
    const std::int64_t shift = 1 + (placement_.offset + static_cast<std::int64_t>(placed_.size())) % 3;
    placed_.emplace_back(around.part(kMargin + shift, spec.shape), around);
  }
  return placed_.back().first;
}

Tensor Trial::take(const HostTensor& host) {
  const Tensor t = place(host.spec);
  if (t) t.copy_from_host(host.bytes);
  return t;
}

void Trial::infer_outputs() {
  for (const Tensor& x : in_) specs_.push_back(x.spec());
  for (const Spec& spec : row_.infer(attrs_, specs_)) out_.push_back(place(spec));
}

void Trial::forward() {
  std::vector<Snapshot> inputs;
  for (std::size_t i = 0; i < in_.size(); ++i)
    if (in_[i] && !has(row_.in_place, i)) inputs.push_back({fmt::format("operand {}", i), in_[i], host_bytes(in_[i])});
  for (const Tensor& y : out_)
    if (y) run_.device.fill_bytes(y.bytes(), placement_.fill, y.spec().bytes());
  const Tensors given = out_;
  row_.kernels(run_.device.kind(), specs_).forward(attrs_, {run_, in_, out_});
  inspect("forward", inputs);
  expect_same_handles("forward", given, out_);
}

void Trial::backward(Operands wanted, Operands unused) {
  wanted &= differentiable();
  std::vector<Snapshot> inputs;
  const auto keep = [&](const Tensors& from, Operands which, std::string_view what) {
    Tensors kept(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (!has(which, i) || !from[i]) continue;
      kept[i] = from[i];
      inputs.push_back({fmt::format("{} {}", what, i), from[i], host_bytes(from[i])});
    }
    return kept;
  };
  const Tensors in = keep(in_, row_.saved_inputs(attrs_, wanted), "operand");
  const Tensors out = keep(out_, row_.saved_outputs(attrs_, wanted), "output");
  const Tensors dy = keep(dy_, ~unused, "gradient of output");
  dx_.assign(in_.size(), {});
  for (std::size_t i = 0; i < in_.size(); ++i) {
    if (!has(wanted, i)) continue;
    dx_[i] = place(specs_[i]);
    run_.device.fill_bytes(dx_[i].bytes(), placement_.fill, specs_[i].bytes());
  }
  const Tensors given = dx_;
  row_.kernels(run_.device.kind(), specs_).backward(attrs_, {run_, in, out, dy, dx_});
  inspect("backward", inputs);
  expect_same_handles("backward", given, dx_);
}

void Trial::run_all() {
  forward();
  if (differentiable() != 0 && floating_outputs() != 0) backward(~0u);
}

Operands Trial::differentiable() const {
  Operands set = 0;
  for (std::size_t i = 0; i < in_.size(); ++i)
    if (has(row_.differentiable, i) && in_[i] && is_floating(in_[i].dtype())) set |= operands(i);
  return set;
}

Operands Trial::floating_outputs() const {
  Operands set = 0;
  for (std::size_t i = 0; i < out_.size(); ++i)
    if (out_[i] && is_floating(out_[i].dtype())) set |= operands(i);
  return set;
}

std::vector<Result> Trial::results() const {
  std::vector<Result> results;
  for (std::size_t i = 0; i < out_.size(); ++i) append(results, "output", i, out_[i]);
  for (std::size_t i = 0; i < in_.size(); ++i)
    if (has(row_.in_place, i)) append(results, "operand", i, in_[i]);
  return results;
}

std::vector<Result> Trial::gradients() const {
  std::vector<Result> gradients;
  for (std::size_t i = 0; i < dx_.size(); ++i) append(gradients, "gradient of operand", i, dx_[i]);
  return gradients;
}

std::vector<Result> Trial::everything() const {
  std::vector<Result> all = results();
  std::ranges::move(gradients(), std::back_inserter(all));
  return all;
}

bool Trial::margins_intact(const Tensor& t, const Tensor& around) const {
  const std::vector<std::byte> bytes = host_bytes(around);
  const auto begin = bytes.begin() + (t.bytes() - around.bytes());
  const auto poisoned = [](std::byte b) { return b == Allocator::kPoison; };
  return std::all_of(bytes.begin(), begin, poisoned) &&
         std::all_of(begin + static_cast<std::ptrdiff_t>(t.spec().bytes()), bytes.end(), poisoned);
}

void Trial::inspect(std::string_view call, std::span<const Snapshot> inputs) {
  for (const auto& [t, around] : placed_)
    if (!t.guard_intact() || (around && !margins_intact(t, around)))
      damage_ += fmt::format("{}: something was written outside a tensor {}; ", call, t.spec().text());
  for (const Snapshot& input : inputs)
    if (host_bytes(input.tensor) != input.bytes)
      damage_ += fmt::format("{}: {} {}, an input, was changed; ", call, input.name, input.tensor.spec().text());
}

// Results are written where the caller allocated them: an arena's part, for one.
void Trial::expect_same_handles(std::string_view call, const Tensors& given, const Tensors& now) {
  for (std::size_t i = 0; i < given.size(); ++i)
    if (static_cast<bool>(given[i]) != static_cast<bool>(now[i]) || (given[i] && !given[i].same_memory(now[i])))
      damage_ += fmt::format("{}: result {} was replaced by another tensor; ", call, i);
}

std::string Trial::shapes() const {
  std::string text;
  for (const Spec& spec : specs_) text += fmt::format("{}{}", text.empty() ? "" : ", ", spec.text());
  return text;
}

}  // namespace gesso::check
