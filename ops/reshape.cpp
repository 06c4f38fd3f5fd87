#include "ops/reshape.h"

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "core/tape.h"

namespace gesso::ops {
namespace {

class RecordedReshape final : public Recorded {
 public:
  explicit RecordedReshape(const Shape& shape) : shape_(shape) {}
  std::string_view name() const override { return "reshape"; }
  bool passes_through() const override { return true; }
  void backward(std::span<const Tensor> dy, std::span<Tensor> dx) override { dx[0] = dy[0].view(shape_); }

 private:
  Shape shape_;
};

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  if (shape.count() != x.count()) fail("reshape: x {} cannot be seen as {}", x.spec().text(), shape.text());
  const Tensor y = x.view(shape);
  if (Tape* tape = Tape::current(); tape && tape->knows(x))
    tape->record(std::span(&x, 1), std::span(&y, 1), std::make_unique<RecordedReshape>(x.shape()));
  return y;
}

Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> dims) {
  Shape shape;
  std::int64_t known = 1;
  int open = -1;
  for (std::int64_t dim : dims) {
    if (dim == -1) {
      if (open >= 0) fail("reshape: x {}: only one dimension can be left open", x.spec().text());
      open = shape.rank();
    } else {
      known *= dim;
    }
    shape.push_back(std::max<std::int64_t>(dim, 0));
  }
  if (open >= 0 && known > 0) shape[open] = x.count() / known;
  return reshape(x, shape);
}

Tensor stop_gradient(const Tensor& x) { return x.view(x.shape()); }

}  // namespace gesso::ops
