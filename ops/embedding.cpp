#include "ops/embedding.h"

#include <algorithm>
#include <cmath>

#include "ops/describe.h"
#include "ops/index.h"
#include "ops/picked_rows.h"

namespace gesso {
namespace {

// A gather along the first axis of a matrix; with a name of its own for layers, and a name in its errors.
struct Embedding {
  static constexpr std::string_view name = "embedding";
  static constexpr std::string_view doc =
      "y[...,D] = weight[index[...],:], weight [K,D], index i32; dweight[k,:] = the sum of dy where index = k, in "
      "the order of the indices";
  struct Attrs {};
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(1); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    const Spec &weight = in[0], &index = in[1];
    if (!is_floating(weight.dtype) || weight.shape.rank() != 2)
      fail("embedding: weight must be floating and [K,D], but is {}", weight.text());
    if (index.dtype != DType::i32) fail("embedding: index must be i32, but is {}", index.text());
    if (index.shape.rank() == Shape::kMaxRank)
      fail("embedding: index {} has no room for one more dimension; reshape it first", index.text());
    Shape y = index.shape;
    y.push_back(weight.shape[1]);
    return {{y, weight.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }  // it copies
  // Rows of weight are read as often as they are asked for.
  static double bytes(const Attrs& attrs, std::span<const Spec> in) {
    return static_cast<double>(in[1].bytes() + 2 * infer(attrs, in)[0].bytes());
  }
  // Backward sums up to N terms one after the other, in float.
  static double tolerance(const Attrs&, std::span<const Spec> in) {
    return 1e-7 * std::sqrt(10.0 + static_cast<double>(in[1].shape.count()));
  }

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    check_index_range(name, f.in[1], f.in[0].dim(0));
    const auto weight = f.in[0].data<T>(), y = f.out[0].data<T>();
    const auto index = f.in[1].data<std::int32_t>();
    const auto D = static_cast<std::size_t>(f.in[0].dim(1));
    for (std::size_t n = 0; n < index.size(); ++n)
      for (std::size_t d = 0; d < D; ++d) y[n * D + d] = weight[static_cast<std::size_t>(index[n]) * D + d];
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    const auto dy = b.dy[0].data<T>(), dweight = b.dx[0].data<T>();
    const auto index = b.in[1].data<std::int32_t>();
    const auto D = static_cast<std::size_t>(b.dx[0].dim(1));
    std::ranges::fill(dweight, T{0});
    for (std::size_t n = 0; n < index.size(); ++n)
      for (std::size_t d = 0; d < D; ++d) dweight[static_cast<std::size_t>(index[n]) * D + d] += dy[n * D + d];
  }

  static PickedRows picked(const Tensor& weight, const Tensor& index) {
    return {.outer = 1, .rows = weight.dim(0), .picks = index.count(), .inner = weight.dim(1)};
  }
  static void cpu(const Attrs&, const Forward& f) {
    take_rows(f.run, name, picked(f.in[0], f.in[1]), f.in[0], f.in[1], f.out[0]);
  }
  static void cpu_backward(const Attrs&, const Backward& b) {
    scatter_add_rows(b.run, name, picked(b.dx[0], b.in[1]), b.dy[0], b.in[1], b.dx[0]);
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"tokens", {}, {{{11, 6}}, {{2, 5}, Domain::index, 11}}},
            {"one index", {}, {{{4, 5}}, {{}, Domain::index, 4}}},
            {"one row", {}, {{{1, 3}}, {{9}, Domain::index, 1}}},
            {"no index", {}, {{{4, 5}}, {{0}, Domain::index, 4}}},
            {"no features", {}, {{{4, 0}}, {{3}, Domain::index, 4}}},
            {"several chunks", {}, {{{1030, 65}}, {{9, 333}, Domain::index, 1030}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    const std::int64_t K = pick(random, 1, 40);
    return {"random", {}, {{{K, pick(random, 1, 40)}}, {{pick(random, 1, 9), pick(random, 1, 9)}, Domain::index, K}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{4}}, {{3}, Domain::index, 4}}, {"embedding", "[K,D]", "[4] f32"}},
            {{}, {{{4, 5}}, {{3}, Domain::counter, 4}}, {"embedding", "index must be i32", "[3] i64"}},
            {{}, {{{4, 5}}, {{1, 1, 1, 1, 1, 1}, Domain::index, 4}}, {"embedding", "one more dimension"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> embedding_rows() { return {&row_of<Embedding>()}; }

Tensor ops::embedding(const Tensor& weight, const Tensor& index) {
  return dispatch(row_of<Embedding>(), Embedding::Attrs{}, {weight, index})[0];
}

}  // namespace gesso
