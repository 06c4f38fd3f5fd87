#include "ops/embedding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/broadcast.h"
#include "ops/describe.h"
#include "ops/index.h"

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk

struct Embedding {
  static constexpr std::string_view name = "embedding";
  static constexpr std::string_view doc =
      "y[...,D] = weight[index[...],:], weight [K,D], index i32; dweight[k,:] = the sum of dy where index = k, in the "
      "order "
      "of the indices";
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

  static void cpu(const Attrs&, const Forward& f) {
    const std::int64_t K = f.in[0].dim(0), D = f.in[0].dim(1);
    check_index_range(name, f.in[1], K);
    const float* weight = f.in[0].data<float>().data();
    const std::int32_t* index = f.in[1].data<std::int32_t>().data();
    float* y = f.out[0].data<float>().data();
    parallel_for(f.run.pool, f.in[1].count(), rows_a_chunk(D), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) std::copy_n(weight + index[n] * D, D, y + n * D);
    });
  }
  // A thread owns whole rows of dweight, so no two add to one.
  static void cpu_backward(const Attrs&, const Backward& b) {
    const std::int64_t K = b.dx[0].dim(0), D = b.dx[0].dim(1);
    const Tensor begins = b.run.scratch({{K + 1}, DType::i64}),
                 order = b.run.scratch(Spec{{b.in[1].count()}, DType::i64});
    sort_by_row(b.in[1].data<std::int32_t>(), begins.data<std::int64_t>(), order.data<std::int64_t>());
    const std::int64_t* begin_of = begins.data<std::int64_t>().data();
    const std::int64_t* of_row = order.data<std::int64_t>().data();
    const float* dy = b.dy[0].data<float>().data();
    float* dweight = b.dx[0].data<float>().data();
    const auto add = broadcast_kernels(b.run.isa).add;
    const std::int64_t mean_row = D * (1 + b.in[1].count() / std::max<std::int64_t>(K, 1));
    parallel_for(b.run.pool, K, rows_a_chunk(mean_row), [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t k = first; k < last; ++k) {
        float* sum = dweight + k * D;
        std::fill_n(sum, D, 0.0f);
        for (std::int64_t i = begin_of[k]; i < begin_of[k + 1]; ++i)
          add(1, D, {sum, 0, 1}, {dy + of_row[i] * D, 0, 1}, sum);
      }
    });
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

 private:
  static std::int64_t rows_a_chunk(std::int64_t row) {
    return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(row, 1));
  }
  // order[begins[k]..begins[k+1]): the places where index is k, ascending (a counting sort).
  static void sort_by_row(std::span<const std::int32_t> index, std::span<std::int64_t> begins,
                          std::span<std::int64_t> order) {
    std::ranges::fill(begins, 0);
    for (const std::int32_t k : index) ++begins[static_cast<std::size_t>(k) + 1];
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    for (std::size_t n = 0; n < index.size(); ++n)
      order[static_cast<std::size_t>(begins[static_cast<std::size_t>(index[n])]++)] = static_cast<std::int64_t>(n);
    // Each begin has moved to the next row's; back by one row.
    std::shift_right(begins.begin(), begins.end(), 1);
    begins[0] = 0;
  }
};

}  // namespace

std::vector<const RowInfo*> embedding_rows() { return {&row_of<Embedding>()}; }

Tensor ops::embedding(const Tensor& weight, const Tensor& index) {
  return dispatch(row_of<Embedding>(), Embedding::Attrs{}, {weight, index})[0];
}

}  // namespace gesso
