// What an operation is: a row. Everything that is said about an op is said in its row, once; the row lives in the op's
// .cpp, so that only that file instantiates it. The rest of the program sees RowInfo, its erased form.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "core/isa.h"
#include "core/tape.h"
#include "core/tensor.h"
#include "core/thread_pool.h"

namespace gesso {

// Of the checks; what a program draws comes from core/rng.h. SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
// pseudorandom number generators"): <random> would cost each row half a second to compile.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t operator()() {  // 64 random bits
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }

 private:
  std::uint64_t state_;
};

// Set of operand positions, e.g. operands(0, 2).
using Operands = std::uint32_t;
template <class... I>
constexpr Operands operands(I... i) {
  return (0u | ... | (1u << i));
}
constexpr bool has(Operands set, std::size_t i) { return (set >> i & 1u) != 0; }

// Where a kernel runs. Comes from the operands and the process's settings, through dispatch; kernels read no global.
// A kernel of the CPU touches the elements of tensors in what its pool runs, or else where computes() is true, and asks
// for scratch outside both (attention and matmul: some inside): a dry device, whose pool is idle, sees what it takes.
struct Execution {
  Device& device;
  ThreadPool& pool;
  Isa isa;

  bool computes() const { return device.computes(); }
  // Memory that does not outlive the call; content unspecified.
  Tensor scratch(const Spec& spec) const { return Tensor(spec, device); }
};
struct Forward {
  const Execution& run;
  std::span<const Tensor> in;  // an absent optional operand is empty
  std::span<Tensor> out;       // allocated, not initialised
};
struct Backward {
  const Execution& run;
  std::span<const Tensor> in, out;  // only what the row saves; the rest is empty
  std::span<const Tensor> dy;       // empty where that output was not used
  std::span<Tensor> dx;             // empty where that gradient is not wanted
};

// How the checks fill an operand. small_integer: exact in every dtype, with many ties. nonzero: at least 0.1 from zero,
// for kinks. positive: in [0.1, 4]. unit: in [0, 1). index: whole numbers in [0, below), i32. counter: the same in i64.
// byte: u8.
enum class Domain : std::uint8_t { absent, normal, small_integer, nonzero, positive, unit, index, counter, byte };
struct Operand {
  Shape shape;
  Domain domain = Domain::normal;
  std::int64_t below = 0;
  DType dtype = DType::none;  // none: what the domain says, floating operands in the type that the check runs in
};
template <class Attrs>
struct Case {
  std::string name;
  Attrs attrs;
  std::vector<Operand> in;
};
// A call that must be refused, with words that the message must hold.
template <class Attrs>
struct Reject {
  Attrs attrs;
  std::vector<Operand> in;
  std::vector<std::string> words;
};
// Operands and results known by hand: the second witness of a row without a gradient.
struct Values {
  Spec spec;
  std::vector<double> values;
};
template <class Attrs>
struct Known {
  std::string name;
  Attrs attrs;
  std::vector<Values> in, out;  // out: results in the order outputs, then operands that are updated in place
};

// Attributes without their type: small and trivially copyable, so that a call allocates nothing for them.
class Attributes {
 public:
  static constexpr std::size_t kCapacity = 192;

  template <class T>
  requires(!std::is_same_v<T, Attributes>) Attributes(const T& attrs)
      : type_(type_of<T>()) {  // implicit, as with std::any
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kCapacity && alignof(T) <= 8);
    std::memcpy(bytes_.data(), &attrs, sizeof(T));
  }
  template <class T>
  T as() const {
    if (type_ != type_of<T>()) fail("attributes of one op were given to another");
    T attrs;
    std::memcpy(&attrs, bytes_.data(), sizeof(T));
    return attrs;
  }

 private:
  template <class T>
  static const void* type_of() {
    static constexpr char kTag = 0;
    return &kTag;
  }
  const void* type_;
  alignas(8) std::array<std::byte, kCapacity> bytes_{};
};

// What every row says. Optional, found by name where a row has it:
// - double bytes(attrs, in): memory touched, where it is not simply all operands and results once
// - Operands in_place: operands that the op overwrites (only the optimiser's rows); compared like results
// - bool mixed_dtypes: floating operands may differ in type (cast, optimiser)
// - Tensors composition(attrs, in): for a fused op, the composition of plain ops that it equals
// - void surrogate<T>(attrs, Forward): the function whose derivative backward is, where it is not forward's own
// - std::vector<Known<Attrs>> known(): results known by hand; a must where there is no gradient
// - std::vector<Case<Attrs>> benchmarks(): what is timed, named by its shape, where it is not simply the largest sample
template <class R>
concept Row = requires(const typename R::Attrs& attrs, std::span<const Spec> in, const Forward& f, Random& random) {
  { R::name } -> std::convertible_to<std::string_view>;
  { R::doc } -> std::convertible_to<std::string_view>;         // formula, shapes, source
  { R::infer(attrs, in) } -> std::same_as<Specs>;              // specs of the outputs, or a clear Error
  {R::template reference<double>(attrs, f)};                   // naive loops; the judge of all kernels
  {R::cpu(attrs, f)};                                          // f32
  { R::flops(attrs, in) } -> std::convertible_to<double>;      // forward; a multiply-add counts two
  { R::tolerance(attrs, in) } -> std::convertible_to<double>;  // f32 kernel against the f64 reference, see ops/check
  { R::samples() } -> std::same_as<std::vector<Case<typename R::Attrs>>>;
  { R::random_case(random) } -> std::same_as<Case<typename R::Attrs>>;
  { R::rejects() } -> std::same_as<std::vector<Reject<typename R::Attrs>>>;
};
template <class R>
concept DifferentiableRow = Row<R> && requires(const typename R::Attrs& attrs, const Backward& b, Operands wanted) {
  { R::differentiable } -> std::convertible_to<Operands>;
  {
    R::saved_inputs(attrs, wanted)
    } -> std::same_as<Operands>;  // what backward reads, given the gradients that are wanted
  { R::saved_outputs(attrs, wanted) } -> std::same_as<Operands>;
  {R::template reference_backward<double>(attrs, b)};
  {R::cpu_backward(attrs, b)};
};
template <class R>
concept ConstantRow = Row<R> && requires {
  { R::not_differentiable } -> std::convertible_to<std::string_view>;  // the reason
  { R::known() } -> std::same_as<std::vector<Known<typename R::Attrs>>>;
};

struct Kernels {
  void (*forward)(const Attributes&, const Forward&) = nullptr;
  void (*backward)(const Attributes&, const Backward&) = nullptr;
};

struct RowInfo {
  std::string_view name, doc, not_differentiable;
  Operands differentiable = 0, in_place = 0;
  bool mixed_dtypes = false;
  Operands (*saved_inputs)(const Attributes&, Operands wanted) = nullptr;
  Operands (*saved_outputs)(const Attributes&, Operands wanted) = nullptr;
  Specs (*infer)(const Attributes&, std::span<const Spec>) = nullptr;
  double (*flops)(const Attributes&, std::span<const Spec>) = nullptr;
  double (*bytes)(const Attributes&, std::span<const Spec>) = nullptr;
  double (*tolerance)(const Attributes&, std::span<const Spec>) = nullptr;
  std::vector<Case<Attributes>> (*samples)() = nullptr;
  Case<Attributes> (*random_case)(Random&) = nullptr;
  std::vector<Reject<Attributes>> (*rejects)() = nullptr;
  std::vector<Case<Attributes>> (*benchmarks)() = nullptr;                       // null: the largest sample
  std::vector<Known<Attributes>> (*known)() = nullptr;                           // null: none
  Tensors (*composition)(const Attributes&, std::span<const Tensor>) = nullptr;  // null: not a fused op
  void (*surrogate)(const Attributes&, const Forward&) = nullptr;                // null: forward itself; in double
  Kernels reference_f32, reference_f64, cpu;

  // The kernels for these operands on that device; throws, naming op, device and operands, where there are none.
  const Kernels& kernels(DeviceKind device, std::span<const Spec> in) const;
};

// The one way in: check, infer, allocate, run, record. The profiler's range opens here, and nowhere else.
// Throws what infer throws, with the module path added.
Tensors dispatch(const RowInfo& row, const Attributes& attrs, std::span<const Tensor> in);
inline Tensors dispatch(const RowInfo& row, const Attributes& attrs, std::initializer_list<Tensor> in) {
  return dispatch(row, attrs, std::span(in.begin(), in.size()));
}
// An op without operands (noise): the device must be said.
Tensors dispatch_on(Device& device, const RowInfo& row, const Attributes& attrs, std::span<const Tensor> in);

}  // namespace gesso
