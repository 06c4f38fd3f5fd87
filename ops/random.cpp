#include "ops/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/rng.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/describe.h"
#include "ops/embedding.h"
#include "ops/index.h"
#include "ops/random_draw.h"
#include "ops/reshape.h"
#include "ops/unary.h"

namespace gesso {
namespace {

using draws::for_each_element;
using draws::for_each_piece;
using draws::kernels;

std::vector<Values> at_step(std::int64_t step) { return {{{{1}, DType::i64}, {static_cast<double>(step)}}}; }

struct Uniform {
  static constexpr std::string_view name = "uniform";
  static constexpr std::string_view doc =
      "y[N,...] f32 in [0, 1), element i of row n from word i % 4 of Philox4x32-10 at (i / 4, first_sample + n, step), "
      "upper 24 bits (Salmon et al. 2011)";
  static constexpr auto kernel = &RandomKernels::uniform;
  static float value(const Words& words, std::size_t place) { return uniform_half_open(words.word[place]); }
  // Philox of (0, 0, 0, 0) with key 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8 (Random123's known answers).
  static std::vector<Known<ops::RandomAttrs>> known() {
    return {{"Random123's vector of zeros",
             {.shape = {1, 4}},
             at_step(0),
             {{{{1, 4}, DType::f32}, {0x6627e8p-24, 0xe169c5p-24, 0xbc57acp-24, 0x9b00dbp-24}}}}};
  }
};
struct Normal {
  static constexpr std::string_view name = "normal";
  static constexpr std::string_view doc =
      "y[N,...] f32, standard normal: words as of uniform, each two of them a radius and an angle (Box and "
      "Muller 1958)";
  static constexpr auto kernel = &RandomKernels::normal;
  static float value(const Words& words, std::size_t place) { return normals(words).value[place]; }
  // The same words: (-2 ln u)^(1/2) at u = 0.39904648 and 0.73571277, angles of 0.88052020 and 0.60548186 turns.
  static std::vector<Known<ops::RandomAttrs>> known() {
    return {{"Random123's vector of zeros",
             {.shape = {1, 4}},
             at_step(0),
             {{{{1, 4}, DType::f32}, {0.99113749, -0.92466279, -0.61760911, -0.48206839}}}}};
  }
};

struct Gumbel {
  static constexpr std::string_view name = "gumbel";
  static constexpr std::string_view doc =
      "y[N,...] f32 = -ln(-ln(1 - u)), u in (0, 1) from words as of uniform, 31 bits: argmax(logits + y) draws "
      "from softmax(logits) (Gumbel 1954; Maddison, Tarlow and Minka 2014)";
  static constexpr auto kernel = &RandomKernels::gumbel;
  static float value(const Words& words, std::size_t place) { return gumbel(words.word[place]); }
  // The same words: u = 0.39904648, 0.88052020, 0.73571277 and 0.60548185.
  static std::vector<Known<ops::RandomAttrs>> known() {
    return {{"Random123's vector of zeros",
             {.shape = {1, 4}},
             at_step(0),
             {{{{1, 4}, DType::f32}, {0.67484044, -0.75358729, -0.28571927, 0.07247377}}}}};
  }
};

template <class F>
struct Draw {
  static constexpr std::string_view name = F::name;
  static constexpr std::string_view doc = F::doc;
  static constexpr std::string_view not_differentiable = "a draw depends on no operand but the step's number";
  using Attrs = ops::RandomAttrs;

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    draws::check(name, attrs.shape, attrs.first_sample, in[0]);
    return {{attrs.shape, DType::f32}};
  }
  // Of Philox: ten rounds of two products and four exclusive ors for four elements.
  static double flops(const Attrs& attrs, std::span<const Spec>) {
    return 15 * static_cast<double>(attrs.shape.count());
  }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }  // bit for bit

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const auto y = f.out[0].data<float>();
    for_each_element(attrs.shape, source(attrs, f),
                     [&](std::size_t i, const Words& words, std::size_t place) { y[i] = F::value(words, place); });
  }
  static void cpu(const Attrs& attrs, const Forward& f) {
    if (!f.run.computes()) return;
    float* y = f.out[0].data<float>().data();
    const auto draw = kernels(f.run.isa).*F::kernel;
    for_each_piece(f.run.pool, attrs.shape, source(attrs, f),
                   [&](const RandomSource& from, std::int64_t begin, std::int64_t end, std::int64_t at) {
                     draw(from, begin, end - begin, y + at);
                   });
  }

  static std::vector<Case<Attrs>> samples() {
    const std::vector<Operand> step{{{1}, Domain::counter, 1000}};
    return {{"images", {.shape = {3, 5, 7, 2}, .key = 5}, step},
            {"one a sample", {.shape = {9}, .key = 5, .first_sample = 100}, step},
            {"scalar", {.key = 5}, step},
            {"none", {.shape = {0, 4}, .key = 5}, step},
            {"empty samples", {.shape = {4, 0}, .key = 5}, step},
            {"large numbers",
             {.shape = {2, 67}, .key = ~0ull - 5, .first_sample = (1ll << 48) - 2},
             {{{1}, Domain::counter, 1ll << 48}}},
            {"several chunks", {.shape = {2, 60001}, .key = 5}, step},
            {"several chunks of samples", {.shape = {801, 65}, .key = 5}, step}};
  }
  // Noise of a batch of images; the largest sample says nothing, since no operand is large.
  static std::vector<Case<Attrs>> benchmarks() {
    return {{"[64,32,32,3]", {.shape = {64, 32, 32, 3}, .key = 5}, {{{1}, Domain::counter, 1000}}},
            {"[32,65536]", {.shape = {32, 65536}, .key = 5}, {{{1}, Domain::counter, 1000}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    const Shape shape{pick(random, 1, 9), pick(random, 1, 200)};
    return {"random",
            {.shape = shape, .key = random(), .first_sample = pick(random, 0, 1 << 20)},
            {{{1}, Domain::counter, 1ll << 40}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    const std::vector<Operand> step{{{1}, Domain::counter, 9}};
    return {{{.shape = {3}}, {{{2}, Domain::counter, 9}}, {std::string(name), "step must be [1] i64", "[2] i64"}},
            {{.shape = {3}, .first_sample = -1}, step, {"samples from -1 on, 3 of them", "[0, 2^48)"}},
            {{.shape = {3}, .first_sample = std::numeric_limits<std::int64_t>::max()},
             step,
             {"samples from 9223372036854775807 on, 3 of them", "[0, 2^48)"}},
            {{.shape = {1, (1ll << 34) + 1}}, step, {"[1,17179869185]", "2^34"}}};
  }
  static std::vector<Known<Attrs>> known() { return F::known(); }

 private:
  static RandomSource source(const Attrs& attrs, const Forward& f) {
    return {attrs.key, draws::step_of(name, f.in[0]), static_cast<std::uint64_t>(attrs.first_sample)};
  }
};

struct AddNoise {
  static constexpr std::string_view name = "add_noise";
  static constexpr std::string_view doc =
      "x_t = sqrt(A_t) x_0 + sqrt(1 - A_t) eps, eps[N,...] as of normal; outputs x_t, eps; x_0 [N,...], t [N] i32, "
      "alpha_bar A [T], step [1] i64; dx_0 = dx_t sqrt(A_t) (Ho, Jain and Abbeel 2020, eq. 4)";
  using Attrs = ops::AddNoiseAttrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(1, 2); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec &x = in[0], &t = in[1], &alpha_bar = in[2];
    if (!is_floating(x.dtype) || x.shape.rank() == 0)
      fail("add_noise: x_0 must be floating and [N,...], but is {}", x.text());
    const Spec one_a_sample{{x.shape[0]}, DType::i32};
    if (t != one_a_sample)
      fail("add_noise: t must be {} for x_0 {}, but is {}", one_a_sample.text(), x.text(), t.text());
    if (!is_floating(alpha_bar.dtype) || alpha_bar.shape.rank() != 1)
      fail("add_noise: alpha_bar must be floating and [T], but is {}", alpha_bar.text());
    draws::check(name, x.shape, attrs.first_sample, in[3]);
    return {x, x};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return 18 * static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 3e-7; }  // two roots, two products, a sum

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const auto x = f.in[0].data<T>(), x_t = f.out[0].data<T>(), eps = f.out[1].data<T>();
    const std::vector<Mix<T>> mixes = mixes_of<T>(f.in[1], f.in[2]);
    for_each_element(f.in[0].shape(), source(attrs, f.in[3]),
                     [&](std::size_t i, const Words& words, std::size_t place) {
                       const Mix<T>& mix = mixes[i * mixes.size() / x.size()];
                       eps[i] = static_cast<T>(normals(words).value[place]);
                       x_t[i] = mix.signal * x[i] + mix.noise * eps[i];
                     });
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    const auto dx = b.dx[0].data<T>();
    const std::vector<Mix<T>> mixes = mixes_of<T>(b.in[1], b.in[2]);
    for (std::size_t i = 0; i < dx.size(); ++i)
      dx[i] = b.dy[0] ? mixes[i * mixes.size() / dx.size()].signal * b.dy[0].data<T>()[i] : T{0};
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    if (!f.run.computes()) return;
    const float* x = f.in[0].data<float>().data();
    float *x_t = f.out[0].data<float>().data(), *eps = f.out[1].data<float>().data();
    const std::vector<Mix<float>> mixes = mixes_of<float>(f.in[1], f.in[2]);
    const RandomSource first = source(attrs, f.in[3]);
    for_each_piece(f.run.pool, f.in[0].shape(), first,
                   [&](const RandomSource& from, std::int64_t begin, std::int64_t end, std::int64_t at) {
                     const Mix<float>& mix = mixes[from.sample - first.sample];
                     kernels(f.run.isa).add_noise(from, begin, end - begin, mix.signal, mix.noise, x + at, x_t + at,
                                                  eps + at);
                   });
  }
  static void cpu_backward(const Attrs&, const Backward& b) {
    if (!b.run.computes()) return;
    float* dx = b.dx[0].data<float>().data();
    if (!b.dy[0]) return std::ranges::fill(b.dx[0].data<float>(), 0.0f), void();
    const float* dy = b.dy[0].data<float>().data();
    const std::vector<Mix<float>> mixes = mixes_of<float>(b.in[1], b.in[2]);
    for_each_piece(b.run.pool, b.dx[0].shape(), {},
                   [&](const RandomSource& from, std::int64_t begin, std::int64_t end, std::int64_t at) {
                     kernels(b.run.isa).scale(end - begin, mixes[from.sample].signal, dy + at, dx + at);
                   });
  }

  static Tensors composition(const Attrs& attrs, std::span<const Tensor> in) {
    const Tensor& x = in[0];
    const ops::RandomAttrs draw{.shape = x.shape(), .key = attrs.key, .first_sample = attrs.first_sample};
    const Tensor eps = ops::cast(ops::normal(in[3], draw), {.to = x.dtype()});
    const Tensor A = ops::embedding(ops::reshape(in[2], {in[2].count(), 1}), in[1]);  // [N,1]
    Shape one_a_sample{x.dim(0)};
    while (one_a_sample.rank() < x.shape().rank()) one_a_sample.push_back(1);
    const Tensor signal = ops::sqrt(ops::reshape(A, one_a_sample));
    const Tensor one = ops::cast(Tensor::from_host<float>(std::array{1.0f}, {}, x.device()), {.to = x.dtype()});
    const Tensor noise = ops::sqrt(ops::reshape(ops::sub(one, A), one_a_sample));
    return {ops::add(ops::mul(signal, x), ops::mul(noise, eps)), eps};
  }

  static std::vector<Operand> on(const Shape& x, std::int64_t T) {
    return {{x}, {{x[0]}, Domain::index, T}, {{T}, Domain::unit}, {{1}, Domain::counter, 1000}};
  }
  static std::vector<Case<Attrs>> samples() {
    return {{"images", {.key = 5}, on({3, 5, 7, 2}, 10)},
            {"one a sample", {.key = 5, .first_sample = 100}, on({9}, 4)},
            {"one timestep", {.key = 5}, on({2, 67}, 1)},
            {"none", {.key = 5}, on({0, 4}, 3)},
            {"empty samples", {.key = 5}, on({4, 0}, 3)},
            {"large numbers", {.key = ~0ull - 5, .first_sample = (1ll << 48) - 2}, on({2, 67}, 1000)},
            {"several chunks", {.key = 5}, on({2, 17001}, 3)},
            {"several chunks of samples", {.key = 5}, on({301, 65}, 50)}};
  }
  static std::vector<Case<Attrs>> benchmarks() { return {{"64x32x32x3", {.key = 5}, on({64, 32, 32, 3}, 1000)}}; }
  static Case<Attrs> random_case(Random& random) {
    const Shape shape{pick(random, 1, 9), pick(random, 1, 200)};
    return {"random", {.key = random(), .first_sample = pick(random, 0, 1 << 20)}, on(shape, pick(random, 1, 30))};
  }
  static std::vector<Reject<Attrs>> rejects() {
    const Operand step{{1}, Domain::counter, 9}, t{{3}, Domain::index, 5};
    return {{{}, {{{}}, t, {{5}}, step}, {"add_noise: x_0", "[N,...]", "[] f32"}},
            {{}, {{{3, 2}, Domain::byte}, t, {{5}}, step}, {"x_0 must be floating", "[3,2] u8"}},
            {{}, {{{4, 2}}, t, {{5}}, step}, {"t must be [4] i32", "[4,2] f32", "but is [3] i32"}},
            {{}, {{{3, 2}}, {{3}}, {{5}}, step}, {"t must be [3] i32", "[3] f32"}},
            {{}, {{{3, 2}}, t, {{5, 1}}, step}, {"alpha_bar", "[T]", "[5,1] f32"}},
            {{}, {{{3, 2}}, t, {{5}}, t}, {"step must be [1] i64", "[3] i32"}},
            {{.first_sample = -1}, {{{3, 2}}, t, {{5}}, step}, {"samples from -1 on, 3 of them"}}};
  }

 private:
  // Of one sample: x_t = signal x_0 + noise eps.
  template <class T>
  struct Mix {
    T signal, noise;
  };
  template <class T>
  static std::vector<Mix<T>> mixes_of(const Tensor& t, const Tensor& alpha_bar) {
    check_index_range("add_noise: t", t, alpha_bar.dim(0));
    std::vector<Mix<T>> mixes;
    for (const std::int32_t at : t.data<std::int32_t>()) {
      const T A = alpha_bar.data<T>()[static_cast<std::size_t>(at)];
      if (!(A >= 0 && A <= 1))
        fail(ErrorKind::data, "add_noise: alpha_bar of t = {} must lie in [0, 1], but is {}", at, A);
      mixes.push_back({std::sqrt(A), std::sqrt(1 - A)});
    }
    return mixes;
  }
  static RandomSource source(const Attrs& attrs, const Tensor& step) {
    return {attrs.key, draws::step_of(name, step), static_cast<std::uint64_t>(attrs.first_sample)};
  }
};

}  // namespace

std::vector<const RowInfo*> random_rows() {
  return {&row_of<Draw<Uniform>>(), &row_of<Draw<Normal>>(), &row_of<Draw<Gumbel>>(), &row_of<AddNoise>()};
}

namespace ops {
Tensor uniform(const Tensor& step, const RandomAttrs& attrs) {
  return dispatch(row_of<Draw<Uniform>>(), attrs, {step})[0];
}
Tensor normal(const Tensor& step, const RandomAttrs& attrs) {
  return dispatch(row_of<Draw<Normal>>(), attrs, {step})[0];
}
Tensor gumbel(const Tensor& step, const RandomAttrs& attrs) {
  return dispatch(row_of<Draw<Gumbel>>(), attrs, {step})[0];
}
Noised add_noise(const Tensor& x_0, const Tensor& t, const Tensor& alpha_bar, const Tensor& step,
                 const AddNoiseAttrs& attrs) {
  const Tensors outputs = dispatch(row_of<AddNoise>(), attrs, {x_0, t, alpha_bar, step});
  return {outputs[0], outputs[1]};
}
}  // namespace ops

}  // namespace gesso
