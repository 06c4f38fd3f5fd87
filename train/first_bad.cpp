#include "train/first_bad.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace gesso {
namespace {

template <class T>
void measure(const Tensor& tensor, BadResult& result) {
  result.low = std::numeric_limits<double>::infinity();
  result.high = -result.low;
  for (const T value : tensor.to_host<T>()) {
    if (!std::isfinite(value)) {
      ++result.bad;
      continue;
    }
    result.low = std::min(result.low, static_cast<double>(value));
    result.high = std::max(result.high, static_cast<double>(value));
  }
}

}  // namespace

std::string BadResult::text() const {
  const std::string where = module.empty() ? "" : fmt::format(" in {}", module);
  const std::string others = low > high ? "" : fmt::format(", the others lie in [{:.3g}, {:.3g}]", low, high);
  return fmt::format("{}{}, {}: {} of {} values of {} are not finite{}", op, where,
                     pass == OpPass::forward ? "forward" : "backward", bad, spec.shape.count(), spec.text(), others);
}

void FirstBad::computed(const OpResults& results) {
  if (found_) return;
  for (const Tensor& tensor : results.tensors) {
    BadResult result{.op = std::string(results.op),
                     .module = std::string(results.module),
                     .pass = results.pass,
                     .spec = tensor.spec()};
    if (result.spec.dtype == DType::f32) measure<float>(tensor, result);
    if (result.spec.dtype == DType::f64) measure<double>(tensor, result);
    if (result.bad == 0) continue;
    found_ = std::move(result);
    return;
  }
}

}  // namespace gesso
