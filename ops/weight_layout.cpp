#include "ops/weight_layout.h"

#include <algorithm>

#include "ops/describe.h"

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk

struct OihwToOhwi {
  static constexpr std::string_view name = "oihw_to_ohwi";
  static constexpr std::string_view doc = "y[o,h,w,i] = weight[o,i,h,w]; dweight[o,i,h,w] = dy[o,h,w,i]";
  static constexpr int order[] = {0, 2, 3, 1};  // dimension d of y is dimension order[d] of weight
  static constexpr int input = 1;               // channels of weight
};
struct OhwiToOihw {
  static constexpr std::string_view name = "ohwi_to_oihw";
  static constexpr std::string_view doc = "y[o,i,h,w] = weight[o,h,w,i]; dweight[o,h,w,i] = dy[o,i,h,w]";
  static constexpr int order[] = {0, 3, 1, 2};
  static constexpr int input = 3;
};

// to[o,c,r] = from[o,r,c]; sizes: o, r, c.
void transpose_each(const Execution& run, const std::array<std::int64_t, 3>& sizes, const float* from, float* to) {
  const auto [outer, rows, columns] = sizes;
  const std::int64_t block = rows * columns;
  parallel_for(run.pool, outer, std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(block, 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t o = begin; o < end; ++o)
                   for (std::int64_t c = 0; c < columns; ++c)
                     for (std::int64_t r = 0; r < rows; ++r)
                       to[o * block + c * rows + r] = from[o * block + r * columns + c];
               });
}

template <class F>
struct WeightLayout {
  static constexpr std::string_view name = F::name;
  static constexpr std::string_view doc = F::doc;
  struct Attrs {};
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    const Spec& weight = in[0];
    if (!is_floating(weight.dtype) || weight.shape.rank() != 4)
      fail("{}: weight must be floating and have four dimensions, but is {}", name, weight.text());
    Shape y;
    for (const int d : F::order) y.push_back(weight.shape[d]);
    return {{y, weight.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }  // it copies
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    const auto weight = f.in[0].data<T>(), y = f.out[0].data<T>();
    for_each_element(f.in[0].shape(), [&](std::size_t i, std::size_t j) { y[j] = weight[i]; });
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    const auto dy = b.dy[0].data<T>(), dweight = b.dx[0].data<T>();
    for_each_element(b.dx[0].shape(), [&](std::size_t i, std::size_t j) { dweight[i] = dy[j]; });
  }
  static void cpu(const Attrs&, const Forward& f) {
    transpose_each(f.run, blocks(f.in[0].shape()), f.in[0].data<float>().data(), f.out[0].data<float>().data());
  }
  static void cpu_backward(const Attrs&, const Backward& b) {
    const auto [outer, rows, columns] = blocks(b.dx[0].shape());
    transpose_each(b.run, {outer, columns, rows}, b.dy[0].data<float>().data(), b.dx[0].data<float>().data());
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"3x3", {}, {{{4, 5, 3, 3}}}},   {"uneven", {}, {{{2, 3, 5, 7}}}},
            {"1x1", {}, {{{5, 6, 1, 1}}}},   {"one", {}, {{{1, 1, 1, 1}}}},
            {"empty", {}, {{{0, 3, 3, 3}}}}, {"several chunks", {}, {{{300, 33, 3, 3}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    return {"random", {}, {{{pick(random, 1, 6), pick(random, 1, 6), pick(random, 1, 6), pick(random, 1, 6)}}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{3, 4, 5}}}, {std::string(name), "four dimensions", "[3,4,5] f32"}},
            {{}, {{{3, 4, 5, 5}, Domain::byte}}, {std::string(name), "floating", "u8"}}};
  }

 private:
  // body(index in weight, index in y)
  template <class Body>
  static void for_each_element(const Shape& weight, Body&& body) {
    std::array<std::int64_t, 4> at;
    std::size_t i = 0;
    for (at[0] = 0; at[0] < weight[0]; ++at[0])
      for (at[1] = 0; at[1] < weight[1]; ++at[1])
        for (at[2] = 0; at[2] < weight[2]; ++at[2])
          for (at[3] = 0; at[3] < weight[3]; ++at[3]) {
            std::int64_t j = 0;
            for (const int d : F::order) j = j * weight[d] + at[static_cast<std::size_t>(d)];
            body(i++, static_cast<std::size_t>(j));
          }
  }
  // Each output channel holds a matrix that is transposed: channels by pixels, or pixels by channels.
  static std::array<std::int64_t, 3> blocks(const Shape& weight) {
    if (F::input == 1) return {weight[0], weight[1], weight[2] * weight[3]};
    return {weight[0], weight[1] * weight[2], weight[3]};
  }
};

}  // namespace

std::vector<const RowInfo*> weight_layout_rows() {
  return {&row_of<WeightLayout<OihwToOhwi>>(), &row_of<WeightLayout<OhwiToOihw>>()};
}

namespace ops {
namespace {
template <class F>
Tensor apply(const Tensor& weight) {
  return dispatch(row_of<WeightLayout<F>>(), typename WeightLayout<F>::Attrs{}, {weight})[0];
}
}  // namespace

Tensor oihw_to_ohwi(const Tensor& weight) { return apply<OihwToOhwi>(weight); }
Tensor ohwi_to_oihw(const Tensor& weight) { return apply<OhwiToOihw>(weight); }
}  // namespace ops

}  // namespace gesso
