#include "ops/dropout.h"

#include <array>

#include "ops/describe.h"
#include "ops/dropout_mask.h"

namespace gesso {
namespace {

constexpr std::int64_t kWordBits = 64;

RandomSource source_of(const ops::DropoutAttrs& attrs, const Tensor& step) {
  return {attrs.key, draws::step_of("dropout", step), static_cast<std::uint64_t>(attrs.first_sample)};
}
float scale_of(const ops::DropoutAttrs& attrs) { return static_cast<float>(1 / (1 - attrs.rate)); }

// Those of `elements` bits, and one that may be read behind them.
constexpr std::int64_t words_of(std::int64_t elements) { return (elements + kWordBits - 1) / kWordBits + 1; }

struct Dropout {
  static constexpr std::string_view name = "dropout";
  static constexpr std::string_view doc =
      "y = x / (1 - rate) where uniform of x's shape is at least rate, else 0; dx = dy / (1 - rate) by the same "
      "mask, drawn anew (Srivastava et al. 2014, inverted)";
  using Attrs = ops::DropoutAttrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(1); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    if (!is_floating(in[0].dtype)) fail("dropout: x must be floating, but is {}", in[0].text());
    check_dropout(name, attrs, in[0], in[1]);
    return {in[0]};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return 17 * static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 2e-7; }  // one product

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    drop_naively<T>(attrs, f.in[1], f.in[0], f.out[0]);
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    drop_naively<T>(attrs, b.in[1], b.dy[0], b.dx[0]);
  }
  static void cpu(const Attrs& attrs, const Forward& f) { drop(f.run, attrs, f.in[1], f.in[0], f.out[0]); }
  static void cpu_backward(const Attrs& attrs, const Backward& b) { drop(b.run, attrs, b.in[1], b.dy[0], b.dx[0]); }

  static std::vector<Case<Attrs>> samples() {
    const Operand step{{1}, Domain::counter, 1000};
    return {{"half", {.rate = 0.5, .key = 7}, {{{3, 5, 7, 2}}, step}},
            {"tenth", {.rate = 0.1, .key = 7, .first_sample = 12}, {{{40, 3}}, step}},
            {"nothing dropped", {.rate = 0, .key = 7}, {{{2, 9}}, step}},
            {"nearly all dropped", {.rate = 1 - 0x1p-24, .key = 7}, {{{2, 9}}, step}},
            {"scalar", {.rate = 0.3, .key = 7}, {{{}}, step}},
            {"empty", {.rate = 0.3, .key = 7}, {{{0, 4}}, step}},
            {"several chunks", {.rate = 0.3, .key = 7}, {{{3, 17001}}, step}}};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {{"N16 32x32x128", {.rate = 0.1, .key = 7}, {{{16, 32, 32, 128}}, {{1}, Domain::counter, 1000}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    return {"random",
            {.rate = 0.3, .key = random(), .first_sample = pick(random, 0, 99)},
            {{{pick(random, 1, 9), pick(random, 1, 200)}}, {{1}, Domain::counter, 1ll << 40}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    const Operand step{{1}, Domain::counter, 9};
    return {{{.rate = 1}, {{{3}}, step}, {"dropout: rate", "[0, 1)", "but is 1"}},
            {{.rate = -0.5}, {{{3}}, step}, {"dropout: rate", "-0.5"}},
            {{}, {{{3}}, {{1}, Domain::index, 9}}, {"step must be [1] i64", "[1] i32"}},
            {{}, {{{3}, Domain::byte}, step}, {"x must be floating", "[3] u8"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> dropout_rows() { return {&row_of<Dropout>()}; }

Tensor ops::dropout(const Tensor& x, const Tensor& step, const DropoutAttrs& attrs) {
  return dispatch(row_of<Dropout>(), attrs, {x, step})[0];
}

void check_dropout(std::string_view op, const ops::DropoutAttrs& attrs, const Spec& y, const Spec& step) {
  if (!(attrs.rate >= 0 && attrs.rate < 1)) fail("{}: rate must lie in [0, 1), but is {}", op, attrs.rate);
  draws::check(op, y.shape, attrs.first_sample, step);
}

void drop(const Execution& run, const ops::DropoutAttrs& attrs, const Tensor& step, const Tensor& x, const Tensor& y) {
  if (!run.computes()) return;
  const RandomKernels& kernel = draws::kernels(run.isa);
  const float* from = x.data<float>().data();
  float* to = y.data<float>().data();
  const auto rate = static_cast<float>(attrs.rate);
  draws::for_each_piece(run.pool, x.shape(), source_of(attrs, step),
                        [&](const RandomSource& by, std::int64_t begin, std::int64_t end, std::int64_t at) {
                          std::array<std::uint64_t, words_of(draws::kGrain)> words;
                          kernel.keep(by, begin, end - begin, rate, words.data());
                          const auto* bits = reinterpret_cast<const std::uint8_t*>(words.data());
                          kernel.drop(end - begin, {bits, 0, scale_of(attrs)}, from + at, to + at);
                        });
}

DropoutMask::DropoutMask(const Execution& run, const ops::DropoutAttrs& attrs, const Shape& y, const Tensor& step)
    : scale_(scale_of(attrs)) {
  if (attrs.rate == 0) return;
  const std::int64_t samples = draws::samples_of(y), apart = words_of(y.count() / std::max<std::int64_t>(samples, 1));
  memory_ = run.scratch({{samples, apart}, DType::i64});
  if (!run.computes()) return;
  const RandomKernels& kernel = draws::kernels(run.isa);
  const RandomSource source = source_of(attrs, step);
  auto* words = reinterpret_cast<std::uint64_t*>(memory_.bytes());
  draws::for_each_piece(
      run.pool, y, source, [&](const RandomSource& by, std::int64_t begin, std::int64_t end, std::int64_t) {
        std::uint64_t* sample = words + static_cast<std::int64_t>(by.sample - source.sample) * apart;
        kernel.keep(by, begin, end - begin, static_cast<float>(attrs.rate), sample + begin / kWordBits);
      });
}

KeptBits DropoutMask::of(std::int64_t n, std::int64_t first) const {
  if (!memory_) return {};
  return {reinterpret_cast<const std::uint8_t*>(memory_.bytes()) + n * apart(), first, scale_};
}

std::int64_t DropoutMask::apart() const {
  return memory_ ? memory_.dim(1) * static_cast<std::int64_t>(sizeof(std::uint64_t)) : 0;
}

}  // namespace gesso
