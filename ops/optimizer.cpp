#include "ops/optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/chunk_sum.h"
#include "ops/describe.h"
#include "ops/optimizer_simd.h"

namespace gesso {
namespace {

const OptimizerKernels& kernels(Isa isa) {
  return by_isa(isa, optimizer_kernels<simd::Baseline>, optimizer_kernels<simd::Avx2>,
                optimizer_kernels<simd::Avx512>)();
}

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk: 320 KiB of five arenas stay in L2

struct GlobalNorm {
  static constexpr std::string_view name = "global_norm";
  static constexpr std::string_view doc =
      "y[1] = (sum of gradient[P]^2)^(1/2), f32; squares and sum in double, where squares of floats are exact";
  static constexpr std::string_view not_differentiable = "it measures a gradient, for the optimiser alone";
  static constexpr bool mixed_dtypes = true;  // f32 whatever the gradient is
  struct Attrs {};

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    if (!is_floating(in[0].dtype) || in[0].shape.rank() != 1)
      fail("global_norm: the gradient must be a floating arena [P], but is {}", in[0].text());
    return {{{1}, DType::f32}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return 2 * static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 1e-7; }  // rounded once, at the end

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    double sum = 0;
    for (const T g : f.in[0].data<T>()) sum += static_cast<double>(g) * static_cast<double>(g);
    f.out[0].data<float>()[0] = static_cast<float>(std::sqrt(sum));
  }
  static void cpu(const Attrs&, const Forward& f) {
    const float* g = f.in[0].data<float>().data();
    const auto square_sum = kernels(f.run.isa).square_sum;
    const double sum = sum_of_chunks(f.run, f.in[0].count(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      return square_sum(end - begin, g + begin);
    });
    if (f.run.computes()) f.out[0].data<float>()[0] = static_cast<float>(std::sqrt(sum));
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"few", {}, {{{37}}}}, {"one", {}, {{{1}}}}, {"none", {}, {{{0}}}}, {"several chunks", {}, {{{400009}}}}};
  }
  static Case<Attrs> random_case(Random& random) { return {"random", {}, {{{pick(random, 1, 300)}}}}; }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{3, 4}}}, {"global_norm", "arena [P]", "[3,4] f32"}},
            {{}, {{{3}, Domain::index, 4}}, {"global_norm", "floating", "[3] i32"}}};
  }
  static std::vector<Known<Attrs>> known() {
    return {
        {"3, 4, 5", {}, {{{{2}, DType::f32}, {3, -4}}}, {{{{1}, DType::f32}, {5}}}},
        {"a square beyond a float's range", {}, {{{{2}, DType::f32}, {3e30, 4e30}}}, {{{{1}, DType::f32}, {5e30}}}}};
  }
};

// An arena operand, its place among the operands, and what it is called in messages.
struct Arena {
  std::size_t operand;
  std::string_view name;
  bool optional = false;
};

void check_step_operand(std::string_view op, std::string_view name, const Spec& given, DType dtype) {
  if (given != Spec{{1}, dtype}) fail("{}: {} must be [1] {}, but is {}", op, name, name_of(dtype), given.text());
}
void check_range(std::string_view op, std::string_view name, double value, double low, double high) {
  if (!(value >= low && value <= high)) fail("{}: {} must lie in [{}, {}], but is {}", op, name, low, high, value);
}

// What the optimisers ask of their operands alike. The last three are step, learning rate and norm.
template <class Attrs>
void check_operands(std::string_view op, const Attrs& attrs, std::span<const Spec> in, std::span<const Arena> arenas) {
  const Spec& weights = in[0];
  if (!is_floating(weights.dtype) || weights.shape.rank() != 1)
    fail("{}: weights must be a floating arena [P], but are {}", op, weights.text());
  for (const Arena& arena : arenas) {
    const Spec& given = in[arena.operand];
    if (arena.optional && given.dtype == DType::none) continue;
    if (given != weights)
      fail("{}: {} must be like the weights {}, but is {}", op, arena.name, weights.text(), given.text());
  }
  check_step_operand(op, "step", in[in.size() - 3], DType::i64);
  check_step_operand(op, "learning_rate", in[in.size() - 2], DType::f32);
  check_step_operand(op, "norm", in[in.size() - 1], DType::f32);
  if (attrs.decayed < 0 || attrs.decayed > weights.shape.count())
    fail("{}: decayed must lie in [0, {}], the number of weights, but is {}", op, weights.shape.count(), attrs.decayed);
  constexpr double kMost = std::numeric_limits<float>::max();
  check_range(op, "weight_decay", attrs.weight_decay, 0, kMost);
  check_range(op, "clip_norm", attrs.clip_norm, 0, kMost);
  check_range(op, "ema_decay", attrs.ema_decay, 0, 1);
}

// The three numbers that decide a step, and what follows from them.
template <class Attrs>
struct Decision {
  Decision(const Attrs& attrs, std::span<const Tensor> in)
      : step(in[in.size() - 3].template data<std::int64_t>()[0]),
        learning_rate(static_cast<double>(in[in.size() - 2].template data<float>()[0])),
        norm(static_cast<double>(in[in.size() - 1].template data<float>()[0])),
        // torch.nn.utils.clip_grad_norm_: clip / (norm + 1e-6), at most 1.
        gradient(attrs.clip_norm > 0 ? std::min(1.0, attrs.clip_norm / (norm + 1e-6)) : 1.0),
        ema_decay(attrs.ema_warmup ? std::min(attrs.ema_decay, (1.0 + n()) / (10.0 + n())) : attrs.ema_decay) {}
  bool updates() const { return std::isfinite(norm); }
  double n() const { return static_cast<double>(step); }

  std::int64_t step;
  double learning_rate, norm, gradient, ema_decay;
};

template <class T>
T* arena(const Tensor& t) {
  return t ? t.data<T>().data() : nullptr;
}
float* offset(float* arena, std::int64_t begin) { return arena ? arena + begin : nullptr; }

// body(begin, end, decays) in chunks, those that decay apart from the others.
template <class Body>
void for_each_chunk(const Execution& run, std::int64_t size, std::int64_t decayed, Body&& body) {
  parallel_for(run.pool, size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t middle = std::clamp(decayed, begin, end);
    if (begin < middle) body(begin, middle, true);
    if (middle < end) body(middle, end, false);
  });
}

// Operands of a sample: `arenas` of them of size [P], then step, learning rate and norm.
std::vector<Operand> operands_of(std::int64_t size, std::span<const Domain> arenas) {
  std::vector<Operand> all;
  for (const Domain domain : arenas) all.push_back({{size}, domain});
  all.push_back({{1}, Domain::counter, 1000});
  all.push_back({{1}, Domain::positive, 0, DType::f32});
  all.push_back({{1}, Domain::positive, 0, DType::f32});
  return all;
}

// Operands or results by hand: one weight each, f32, but for the step.
std::vector<Values> scalars(std::initializer_list<double> values) {
  std::vector<Values> all;
  for (const double value : values) all.push_back({{{1}, DType::f32}, {value}});
  return all;
}

struct Adamw {
  static constexpr std::string_view name = "adamw";
  static constexpr std::string_view doc =
      "in place, with t = step + 1: g = gradient min(1, clip / (norm + 1e-6)); m = beta1 m + (1 - beta1) g; v = "
      "beta2 v + (1 - beta2) g^2; w = w (1 - rate decay) - rate m / (1 - beta1^t) / ((v / (1 - beta2^t))^(1/2) + "
      "eps); ema = d ema + (1 - d) w; not decoupled: g += decay w instead; nothing where norm is not finite "
      "(Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2)";
  static constexpr std::string_view not_differentiable = "it is what gradients are for";
  static constexpr Operands in_place = operands(0, 2, 3, 4);
  static constexpr bool mixed_dtypes = true;  // learning rate and norm are f32 whatever the arenas are
  using Attrs = ops::AdamwAttrs;

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    check_operands(name, attrs, in, kArenas);
    check_range(name, "beta1", attrs.beta1, 0, kBelowOne);
    check_range(name, "beta2", attrs.beta2, 0, kBelowOne);
    check_range(name, "eps", attrs.eps, 0, 1);
    return {};
  }
  static double flops(const Attrs&, std::span<const Spec> in) {
    return (in[4].dtype == DType::none ? 15 : 18) * static_cast<double>(in[0].shape.count());
  }
  static double bytes(const Attrs&, std::span<const Spec> in) {
    return static_cast<double>(in[0].bytes()) * (in[4].dtype == DType::none ? 7 : 9);  // all but the gradient twice
  }
  // Some ten roundings a weight; factors come from double.
  static double tolerance(const Attrs&, std::span<const Spec>) { return 1e-6; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const Decision by(attrs, f.in);
    if (!by.updates()) return;
    T *w = arena<T>(f.in[0]), *m = arena<T>(f.in[2]), *v = arena<T>(f.in[3]), *ema = arena<T>(f.in[4]);
    const T* gradient = arena<T>(f.in[1]);
    const double t = by.n() + 1, rate = by.learning_rate;
    for (std::int64_t i = 0; i < f.in[0].count(); ++i) {
      const double decay = i < attrs.decayed ? attrs.weight_decay : 0, weight = static_cast<double>(w[i]);
      const double g = static_cast<double>(gradient[i]) * by.gradient + (attrs.decoupled ? 0 : decay * weight);
      const double first = attrs.beta1 * static_cast<double>(m[i]) + (1 - attrs.beta1) * g;
      const double second = attrs.beta2 * static_cast<double>(v[i]) + (1 - attrs.beta2) * g * g;
      const double first_unbiased = first / (1 - std::pow(attrs.beta1, t));
      const double second_unbiased = second / (1 - std::pow(attrs.beta2, t));
      const double moved = weight * (attrs.decoupled ? 1 - rate * decay : 1) -
                           rate * first_unbiased / (std::sqrt(second_unbiased) + attrs.eps);
      m[i] = static_cast<T>(first);
      v[i] = static_cast<T>(second);
      w[i] = static_cast<T>(moved);
      if (ema) ema[i] = static_cast<T>(by.ema_decay * static_cast<double>(ema[i]) + (1 - by.ema_decay) * moved);
    }
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    if (!f.run.computes()) return;
    const Decision by(attrs, f.in);
    if (!by.updates()) return;
    const AdamwFactors undecayed = factors(attrs, by, 0), decayed = factors(attrs, by, attrs.weight_decay);
    float *w = arena<float>(f.in[0]), *m = arena<float>(f.in[2]), *v = arena<float>(f.in[3]);
    float *ema = arena<float>(f.in[4]), *gradient = arena<float>(f.in[1]);
    for_each_chunk(f.run, f.in[0].count(), attrs.decayed, [&](std::int64_t begin, std::int64_t end, bool decays) {
      kernels(f.run.isa).adamw(end - begin, decays ? decayed : undecayed, gradient + begin, w + begin, m + begin,
                               v + begin, offset(ema, begin));
    });
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"plain", {}, operands_of(37, kNoEma)},
            {"with ema", {.ema_decay = 0.9}, operands_of(19, kAll)},
            {"ema warming up", {.ema_warmup = true}, operands_of(19, kAll)},
            {"decay of the first", {.weight_decay = 0.1, .decayed = 21}, operands_of(37, kNoEma)},
            {"L2", {.weight_decay = 0.1, .decayed = 21, .decoupled = false}, operands_of(37, kNoEma)},
            {"clipped", {.clip_norm = 0.05}, operands_of(17, kNoEma)},
            {"other betas", {.beta1 = 0, .beta2 = 0.99, .eps = 1e-3}, operands_of(5, kAll)},
            {"one weight", {.weight_decay = 0.1, .decayed = 1}, operands_of(1, kAll)},
            {"none", {}, operands_of(0, kAll)},
            {"several chunks",
             {.weight_decay = 0.1, .decayed = 20011, .clip_norm = 1, .ema_decay = 0.9},
             operands_of(50003, kAll)}};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {{"[1000000]", {.weight_decay = 0.1, .decayed = 900000, .clip_norm = 1}, operands_of(1000000, kAll)}};
  }
  static Case<Attrs> random_case(Random& random) {
    const std::int64_t size = pick(random, 1, 300);
    Attrs attrs{.weight_decay = 0.01, .decayed = pick(random, 0, size), .decoupled = pick(random, 0, 1) == 1};
    attrs.clip_norm = static_cast<double>(pick(random, 0, 2));
    attrs.ema_decay = 0.5;
    return {"random", attrs, operands_of(size, pick(random, 0, 1) == 1 ? kAll : kNoEma)};
  }
  static std::vector<Reject<Attrs>> rejects() {
    std::vector<Operand> short_v = operands_of(5, kAll), step = operands_of(5, kAll);
    short_v[3].shape = {4};
    step[5] = {{1}, Domain::index, 9};
    return {{{}, short_v, {"adamw: v must be like the weights [5] f32", "[4] f32"}},
            {{}, step, {"step must be [1] i64", "[1] i32"}},
            {{.decayed = 6}, operands_of(5, kAll), {"decayed", "[0, 5]", "6"}},
            {{.beta1 = 1}, operands_of(5, kAll), {"beta1", "but is 1"}},
            {{.clip_norm = -1}, operands_of(5, kAll), {"clip_norm", "-1"}},
            {{.ema_decay = 2}, operands_of(5, kAll), {"ema_decay", "[0, 1]", "2"}}};
  }
  // At the first step m / (1 - beta1) is g and v / (1 - beta2) is g^2, so that the weight moves by the learning rate.
  static std::vector<Known<Attrs>> known() {
    constexpr double kHalf = 0.5;
    return {
        {"first step", {.ema_decay = kHalf}, by_hand(1, 0.5, 0, 0, 0.5), scalars({0.9, 0.05, 0.00025, 0.95})},
        {"ema at its first warm-up step",
         {.ema_warmup = true},
         by_hand(1, 0.5, 0, 0, 0.5),
         scalars({0.9, 0.05, 0.00025, 0.91})},
        {"decay",
         {.weight_decay = 0.1, .decayed = 1, .ema_decay = kHalf},
         by_hand(1, 0.5, 0, 0, 0.5),
         scalars({0.89, 0.05, 0.00025, 0.945})},
        {"L2",
         {.weight_decay = 0.1, .decayed = 1, .decoupled = false, .ema_decay = kHalf},
         by_hand(1, 0.5, 0, 0, 0.5),
         scalars({0.9, 0.06, 0.00036, 0.95})},
        {"clipped to a tenth",
         {.clip_norm = 1, .ema_decay = kHalf},
         by_hand(1, 5, 0, 0, 10),
         scalars({0.9, 0.05, 0.00025, 0.95})},
        {"eps outside the root, after the correction",
         {.eps = 0.5, .ema_decay = kHalf},
         by_hand(1, 0.5, 0, 0, 0.5),
         scalars({0.95, 0.05, 0.00025, 0.975})},
        {"norm infinite", {.weight_decay = 0.1, .decayed = 1}, by_hand(2, 0.5, 3, 4, INFINITY), scalars({2, 3, 4, 1})},
        {"norm not a number", {}, by_hand(2, 0.5, 3, 4, NAN), scalars({2, 3, 4, 1})}};
  }

 private:
  static constexpr Arena kArenas[] = {{1, "gradient"}, {2, "m"}, {3, "v"}, {4, "ema", true}};
  static constexpr double kBelowOne = 1 - 1e-9;
  static constexpr Domain kAll[] = {Domain::normal, Domain::normal, Domain::normal, Domain::positive, Domain::normal};
  static constexpr Domain kNoEma[] = {Domain::normal, Domain::normal, Domain::normal, Domain::positive, Domain::absent};

  // At step 0, with a learning rate of a tenth and an ema that begins at 1.
  static std::vector<Values> by_hand(double w, double g, double m, double v, double norm) {
    std::vector<Values> in = scalars({w, g, m, v, 1, 0, 0.1, norm});
    in[5].spec.dtype = DType::i64;
    return in;
  }
  static AdamwFactors factors(const Attrs& attrs, const Decision<Attrs>& by, double decay) {
    const double t = by.n() + 1, rate = by.learning_rate;
    const auto f = [](double value) { return static_cast<float>(value); };
    return {.gradient = f(by.gradient),
            .l2 = f(attrs.decoupled ? 0 : decay),
            .shrink = f(attrs.decoupled ? 1 - rate * decay : 1),
            .beta1 = f(attrs.beta1),
            .beta2 = f(attrs.beta2),
            .eps = f(attrs.eps),
            .m_share = f(1 - attrs.beta1),
            .v_share = f(1 - attrs.beta2),
            .rate = f(rate / (1 - std::pow(attrs.beta1, t))),
            .root = f(1 / std::sqrt(1 - std::pow(attrs.beta2, t))),
            .ema_share = f(1 - by.ema_decay)};
  }
};

struct Sgd {
  static constexpr std::string_view name = "sgd";
  static constexpr std::string_view doc =
      "in place: g = gradient min(1, clip / (norm + 1e-6)) + decay w; velocity = momentum velocity + g; w = w - "
      "rate velocity; ema = d ema + (1 - d) w; without velocity w = w - rate g; nothing where norm is not finite "
      "(Polyak 1964, as in Sutskever et al. 2013 with the rate outside of the velocity)";
  static constexpr std::string_view not_differentiable = "it is what gradients are for";
  static constexpr Operands in_place = operands(0, 2, 3);
  static constexpr bool mixed_dtypes = true;  // learning rate and norm are f32 whatever the arenas are
  using Attrs = ops::SgdAttrs;

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    check_operands(name, attrs, in, kArenas);
    check_range(name, "momentum", attrs.momentum, 0, 1);
    if ((attrs.momentum > 0) != (in[2].dtype != DType::none))
      fail("sgd: momentum {} goes with {} velocity, but it is {}", attrs.momentum, attrs.momentum > 0 ? "a" : "no",
           in[2].text());
    return {};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return 7 * static_cast<double>(in[0].shape.count()); }
  static double bytes(const Attrs&, std::span<const Spec> in) {
    const int kept = (in[2].dtype != DType::none) + (in[3].dtype != DType::none);
    return static_cast<double>(in[0].bytes()) * (3 + 2 * kept);  // all but the gradient twice
  }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 1e-6; }  // a few roundings a weight

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const Decision by(attrs, f.in);
    if (!by.updates()) return;
    T *w = arena<T>(f.in[0]), *velocity = arena<T>(f.in[2]), *ema = arena<T>(f.in[3]);
    const T* gradient = arena<T>(f.in[1]);
    for (std::int64_t i = 0; i < f.in[0].count(); ++i) {
      const double weight = static_cast<double>(w[i]);
      double g = static_cast<double>(gradient[i]) * by.gradient + (i < attrs.decayed ? attrs.weight_decay : 0) * weight;
      if (velocity) {
        g += attrs.momentum * static_cast<double>(velocity[i]);
        velocity[i] = static_cast<T>(g);
      }
      const double moved = weight - by.learning_rate * g;
      w[i] = static_cast<T>(moved);
      if (ema) ema[i] = static_cast<T>(by.ema_decay * static_cast<double>(ema[i]) + (1 - by.ema_decay) * moved);
    }
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    if (!f.run.computes()) return;
    const Decision by(attrs, f.in);
    if (!by.updates()) return;
    SgdFactors undecayed{.gradient = static_cast<float>(by.gradient),
                         .l2 = 0,
                         .momentum = static_cast<float>(attrs.momentum),
                         .rate = static_cast<float>(by.learning_rate),
                         .ema_share = static_cast<float>(1 - by.ema_decay)};
    SgdFactors decayed = undecayed;
    decayed.l2 = static_cast<float>(attrs.weight_decay);
    float *w = arena<float>(f.in[0]), *gradient = arena<float>(f.in[1]), *velocity = arena<float>(f.in[2]);
    float* ema = arena<float>(f.in[3]);
    for_each_chunk(f.run, f.in[0].count(), attrs.decayed, [&](std::int64_t begin, std::int64_t end, bool decays) {
      kernels(f.run.isa).sgd(end - begin, decays ? decayed : undecayed, gradient + begin, w + begin,
                             offset(velocity, begin), offset(ema, begin));
    });
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"momentum and ema", {.momentum = 0.9, .ema_decay = 0.9}, operands_of(19, kAll)},
            {"plain", {}, operands_of(37, kWeightsOnly)},
            {"decay of the first", {.weight_decay = 0.1, .decayed = 21}, operands_of(37, kWeightsOnly)},
            {"clipped", {.momentum = 0.5, .clip_norm = 0.05, .ema_warmup = true}, operands_of(17, kAll)},
            {"one weight", {.momentum = 0.5}, operands_of(1, kAll)},
            {"none", {.momentum = 0.5}, operands_of(0, kAll)},
            {"several chunks",
             {.momentum = 0.9, .weight_decay = 0.1, .decayed = 20011, .ema_decay = 0.9},
             operands_of(50003, kAll)}};
  }
  static Case<Attrs> random_case(Random& random) {
    const std::int64_t size = pick(random, 1, 300), with_all = pick(random, 0, 1);
    return {"random",
            {.momentum = with_all ? 0.9 : 0, .weight_decay = 0.01, .decayed = pick(random, 0, size), .ema_decay = 0.5},
            operands_of(size, with_all ? kAll : kWeightsOnly)};
  }
  static std::vector<Reject<Attrs>> rejects() {
    std::vector<Operand> short_velocity = operands_of(5, kAll);
    short_velocity[2].shape = {4};
    return {{{.momentum = 0.9}, short_velocity, {"sgd: velocity must be like the weights [5] f32", "[4] f32"}},
            {{.momentum = 0.9}, operands_of(5, kWeightsOnly), {"momentum 0.9 goes with a velocity", "absent"}},
            {{.momentum = 0}, operands_of(5, kAll), {"momentum 0 goes with no velocity", "[5] f32"}},
            {{.momentum = 2}, operands_of(5, kAll), {"momentum must lie in [0, 1]", "2"}}};
  }
  static std::vector<Known<Attrs>> known() {
    return {{"momentum", {.momentum = 0.5, .ema_decay = 0.5}, by_hand(0.5, 1), scalars({0.9, 1, 0.95})},
            {"decay, clipped to a half",
             {.momentum = 0.5, .weight_decay = 1, .decayed = 1, .clip_norm = 1, .ema_decay = 0.5},
             by_hand(0.5, 2),
             scalars({0.825, 1.75, 0.9125})},
            {"a norm below the limit",
             {.momentum = 0.5, .clip_norm = 1, .ema_decay = 0.5},
             by_hand(0.5, 0.6),
             scalars({0.9, 1, 0.95})},
            {"norm infinite", {.momentum = 0.5}, by_hand(0.5, INFINITY), scalars({1, 1, 1})}};
  }

 private:
  static constexpr Arena kArenas[] = {{1, "gradient"}, {2, "velocity", true}, {3, "ema", true}};
  static constexpr Domain kAll[] = {Domain::normal, Domain::normal, Domain::normal, Domain::normal};
  static constexpr Domain kWeightsOnly[] = {Domain::normal, Domain::normal, Domain::absent, Domain::absent};

  // Weight, velocity and ema begin at 1; step 0, a learning rate of a tenth.
  static std::vector<Values> by_hand(double g, double norm) {
    std::vector<Values> in = scalars({1, g, 1, 1, 0, 0.1, norm});
    in[4].spec.dtype = DType::i64;
    return in;
  }
};

}  // namespace

std::vector<const RowInfo*> optimizer_rows() { return {&row_of<GlobalNorm>(), &row_of<Adamw>(), &row_of<Sgd>()}; }

namespace ops {
Tensor global_norm(const Tensor& gradient) {
  return dispatch(row_of<GlobalNorm>(), GlobalNorm::Attrs{}, {gradient})[0];
}
void adamw(const AdamState& state, const Tensor& gradient, const StepInputs& inputs, const AdamwAttrs& attrs) {
  dispatch(row_of<Adamw>(), attrs,
           {state.weights, gradient, state.m, state.v, state.ema, inputs.step, inputs.learning_rate, inputs.norm});
}
void sgd(const SgdState& state, const Tensor& gradient, const StepInputs& inputs, const SgdAttrs& attrs) {
  dispatch(row_of<Sgd>(), attrs,
           {state.weights, gradient, state.velocity, state.ema, inputs.step, inputs.learning_rate, inputs.norm});
}
}  // namespace ops

}  // namespace gesso
