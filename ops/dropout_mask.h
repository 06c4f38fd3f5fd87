// Dropout as a part of an op that drops its result y [N,...]: bit for bit what the op `dropout` does to it. Included by
// the op's own .cpp.
#pragma once

#include "ops/dropout.h"
#include "ops/kept_bits.h"
#include "ops/random_draw.h"

namespace gesso {

// Throws where the op `dropout` would refuse y, step or an attribute.
void check_dropout(std::string_view op, const ops::DropoutAttrs& attrs, const Spec& y, const Spec& step);

// What is kept of y, drawn at once and held as long as the call: a bit an element. Without dropout it draws nothing.
class DropoutMask {
 public:
  DropoutMask(const Execution& run, const ops::DropoutAttrs& attrs, const Shape& y, const Tensor& step);
  // Of sample n; bit `first` is the first to be asked.
  KeptBits of(std::int64_t n, std::int64_t first = 0) const;
  std::int64_t apart() const;  // bytes from one sample's bits to the next

 private:
  Tensor memory_;  // [N,words of a sample]
  float scale_;
};

// y = dropout(x) on the CPU, of any shape.
void drop(const Execution& run, const ops::DropoutAttrs& attrs, const Tensor& step, const Tensor& x, const Tensor& y);

// The same by plain loops; `to` may be `from`.
template <class T>
void drop_naively(const ops::DropoutAttrs& attrs, const Tensor& step, const Tensor& from, const Tensor& to) {
  const auto x = from.data<T>(), y = to.data<T>();
  const auto rate = static_cast<float>(attrs.rate);
  const RandomSource source{attrs.key, draws::step_of("dropout", step), static_cast<std::uint64_t>(attrs.first_sample)};
  draws::for_each_element(from.shape(), source, [&](std::size_t i, const Words& words, std::size_t place) {
    y[i] = uniform_half_open(words.word[place]) < rate ? T{0} : x[i] / static_cast<T>(1 - attrs.rate);
  });
}

}  // namespace gesso
