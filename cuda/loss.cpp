#include "cuda/loss.h"

#include "cuda/entry.h"
#include "cuda/reduce_axes.h"
#include "cuda/stretch.h"
#include "ops/loss.h"

namespace gesso::cuda {
namespace {

TableByDevice<LossKernels> tables;

float no_parameter(const Attributes&) { return 0; }
float delta(const Attributes& attrs) { return static_cast<float>(attrs.as<ops::HuberAttrs>().delta); }
float sign(const Attributes& attrs) { return attrs.as<ops::HingeAttrs>().real ? 1.0f : -1.0f; }

// What the sum over all elements is divided by.
double elements(const Shape& shape) { return static_cast<double>(shape.count()); }
double samples(const Shape& shape) { return shape.rank() == 0 ? 1 : static_cast<double>(shape[0]); }

Axes all_axes(const Shape& shape) { return (1u << shape.rank()) - 1; }

// Of what backward keeps one may be absent; it is then not read, and the other stands in its place.
const Tensor& first(std::span<const Tensor> in) { return in[0] ? in[0] : in[1]; }
const Tensor& second(std::span<const Tensor> in) { return in.back() ? in.back() : in[0]; }

template <LossKernel LossKernels::*loss, auto parameter, auto terms>
constexpr Kernels kLoss = {[](const Attributes& attrs, const Forward& f) {
                             const Shape& shape = f.in[0].shape();
                             const Tensor losses = f.run.scratch(f.in[0].spec());
                             const auto map = elementwise_of<float, float, float>(losses, f.in[0], second(f.in));
                             (tables.of(f.run).*loss).value(stream_of(f.run), parameter(attrs), map);
                             sum_axes(f.run, losses, all_axes(shape), 1 / terms(shape), f.out[0]);
                           },
                           [](const Attributes& attrs, const Backward& b) {
                             const Tensor &a = first(b.in), &other = second(b.in);
                             const LossSlope slope{parameter(attrs), static_cast<float>(terms(a.shape()))};
                             for (std::size_t operand = 0; operand < b.dx.size(); ++operand) {
                               if (!b.dx[operand]) continue;
                               const auto map =
                                   elementwise_of<float, float, float, float>(b.dx[operand], a, other, b.dy[0]);
                               (tables.of(b.run).*loss).gradient[operand](stream_of(b.run), slope, map);
                             }
                           }};

}  // namespace

void register_loss(DeviceKind device, const LossKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "mse", kLoss<&LossKernels::mse, no_parameter, elements>);
  register_kernels(device, "l1", kLoss<&LossKernels::l1, no_parameter, elements>);
  register_kernels(device, "huber", kLoss<&LossKernels::huber, delta, elements>);
  register_kernels(device, "binary_cross_entropy_with_logits",
                   kLoss<&LossKernels::binary_cross_entropy_with_logits, no_parameter, elements>);
  register_kernels(device, "hinge", kLoss<&LossKernels::hinge, sign, elements>);
  register_kernels(device, "gaussian_kl", kLoss<&LossKernels::gaussian_kl, no_parameter, samples>);
}

}  // namespace gesso::cuda
