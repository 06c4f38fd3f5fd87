// Tensors: a handle on dense row-major memory of one device. Copies of the handle share memory and identity.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/device.h"
#include "core/shape.h"

namespace gesso {

// An empty tensor stands for an absent operand or an unwanted gradient.
class Tensor {
 public:
  Tensor() = default;
  // Fresh memory, content unspecified (poisoned where the allocator is told so). Throws ErrorKind::memory.
  Tensor(const Spec& spec, Device& device);

  static Tensor zeros(const Spec& spec, Device& device);
  // Copies `values` to the device. Throws if their number is not the shape's.
  template <class T>
  static Tensor from_host(std::span<const T> values, const Shape& shape, Device& device) {
    return from_host_bytes(std::as_bytes(values), {shape, dtype_of<T>}, device);
  }
  static Tensor from_host_bytes(std::span<const std::byte> bytes, const Spec& spec, Device& device);  // as above

  explicit operator bool() const { return body_ != nullptr; }
  const Spec& spec() const;  // of an empty tensor: dtype none
  const Shape& shape() const { return spec().shape; }
  DType dtype() const { return spec().dtype; }
  std::int64_t dim(int i) const;  // from the back where negative; throws where there is none
  std::int64_t count() const { return shape().count(); }
  Device& device() const { return *body_->device; }  // not of an empty tensor

  // The elements, in the device's address space. Throws if T is not the tensor's type.
  template <class T>
  std::span<T> data() const {
    check_access(dtype_of<T>);
    return {reinterpret_cast<T*>(body_->memory), static_cast<std::size_t>(body_->spec.shape.count())};
  }
  std::byte* bytes() const { return body_->memory; }
  template <class T>
  std::vector<T> to_host() const {
    check_access(dtype_of<T>);
    std::vector<T> values(static_cast<std::size_t>(count()));
    copy_to_host(std::as_writable_bytes(std::span(values)));
    return values;
  }
  void copy_to_host(std::span<std::byte> to) const;  // throws if sizes differ
  // Overwrites the content (and moves the version on). Throws if sizes differ.
  void copy_from_host(std::span<const std::byte> from) const;
  void copy_from(const Tensor& other) const;  // throws unless of the same spec and device
  void fill_zero() const;

  // Same memory seen otherwise; shares the version, not the place on a tape (ops::reshape is the differentiable one).
  Tensor view(const Shape& shape) const;  // throws if counts differ
  // Rows [begin, end) of the outermost dimension, or elements [begin, end) of a vector; shares memory and version.
  Tensor slice(std::int64_t begin, std::int64_t end) const;  // throws if they do not lie in it
  // `shape` elements from offset `begin` of this vector, with a version and an identity of its own: one parameter of an
  // arena.
  Tensor part(std::int64_t begin, const Shape& shape) const;  // throws as slice does

  void set_name(std::string name) const;  // module path of a parameter; error messages show it
  std::string_view name() const;

  // Counts the overwrites of this tensor; by whom the last one was.
  std::uint32_t version() const;
  std::string_view last_writer() const;
  void mark_written(std::string_view writer) const;  // writer: a string that lives as long as the program

  bool guard_intact() const;  // see Allocator
  bool same_memory(const Tensor& other) const { return bytes() == other.bytes(); }

 private:
  friend class Tape;
  struct Storage;
  struct Version {
    std::atomic<std::uint32_t> count = 0;
    std::string_view writer;
  };
  struct Body {
    Spec spec;
    Device* device = nullptr;
    std::byte* memory = nullptr;
    std::shared_ptr<Storage> storage;
    std::shared_ptr<Version> version;
    std::string name;
    std::uint64_t tape = 0;  // the tape that knows this tensor, and where its gradient lives there
    int slot = -1;
  };
  explicit Tensor(std::shared_ptr<Body> body) : body_(std::move(body)) {}
  void check_access(DType dtype) const;
  std::shared_ptr<Body> body_;
};
using Tensors = std::vector<Tensor>;
using Specs = std::vector<Spec>;

}  // namespace gesso
