#include <algorithm>

#include "cuda/devices.h"
#include "cuda/vendor/cublaslt.h"
#include "cuda/vendor/cudnn.h"
#include "ops/conv2d.h"
#include "ops/conv_transpose2d.h"
#include "ops/matmul.h"

namespace gesso {
namespace {

using namespace cuda::vendor;
using Pass = ConvolutionPass;

template <class Plan>
VendorCalls in_both_precisions(Plan&& plan) {
  return {plan(Precision::fp32), plan(Precision::tf32)};
}

// Beside x and weight there is nothing.
bool is_plain(std::span<const Tensor> tensors) {
  return std::ranges::none_of(tensors.subspan(2), [](const Tensor& t) { return static_cast<bool>(t); });
}
bool is_plain(std::span<const Tensor> in, Activation activation) {
  return is_plain(in) && activation == Activation::none;
}

VendorCalls product_call(const Matrices& a, const Matrices& b, const Tensor& c) {
  return in_both_precisions([&](Precision precision) { return product(a, b, c, precision); });
}
VendorCalls convolution_call(const ConvGeometry& g, Pass pass, const ConvolutionTensors& tensors) {
  return in_both_precisions(
      [&](Precision precision) { return cuda::vendor::convolution(g, pass, tensors, precision); });
}

// c = op(a) op(b): da = dc op(b)^T and db = op(a)^T dc, each transposed as a whole where its operand lies transposed.
VendorCalls matmul_gradient(const ops::MatmulAttrs& attrs, const Backward& call) {
  const Tensor &a = call.in[0], &b = call.in[1], &dc = call.dy[0], &da = call.dx[0], &db = call.dx[1];
  const bool a_lies = attrs.transpose_a, b_lies = attrs.transpose_b;
  if (da) return a_lies ? product_call({b, b_lies}, {dc, true}, da) : product_call({dc, false}, {b, !b_lies}, da);
  return b_lies ? product_call({dc, true}, {a, a_lies}, db) : product_call({a, !a_lies}, {dc, false}, db);
}

VendorCalls conv2d_gradient(const ops::Conv2dAttrs& attrs, const Backward& call) {
  const Tensor &x = call.dx[0] ? call.dx[0] : call.in[0], &weight = call.dx[1] ? call.dx[1] : call.in[1];
  return convolution_call(geometry_of(attrs, x.shape(), weight.shape()),
                          call.dx[0] ? Pass::input_gradient : Pass::weight_gradient, {x, weight, call.dy[0]});
}

// The convolution whose input gradient this op is has x and y swapped.
VendorCalls conv_transpose2d_gradient(const ops::ConvTranspose2dAttrs& attrs, const Backward& call) {
  const Tensor &x = call.dx[0] ? call.dx[0] : call.in[0], &weight = call.dx[1] ? call.dx[1] : call.in[1];
  return convolution_call(geometry_of(attrs, x.shape(), weight.shape()),
                          call.dx[0] ? Pass::forward : Pass::weight_gradient, {call.dy[0], weight, x});
}

}  // namespace

bool has_vendor() { return true; }

VendorCalls vendor_calls(const RowInfo& row, const Attributes& attributes, const Forward& call) {
  if (call.run.device.kind() != DeviceKind::cuda) return {};
  if (row.name == "matmul") {
    const auto attrs = attributes.as<ops::MatmulAttrs>();
    if (!is_plain(call.in, attrs.activation)) return {};
    return product_call({call.in[0], attrs.transpose_a}, {call.in[1], attrs.transpose_b}, call.out[0]);
  }
  if (row.name == "conv2d") {
    const auto attrs = attributes.as<ops::Conv2dAttrs>();
    if (!is_plain(call.in, attrs.activation) || attrs.upsample != 1) return {};
    return convolution_call(geometry_of(attrs, call.in[0].shape(), call.in[1].shape()), Pass::forward,
                            {call.in[0], call.in[1], call.out[0]});
  }
  if (row.name == "conv_transpose2d") {
    const auto attrs = attributes.as<ops::ConvTranspose2dAttrs>();
    if (!is_plain(call.in, attrs.activation)) return {};
    return convolution_call(geometry_of(attrs, call.in[0].shape(), call.in[1].shape()), Pass::input_gradient,
                            {call.out[0], call.in[1], call.in[0]});
  }
  return {};
}

VendorCalls vendor_calls(const RowInfo& row, const Attributes& attributes, const Backward& call) {
  if (call.run.device.kind() != DeviceKind::cuda) return {};
  const bool is_product = row.name == "matmul" || row.name == "conv2d" || row.name == "conv_transpose2d";
  if (!is_product || static_cast<bool>(call.dx[0]) == static_cast<bool>(call.dx[1]) || !is_plain(call.dx)) return {};
  const auto plain = [&](const auto& attrs, auto gradient) {
    return attrs.activation == Activation::none ? gradient(attrs, call) : VendorCalls{};
  };
  if (row.name == "matmul") return plain(attributes.as<ops::MatmulAttrs>(), matmul_gradient);
  if (row.name == "conv2d") {
    const auto attrs = attributes.as<ops::Conv2dAttrs>();
    return attrs.dropout.rate == 0 && attrs.upsample == 1 ? plain(attrs, conv2d_gradient) : VendorCalls{};
  }
  return plain(attributes.as<ops::ConvTranspose2dAttrs>(), conv_transpose2d_gradient);
}

}  // namespace gesso
