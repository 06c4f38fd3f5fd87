#include "cuda/step_gate.h"

#include "cuda/entry.h"
#include "ops/step_gate.h"

namespace gesso::cuda {
namespace {

TableByDevice<StepGateKernels> tables;

void forward(const Attributes& attributes, const Forward& f) {
  const auto attrs = attributes.as<ops::StepGateAttrs>();
  tables.of(f.run).decide(stream_of(f.run), {.window = static_cast<int>(f.in[0].dim(1)),
                                             .recent = pointer<float>(f.in[0]),
                                             .gate = pointer<float>(f.in[1]),
                                             .report = pointer<float>(f.in[2]),
                                             .step = pointer<std::int64_t>(f.in[3]),
                                             .norm = pointer<float>(f.in[4]),
                                             .loss = pointer<float>(f.in[5]),
                                             .sizes = pointer<float>(f.in[6]),
                                             .deviations = static_cast<float>(attrs.deviations),
                                             .skips = attrs.skips,
                                             .most_in_row = attrs.most_in_row,
                                             .most_in_window = attrs.most_in_window});
}

}  // namespace

void register_step_gate(DeviceKind device, const StepGateKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "step_gate", {forward, nullptr});
}

}  // namespace gesso::cuda
