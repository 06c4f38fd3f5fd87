#include <cmath>

#include "ops/check/checks.h"

namespace gesso::check {
namespace {

constexpr double kStep = 1e-6;  // balances truncation (step^2) against rounding (1e-16 / step)

struct Slope {
  double value = 0;
  double noise = 0;  // what rounding in the results may have added
};

// The function whose derivative the row's backward is, over operands in double.
class Differentiated {
 public:
  Differentiated(const Subject& subject, const Trial& at) : row_(subject.row), run_(subject.reference()), at_(at) {
    for (const Tensor& x : at.in()) in_.push_back(row_.surrogate && x ? widened(x) : x);
    for (const Tensor& dy : at.dy()) dy_.push_back(dy ? host_values(dy) : std::vector<double>());
  }
  bool can_move(std::size_t operand) const { return in_[operand].dtype() == DType::f64; }

  // The derivative of sum over used outputs of <dy, f> along v in one operand, by central differences.
  Slope along(std::size_t operand, std::span<const double> v, Operands unused) const {
    Slope slope;
    const std::vector<double> centre = host_values(in_[operand]);
    for (const double side : {kStep, -kStep}) {
      std::vector<double> shifted = centre;
      for (std::size_t i = 0; i < v.size(); ++i) shifted[i] += side * v[i];
      Tensors in = in_;
      in[operand] = Tensor::from_host<double>(shifted, in_[operand].shape(), run_.device);
      const Tensors out = run(in);
      for (std::size_t o = 0; o < out.size(); ++o) {
        if (dy_[o].empty() || has(unused, o)) continue;
        const std::vector<double> y = host_values(out[o]);
        slope.value += dot(y, dy_[o]) / (2 * side);
        slope.noise += norm(y) * norm(dy_[o]);
      }
    }
    slope.noise = 1e-8 * (1 + slope.noise);  // 1e-16 / step, and a hundredfold for what the op adds up inside
    return slope;
  }

 private:
  Tensors run(const Tensors& in) const {
    Tensors out;
    for (const Tensor& y : at_.out()) {
      Spec spec = y.spec();
      if (row_.surrogate && is_floating(spec.dtype)) spec.dtype = DType::f64;
      out.push_back(y ? Tensor(spec, run_.device) : Tensor());
    }
    const Forward forward{run_, in, out};
    if (row_.surrogate)
      row_.surrogate(at_.attrs(), forward);
    else
      row_.kernels(run_.device.kind(), at_.specs()).forward(at_.attrs(), forward);
    return out;
  }

  const RowInfo& row_;
  Execution run_;
  const Trial& at_;
  Tensors in_;
  std::vector<std::vector<double>> dy_;
};

// Relative error of a gradient that is stored in this type.
double storage_error(DType dtype) { return dtype == DType::f64 ? 0 : dtype == DType::f32 ? 1e-6 : 0x1p-8; }

}  // namespace

Operands check_finite_differences(const Subject& subject, Report& report) {
  Trial trial(subject.row, subject.c, DType::f64, subject.reference());
  trial.forward();
  const Differentiated function(subject, trial);
  Operands held = 0;
  if (trial.floating_outputs() == 0) return held;
  for (const Operands unused : unused_sets(trial.floating_outputs())) {
    trial.backward(~0u, unused);
    Random random(subject.c.seed + 1);
    for (std::size_t i = 0; i < trial.dx().size(); ++i) {
      if (!trial.dx()[i] || !function.can_move(i)) continue;
      const Spec direction{trial.in()[i].shape(), DType::f64};
      const std::vector<double> v = host_values(Tensor::from_host_bytes(
          draw({direction.shape}, DType::f64, random).bytes, direction, subject.reference().device));
      const std::vector<double> dx = host_values(trial.dx()[i]);
      const Slope slope = function.along(i, v, unused);
      const double given = dot(dx, v);
      const double allowed =
          (1e-5 + storage_error(trial.dx()[i].dtype())) * (norm(dx) + std::abs(slope.value)) + slope.noise;
      report.expect(kind::finite_differences, std::abs(slope.value - given) <= allowed, [&] {
        return subject.told(
            fmt::format("the gradient of operand {} gives {:.9g} along a random direction, finite "
                        "differences give {:.9g}{}",
                        i, given, slope.value, unused ? " (one output unused)" : ""));
      });
      held |= operands(i);
    }
  }
  report.expect(kind::memory, trial.damage().empty(), [&] { return subject.told("reference, " + trial.damage()); });
  return held;
}

}  // namespace gesso::check
