#include "nn/param_store.h"

#include <algorithm>

#include "core/error.h"
#include "core/memory_use.h"

namespace gesso::nn {
namespace {

// Each parameter starts at a multiple of a cache line. The padding is zero in every arena and stays so: its gradient is
// zero.
constexpr std::int64_t kAlignment = 16;

void fill(const Tensor& tensor, const Initializer& init, std::uint64_t seed, std::string_view name) {
  std::vector<float> values(static_cast<std::size_t>(tensor.count()));
  init.fill(values, seed, name);
  if (tensor.dtype() == DType::f32) return tensor.copy_from_host(std::as_bytes(std::span(values)));
  const std::vector<double> wide(values.begin(), values.end());
  tensor.copy_from_host(std::as_bytes(std::span(wide)));
}

}  // namespace

Param ParamStore::declare(std::string name, const ParamSpec& spec) {
  if (materialized_) fail("parameter {}: declared after the store was materialised", name);
  for (const Param::Entry& entry : entries_)
    if (entry.name == name) fail("parameter {}: declared twice", name);
  entries_.push_back({std::move(name), spec, 0, {}});
  return Param(&entries_.back());
}

void ParamStore::place(ParamKind kind, bool decays, std::int64_t& end) {
  for (Param::Entry& entry : entries_) {
    if (entry.spec.kind != kind || entry.spec.decays != decays) continue;
    entry.offset = end;
    end += (entry.spec.shape.count() + kAlignment - 1) / kAlignment * kAlignment;
  }
}

void ParamStore::materialize(Device& device, std::uint64_t seed, DType dtype) {
  if (materialized_) fail("parameters: materialised twice");
  std::int64_t trained = 0, states = 0;
  place(ParamKind::trained, true, trained);
  decayed_ = trained;
  place(ParamKind::trained, false, trained);
  place(ParamKind::state, false, states);
  const auto arena = [&](std::string_view name, std::int64_t size) {
    const MemoryUse use(name, "");
    return Tensor::zeros({{size}, dtype}, device);
  };
  weights_ = arena("weights", trained);
  gradients_ = arena("gradients of weights", trained);
  state_ = arena("state", states);
  for (Param::Entry& entry : entries_) {
    entry.tensor = part_of(entry.spec.kind == ParamKind::trained ? weights_ : state_, Param(&entry));
    entry.tensor.set_name(entry.name);
    if (device.computes()) fill(entry.tensor, entry.spec.init, seed, entry.name);
    if (entry.spec.kind == ParamKind::trained) gradient_parts_.push_back(part_of(gradients_, Param(&entry)));
  }
  materialized_ = true;
}

std::vector<Param> ParamStore::params() const {
  std::vector<Param> all;
  for (const Param::Entry& entry : entries_) all.push_back(Param(&entry));
  return all;
}

Param ParamStore::named(std::string_view name) const {
  for (const Param::Entry& entry : entries_)
    if (entry.name == name) return Param(&entry);
  fail("there is no parameter '{}' among the {} of this model", name, entries_.size());
}

std::int64_t ParamStore::count(ParamKind kind) const {
  std::int64_t sum = 0;
  for (const Param::Entry& entry : entries_)
    if (entry.spec.kind == kind) sum += entry.spec.shape.count();
  return sum;
}

void ParamStore::watch(Tape& tape, bool adds) const {
  auto gradient = gradient_parts_.begin();
  for (const Param::Entry& entry : entries_)
    if (entry.spec.kind == ParamKind::trained) tape.watch(entry.tensor, *gradient++, adds);
}

void ParamStore::mark_written(std::string_view writer) const {
  for (const Param::Entry& entry : entries_) entry.tensor.mark_written(writer);
}

Scope Scope::operator/(std::string_view name) const {
  Scope inner = *this;
  inner.path_ = path_.empty() ? std::string(name) : path_ + "." + std::string(name);
  return inner;
}

Param Scope::declare(std::string_view name, const ParamSpec& spec) const {
  return store_->declare((*this / name).path(), spec);
}

}  // namespace gesso::nn
