#include "core/tensor.h"

#include "core/allocator.h"
#include "core/error.h"

namespace gesso {

// Memory of one allocation, returned to its device's allocator with the last tensor that sees it.
struct Tensor::Storage {
  Storage(Device& owner, std::size_t bytes)
      : device(owner), memory(static_cast<std::byte*>(owner.allocator().allocate(bytes))) {}
  ~Storage() { device.allocator().release(memory); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  Device& device;
  std::byte* memory;
};

Tensor::Tensor(const Spec& spec, Device& device) : body_(std::make_shared<Body>()) {
  if (spec.dtype == DType::none) fail("tensor: a tensor of shape {} needs an element type", spec.shape.text());
  body_->spec = spec;
  body_->device = &device;
  const std::int64_t count = spec.shape.count();
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(count, static_cast<std::int64_t>(size_of(spec.dtype)), &bytes))
    fail(ErrorKind::memory, "tensor: {} has more bytes than 63 bits can count", spec.text());
  body_->storage = std::make_shared<Storage>(device, static_cast<std::size_t>(bytes));
  body_->memory = body_->storage->memory;
  body_->version = std::make_shared<Version>();
}

Tensor Tensor::zeros(const Spec& spec, Device& device) {
  Tensor t(spec, device);
  device.fill_bytes(t.bytes(), std::byte{0}, spec.bytes());
  return t;
}

Tensor Tensor::from_host_bytes(std::span<const std::byte> bytes, const Spec& spec, Device& device) {
  if (bytes.size() != spec.bytes())
    fail("tensor: {} needs {} bytes but {} were given", spec.text(), spec.bytes(), bytes.size());
  Tensor t(spec, device);
  device.copy_from_host(t.bytes(), bytes.data(), bytes.size());
  return t;
}

const Spec& Tensor::spec() const {
  static const Spec absent;
  return body_ ? body_->spec : absent;
}

std::int64_t Tensor::dim(int i) const {
  const int rank = shape().rank();
  const int at = i < 0 ? i + rank : i;
  if (at < 0 || at >= rank) fail("tensor {}: there is no dimension {}", spec().text(), i);
  return shape()[at];
}

void Tensor::check_access(DType dtype) const {
  if (!body_ || body_->spec.dtype != dtype) fail("tensor {} read as {}", spec().text(), name_of(dtype));
}

void Tensor::copy_to_host(std::span<std::byte> to) const {
  if (to.size() != spec().bytes()) fail("tensor {}: copied into {} bytes of host memory", spec().text(), to.size());
  device().copy_to_host(to.data(), bytes(), to.size());
}

void Tensor::copy_from_host(std::span<const std::byte> from) const {
  if (from.size() != spec().bytes()) fail("tensor {}: overwritten with {} bytes", spec().text(), from.size());
  device().copy_from_host(bytes(), from.data(), from.size());
  mark_written("copy_from_host");
}

void Tensor::copy_from(const Tensor& other) const {
  if (other.spec() != spec() || &other.device() != &device())
    fail("tensor {} on {}: overwritten with {} on {}", spec().text(), device().name(), other.spec().text(),
         other ? other.device().name() : "no device");
  device().copy(bytes(), other.bytes(), spec().bytes());
  mark_written("copy_from");
}

void Tensor::fill_zero() const {
  device().fill_bytes(bytes(), std::byte{0}, spec().bytes());
  mark_written("fill_zero");
}

Tensor Tensor::view(const Shape& shape) const {
  if (shape.count() != count())
    fail("view: {} cannot be seen as {}: another number of elements", spec().text(), shape.text());
  auto body = std::make_shared<Body>(*body_);
  body->spec.shape = shape;
  body->tape = 0;
  body->slot = -1;
  return Tensor(std::move(body));
}

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  if (shape().empty() || begin < 0 || end < begin || end > shape()[0])
    fail("slice: rows {} to {} of {}", begin, end, spec().text());
  Shape part_shape = shape();
  const std::int64_t rows = part_shape[0];
  part_shape[0] = end - begin;
  Tensor part = rows == 0 ? view(part_shape) : Tensor(std::make_shared<Body>(*body_));
  const std::size_t row_bytes = rows == 0 ? 0 : spec().bytes() / static_cast<std::size_t>(rows);
  part.body_->spec.shape = part_shape;
  part.body_->memory += static_cast<std::size_t>(begin) * row_bytes;
  part.body_->tape = 0;
  part.body_->slot = -1;
  return part;
}

Tensor Tensor::part(std::int64_t begin, const Shape& part_shape) const {
  if (shape().rank() != 1) fail("part: {} is not an arena (one dimension)", spec().text());
  Tensor part = slice(begin, begin + part_shape.count()).view(part_shape);
  part.body_->version = std::make_shared<Version>();
  return part;
}

void Tensor::set_name(std::string name) const { body_->name = std::move(name); }
std::string_view Tensor::name() const { return body_ ? std::string_view(body_->name) : std::string_view(); }

std::uint32_t Tensor::version() const { return body_->version->count.load(std::memory_order_relaxed); }
std::string_view Tensor::last_writer() const { return body_->version->writer; }
void Tensor::mark_written(std::string_view writer) const {
  body_->version->count.fetch_add(1, std::memory_order_relaxed);
  body_->version->writer = writer;
}

bool Tensor::guard_intact() const { return device().allocator().guard_intact(body_->storage->memory); }

}  // namespace gesso
