#include "train/first_bad.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace gesso {
namespace {

template <class T>
void measure(const Tensor& tensor, ResultStatistics& result) {
  result.low = std::numeric_limits<double>::infinity();
  result.high = -result.low;
  double sum = 0, squares = 0;
  for (const T element : tensor.to_host<T>()) {
    const auto value = static_cast<double>(element);
    if (!std::isfinite(value)) {
      ++result.bad;
      continue;
    }
    result.low = std::min(result.low, value);
    result.high = std::max(result.high, value);
    sum += value;
    squares += value * value;
  }
  const auto others = static_cast<double>(std::max<std::int64_t>(tensor.count() - result.bad, 1));
  result.mean = sum / others;
  result.root = std::sqrt(squares / others);
}

}  // namespace

std::string ResultStatistics::where() const {
  return fmt::format("{}{}, {}", op, module.empty() ? "" : " in " + module,
                     pass == OpPass::forward ? "forward" : "backward");
}

std::string ResultStatistics::complaint() const {
  const std::string others = low > high ? "" : fmt::format(", the others lie in [{:.3g}, {:.3g}]", low, high);
  const std::string of = micro_batch.empty() ? "" : fmt::format(", in micro-batch {}", micro_batch);
  return fmt::format("{}: {} of {} values of {} are not finite{}{}", where(), bad, spec.shape.count(), spec.text(),
                     others, of);
}

void ResultWatch::computed(const OpResults& results) {
  for (const Tensor& tensor : results.tensors) {
    ResultStatistics result{.op = std::string(results.op),
                            .module = std::string(results.module),
                            .pass = results.pass,
                            .spec = tensor.spec()};
    if (result.spec.dtype == DType::f32)
      measure<float>(tensor, result);
    else if (result.spec.dtype == DType::f64)
      measure<double>(tensor, result);
    else
      continue;
    tell_(result);
  }
}

void FirstBad::begin_micro_batch(std::int64_t number, std::int64_t of) {
  if (of > 1) micro_batch_ = fmt::format("{} of {}", number + 1, of);
}

void FirstBad::look_at(const ResultStatistics& result) {
  if (found_ || result.bad == 0) return;
  found_ = result;
  found_->micro_batch = micro_batch_;
}

}  // namespace gesso
