#include "cuda/layer_norm.h"

#include "cuda/entry.h"
#include "cuda/reduce_axes.h"
#include "ops/layer_norm.h"

namespace gesso::cuda {
namespace {

TableByDevice<LayerNormKernels> tables;

// Where the results and operands of a layer norm lie; an rms norm has no mean and no bias.
template <bool centred>
struct Of {
  static constexpr std::size_t kRstd = centred ? 2 : 1;
  static Tensor mean(std::span<const Tensor> results) { return centred ? results[1] : Tensor(); }
  static Tensor bias(std::span<const Tensor> operands) { return centred ? operands[2] : Tensor(); }
};

template <bool centred>
void forward(const Attributes& attrs, const Forward& f) {
  const Tensor& x = f.in[0];
  tables.of(f.run).forward(stream_of(f.run), {.rows = x.count() / x.dim(-1),
                                              .width = x.dim(-1),
                                              .eps = attrs.as<ops::LayerNormAttrs>().eps,
                                              .x = pointer<float>(x),
                                              .weight = pointer<float>(f.in[1]),
                                              .bias = pointer<float>(Of<centred>::bias(f.in)),
                                              .y = pointer<float>(f.out[0]),
                                              .mean = pointer<float>(Of<centred>::mean(f.out)),
                                              .rstd = pointer<float>(f.out[Of<centred>::kRstd])});
}

// dweight and dbias: the chunks' sums, in their order.
template <bool centred>
void backward_of_columns(const Backward& b) {
  const Tensor &x = b.in[0], &dweight = b.dx[1], dbias = Of<centred>::bias(b.dx);
  if (!dweight && !dbias) return;
  const std::int64_t width = x.dim(-1), rows = b.dy[0] ? x.count() / width : 0;  // without dy nothing but zeros
  const Spec parts{{LayerNormSums::chunks_of(rows), width}, DType::f32};
  const auto parts_of = [&](const Tensor& gradient) { return gradient ? b.run.scratch(parts) : Tensor(); };
  const Tensor of_weight = parts_of(dweight), of_bias = parts_of(dbias);
  tables.of(b.run).sums(stream_of(b.run), {.rows = rows,
                                           .width = width,
                                           .x = pointer<float>(x),
                                           .dy = pointer<float>(b.dy[0]),
                                           .mean = pointer<float>(Of<centred>::mean(b.out)),
                                           .rstd = pointer<float>(b.out[Of<centred>::kRstd]),
                                           .dweight = pointer<float>(of_weight),
                                           .dbias = pointer<float>(of_bias)});
  if (dweight) sum_axes(b.run, of_weight, axes(0), 1, dweight);
  if (dbias) sum_axes(b.run, of_bias, axes(0), 1, dbias);
}

template <bool centred>
void backward(const Attributes&, const Backward& b) {
  const Tensor& x = b.in[0];
  backward_of_columns<centred>(b);
  if (!b.dx[0]) return;
  tables.of(b.run).backward(stream_of(b.run), {.rows = x.count() / x.dim(-1),
                                               .width = x.dim(-1),
                                               .x = pointer<float>(x),
                                               .weight = pointer<float>(b.in[1]),
                                               .mean = pointer<float>(Of<centred>::mean(b.out)),
                                               .rstd = pointer<float>(b.out[Of<centred>::kRstd]),
                                               .dy = pointer<float>(b.dy[0]),
                                               .dmean = pointer<float>(Of<centred>::mean(b.dy)),
                                               .drstd = pointer<float>(b.dy[Of<centred>::kRstd]),
                                               .dx = pointer<float>(b.dx[0])});
}

}  // namespace

void register_layer_norm(DeviceKind device, const LayerNormKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "layer_norm", {forward<true>, backward<true>});
  register_kernels(device, "rms_norm", {forward<false>, backward<false>});
}

}  // namespace gesso::cuda
