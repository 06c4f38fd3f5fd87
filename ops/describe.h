// From a row to its erased form. Included by the op's own .cpp only: that is where its templates are instantiated.
#pragma once

#include <utility>

#include "ops/op.h"

namespace gesso {

template <class R>
typename R::Attrs attrs_of(const Attributes& attrs) {
  return attrs.as<typename R::Attrs>();
}

// All operands and all results once.
template <class R>
double moved_bytes(const typename R::Attrs& attrs, std::span<const Spec> in) {
  std::size_t bytes = 0;
  for (const Spec& x : in) bytes += x.bytes();
  for (const Spec& y : R::infer(attrs, in)) bytes += y.bytes();
  return static_cast<double>(bytes);
}

template <class Attrs>
std::vector<Case<Attributes>> erased(std::vector<Case<Attrs>> typed) {
  std::vector<Case<Attributes>> cases;
  for (Case<Attrs>& c : typed) cases.push_back({std::move(c.name), c.attrs, std::move(c.in)});
  return cases;
}

template <class R>
void describe_checks(RowInfo& row) {
  row.samples = [] { return erased(R::samples()); };
  if constexpr (requires { R::benchmarks(); }) row.benchmarks = [] { return erased(R::benchmarks()); };
  row.random_case = [](Random& random) {
    auto c = R::random_case(random);
    return Case<Attributes>{c.name, c.attrs, c.in};
  };
  row.rejects = [] {
    std::vector<Reject<Attributes>> rejects;
    for (auto& r : R::rejects()) rejects.push_back({r.attrs, r.in, r.words});
    return rejects;
  };
  if constexpr (requires { R::known(); })
    row.known = [] {
      std::vector<Known<Attributes>> all;
      for (auto& k : R::known()) all.push_back({k.name, k.attrs, k.in, k.out});
      return all;
    };
  if constexpr (requires(const typename R::Attrs& a, std::span<const Tensor> in) { R::composition(a, in); })
    row.composition = [](const Attributes& a, std::span<const Tensor> in) {
      return R::composition(attrs_of<R>(a), in);
    };
  if constexpr (requires(const typename R::Attrs& a, const Forward& f) { R::template surrogate<double>(a, f); })
    row.surrogate = [](const Attributes& a, const Forward& f) { R::template surrogate<double>(attrs_of<R>(a), f); };
}

template <class R>
void describe_backward(RowInfo& row) {
  row.differentiable = R::differentiable;
  row.saved_inputs = [](const Attributes& a, Operands wanted) { return R::saved_inputs(attrs_of<R>(a), wanted); };
  row.saved_outputs = [](const Attributes& a, Operands wanted) { return R::saved_outputs(attrs_of<R>(a), wanted); };
  row.reference_f32.backward = [](const Attributes& a, const Backward& b) {
    R::template reference_backward<float>(attrs_of<R>(a), b);
  };
  row.reference_f64.backward = [](const Attributes& a, const Backward& b) {
    R::template reference_backward<double>(attrs_of<R>(a), b);
  };
  row.cpu.backward = [](const Attributes& a, const Backward& b) { R::cpu_backward(attrs_of<R>(a), b); };
}

template <Row R>
requires DifferentiableRow<R> || ConstantRow<R> RowInfo describe() {
  RowInfo row;
  row.name = R::name;
  row.doc = R::doc;
  row.infer = [](const Attributes& a, std::span<const Spec> in) { return R::infer(attrs_of<R>(a), in); };
  row.flops = [](const Attributes& a, std::span<const Spec> in) -> double { return R::flops(attrs_of<R>(a), in); };
  row.bytes = [](const Attributes& a, std::span<const Spec> in) -> double {
    if constexpr (requires { R::bytes(attrs_of<R>(a), in); })
      return R::bytes(attrs_of<R>(a), in);
    else
      return moved_bytes<R>(attrs_of<R>(a), in);
  };
  row.tolerance = [](const Attributes& a, std::span<const Spec> in) -> double {
    return R::tolerance(attrs_of<R>(a), in);
  };
  row.reference_f32.forward = [](const Attributes& a, const Forward& f) {
    R::template reference<float>(attrs_of<R>(a), f);
  };
  row.reference_f64.forward = [](const Attributes& a, const Forward& f) {
    R::template reference<double>(attrs_of<R>(a), f);
  };
  row.cpu.forward = [](const Attributes& a, const Forward& f) { R::cpu(attrs_of<R>(a), f); };
  if constexpr (requires { R::in_place; }) row.in_place = R::in_place;
  if constexpr (requires { R::mixed_dtypes; }) row.mixed_dtypes = R::mixed_dtypes;
  if constexpr (DifferentiableRow<R>)
    describe_backward<R>(row);
  else
    row.not_differentiable = R::not_differentiable;
  describe_checks<R>(row);
  return row;
}

// The row of R, made once.
template <class R>
const RowInfo& row_of() {
  static const RowInfo row = describe<R>();
  return row;
}

inline std::int64_t pick(Random& random, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
}

}  // namespace gesso
