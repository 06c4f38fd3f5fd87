#include "cuda/binary.h"

#include <utility>

#include "cuda/entry.h"
#include "cuda/reduce_axes.h"
#include "cuda/stretch.h"

namespace gesso::cuda {
namespace {

TableByDevice<BinaryKernels> tables;

template <BinaryKernels::Of2 BinaryKernels::*kernel>
void forward(const Attributes&, const Forward& f) {
  (tables.of(f.run).*kernel)(stream_of(f.run), elementwise_of<float, float, float>(f.out[0], f.in[0], f.in[1]));
}

template <class WriteTerms>
void gradient(const Backward& b, std::size_t which, WriteTerms&& write_terms) {
  write_summed(b.run, b.dy[0].spec(), b.dx[which], write_terms);
}

// term = kernel(dy, other)
void write_terms(const Backward& b, BinaryKernels::Of2 BinaryKernels::*kernel, const Tensor& other, const Tensor& to) {
  (tables.of(b.run).*kernel)(stream_of(b.run), elementwise_of<float, float, float>(to, b.dy[0], other));
}
// term = kernel(dy, a, b)
void write_terms(const Backward& b, BinaryKernels::Of3 BinaryKernels::*kernel, const Tensor& first,
                 const Tensor& second, const Tensor& to) {
  (tables.of(b.run).*kernel)(stream_of(b.run), elementwise_of<float, float, float, float>(to, b.dy[0], first, second));
}

// dy times a sign: what is not stretched is copied, the rest summed as it stands.
template <int sign>
void gradient_of_sum(const Backward& b, std::size_t which) {
  const Tensor &dx = b.dx[which], &dy = b.dy[0];
  if (!dx) return;
  if (dx.shape() == dy.shape())
    scale_to(b.run, dy, sign, dx);
  else
    sum_axes(b.run, dy, stretched_axes(dx.shape(), dy.shape()), sign, dx);
}

void add_backward(const Attributes&, const Backward& b) {
  gradient_of_sum<1>(b, 0);
  gradient_of_sum<1>(b, 1);
}
void sub_backward(const Attributes&, const Backward& b) {
  gradient_of_sum<1>(b, 0);
  gradient_of_sum<-1>(b, 1);
}
void mul_backward(const Attributes&, const Backward& b) {
  for (const std::size_t which : {0u, 1u})
    gradient(b, which, [&](const Tensor& to) { write_terms(b, &BinaryKernels::mul, b.in[1 - which], to); });
}
void div_backward(const Attributes&, const Backward& b) {
  gradient(b, 0, [&](const Tensor& to) { write_terms(b, &BinaryKernels::div, b.in[1], to); });
  gradient(b, 1, [&](const Tensor& to) { write_terms(b, &BinaryKernels::slope_of_divisor, b.in[0], b.in[1], to); });
}
template <BinaryKernels::Of3 BinaryKernels::*share>
void share_backward(const Attributes&, const Backward& b) {
  for (const std::size_t which : {0u, 1u})
    gradient(b, which, [&](const Tensor& to) { write_terms(b, share, b.in[which], b.in[1 - which], to); });
}

constexpr std::pair<std::string_view, Kernels> kOps[] = {
    {"add", {forward<&BinaryKernels::add>, add_backward}},
    {"sub", {forward<&BinaryKernels::sub>, sub_backward}},
    {"mul", {forward<&BinaryKernels::mul>, mul_backward}},
    {"div", {forward<&BinaryKernels::div>, div_backward}},
    {"maximum", {forward<&BinaryKernels::maximum>, share_backward<&BinaryKernels::share_of_larger>}},
    {"minimum", {forward<&BinaryKernels::minimum>, share_backward<&BinaryKernels::share_of_smaller>}}};

}  // namespace

void register_binary(DeviceKind device, const BinaryKernels& kernels) {
  tables.set(device, kernels);
  for (const auto& [name, entry] : kOps) register_kernels(device, name, entry);
}

void slope_of_variance(const Execution& run, const Tensor& dy, const Tensor& x, const Tensor& mean, double factor,
                       const Tensor& dx) {
  tables.of(run).scaled_difference(stream_of(run), static_cast<float>(factor),
                                   elementwise_of<float, float, float, float>(dx, dy, x, mean));
}

void scale_to(const Execution& run, const Tensor& x, double factor, const Tensor& y) {
  tables.of(run).scale(stream_of(run), static_cast<float>(factor), elementwise_of<float, float>(y, x));
}

void add_to(const Device& device, std::int64_t n, const float* x, float* y) {
  const Loop loop{.count = n, .in_vectors = vectors_at(x) && vectors_at(y)};
  tables.of(device).add(stream_of(device), {loop, y, {Source<float>{x, {1}}, Source<float>{y, {1}}}});
}

}  // namespace gesso::cuda
