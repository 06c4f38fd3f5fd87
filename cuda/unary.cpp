#include "cuda/unary.h"

#include <utility>

#include "cuda/entry.h"
#include "cuda/stretch.h"
#include "ops/unary.h"

namespace gesso::cuda {
namespace {

TableByDevice<UnaryKernels> tables;

void run_forward(UnaryFunction UnaryKernels::*function, UnaryParameters p, const Forward& f) {
  (tables.of(f.run).*function).forward(stream_of(f.run), p, elementwise_of<float, float>(f.out[0], f.in[0]));
}
void run_backward(UnaryFunction UnaryKernels::*function, UnaryParameters p, const Backward& b) {
  const Tensor& kept = b.in[0] ? b.in[0] : b.out[0] ? b.out[0] : b.dy[0];
  (tables.of(b.run).*function)
      .backward(stream_of(b.run), p, elementwise_of<float, float, float>(b.dx[0], kept, b.dy[0]));
}

template <UnaryFunction UnaryKernels::*function>
constexpr Kernels kPlain = {[](const Attributes&, const Forward& f) { run_forward(function, {}, f); },
                            [](const Attributes&, const Backward& b) { run_backward(function, {}, b); }};

// choose(attrs): the function and what it is given, where attributes decide.
template <auto choose>
constexpr Kernels kChosen = {[](const Attributes& attrs, const Forward& f) {
                               const auto [function, p] = choose(attrs);
                               run_forward(function, p, f);
                             },
                             [](const Attributes& attrs, const Backward& b) {
                               const auto [function, p] = choose(attrs);
                               run_backward(function, p, b);
                             }};
using Choice = std::pair<UnaryFunction UnaryKernels::*, UnaryParameters>;

Choice leaky_relu(const Attributes& attrs) {
  return {&UnaryKernels::leaky_relu, {attrs.as<ops::LeakyReluAttrs>().slope}};
}
Choice gelu(const Attributes& attrs) {
  const bool erf = attrs.as<ops::GeluAttrs>().kind == GeluKind::erf;
  return {erf ? &UnaryKernels::gelu_erf : &UnaryKernels::gelu_tanh, {}};
}
Choice clamp(const Attributes& attrs) {
  const auto bounds = attrs.as<ops::ClampAttrs>();
  return {&UnaryKernels::clamp, {bounds.low, bounds.high}};
}

constexpr std::pair<std::string_view, Kernels> kOps[] = {{"relu", kPlain<&UnaryKernels::relu>},
                                                         {"silu", kPlain<&UnaryKernels::silu>},
                                                         {"exp", kPlain<&UnaryKernels::exp>},
                                                         {"log", kPlain<&UnaryKernels::log>},
                                                         {"square", kPlain<&UnaryKernels::square>},
                                                         {"sqrt", kPlain<&UnaryKernels::sqrt>},
                                                         {"neg", kPlain<&UnaryKernels::neg>},
                                                         {"abs", kPlain<&UnaryKernels::abs>},
                                                         {"rsqrt", kPlain<&UnaryKernels::rsqrt>},
                                                         {"sin", kPlain<&UnaryKernels::sin>},
                                                         {"cos", kPlain<&UnaryKernels::cos>},
                                                         {"sigmoid", kPlain<&UnaryKernels::sigmoid>},
                                                         {"tanh", kPlain<&UnaryKernels::tanh>},
                                                         {"softplus", kPlain<&UnaryKernels::softplus>},
                                                         {"leaky_relu", kChosen<leaky_relu>},
                                                         {"gelu", kChosen<gelu>},
                                                         {"clamp", kChosen<clamp>}};

}  // namespace

void register_unary(DeviceKind device, const UnaryKernels& kernels) {
  tables.set(device, kernels);
  for (const auto& [name, entry] : kOps) register_kernels(device, name, entry);
}

void activation_gradient(const Execution& run, Activation activation, const Tensor& kept, const Tensor& dy,
                         const Tensor& dx) {
  const UnaryKernels& kernels = tables.of(run);
  const UnaryFunction& function = activation == Activation::relu ? kernels.relu : kernels.silu;
  function.backward(stream_of(run), {}, elementwise_of<float, float, float>(dx, kept, dy));
}

}  // namespace gesso::cuda
