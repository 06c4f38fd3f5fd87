#include "ops/step_gate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/describe.h"

namespace gesso {
namespace {

using ops::kPassedFate;
using ops::kSkippedFate;
using ops::StepVerdict;

enum Position : std::size_t { kRecent, kGate, kReport, kStep, kNorm, kLoss, kSizes };

// The lower one of the two middle ones where their number is even.
template <class T>
T median(std::vector<T> values) {
  const auto middle = values.begin() + (std::ssize(values) - 1) / 2;
  std::ranges::nth_element(values, middle);
  return *middle;
}

// Above which one is a spike.
template <class T>
T limit(std::span<const T> before, T deviations) {
  const T middle = median(std::vector<T>(before.begin(), before.end()));
  std::vector<T> distances;
  for (const T value : before) distances.push_back(std::abs(value - middle));
  return middle + deviations * std::max(T(1.4826) * median(distances), std::abs(middle) / 20);
}

// The steps before this one.
template <class T>
struct Recent {
  Recent(const Tensor& recent, std::int64_t step)
      : window(static_cast<std::size_t>(recent.dim(1))),
        column(static_cast<std::size_t>(step) % window),
        losses(recent.data<T>().first(window)),
        norms(recent.data<T>().subspan(window, window)),
        fates(recent.data<T>().subspan(2 * window)) {}

  // What is not finite is none of a step's.
  std::size_t known() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < window; ++i)
      count += fates[i] > 0 && std::isfinite(losses[i]) && std::isfinite(norms[i]);
    return count;
  }
  std::int64_t skipped_in_row() const {
    std::int64_t count = 0;
    for (std::size_t i = 1; i < window && fates[(column + window - i) % window] >= kSkippedFate; ++i) ++count;
    return count;
  }
  std::int64_t skipped() const {  // among the last W - 1
    std::int64_t count = 0;
    for (std::size_t i = 0; i < window; ++i) count += i != column && fates[i] >= kSkippedFate;
    return count;
  }

  std::size_t window, column;
  std::span<T> losses, norms, fates;
};

struct StepGate {
  static constexpr std::string_view name = "step_gate";
  static constexpr std::string_view doc =
      "in place, for losses, gradient norms and fates of the last W steps in recent[3,W] (step s in column s mod W; "
      "fate 0 empty, 1 passed, 2 skipped), gate[1] and report[4] (verdict, steps known, limits of loss and norm): a "
      "limit is median + deviations max(1.4826 MAD, |median| / 20) of a row once it is full; gate = norm where the "
      "step may change anything, else infinite; what is not finite, and a spike beyond most_in_row or "
      "most_in_window skipped ones, closes it for good. loss[1] and sizes[1] may be absent";
  static constexpr std::string_view not_differentiable = "it decides what becomes of a step, after backward";
  static constexpr Operands in_place = operands(kRecent, kGate, kReport);
  using Attrs = ops::StepGateAttrs;

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec& recent = in[kRecent];
    if (!is_floating(recent.dtype) || recent.shape.rank() != 2 || recent.shape[0] != 3 || recent.shape[1] < 1 ||
        recent.shape[1] > ops::kMostStepsKnown)
      fail("step_gate: recent must be [3,W] f32 with W from 1 to {}, but is {}", ops::kMostStepsKnown, recent.text());
    const auto expect = [&](Position at, std::string_view what, std::int64_t count, bool optional = false) {
      if (optional && in[at].dtype == DType::none) return;
      const Spec wanted{{count}, recent.dtype};
      if (in[at] != wanted) fail("step_gate: {} must be {}, but is {}", what, wanted.text(), in[at].text());
    };
    expect(kGate, "gate", 1);
    expect(kReport, "report", 4);
    expect(kNorm, "norm", 1);
    expect(kLoss, "loss", 1, true);
    expect(kSizes, "sizes", 1, true);
    if (in[kStep] != Spec{{1}, DType::i64}) fail("step_gate: step must be [1] i64, but is {}", in[kStep].text());
    if (!(attrs.deviations > 0 && attrs.deviations <= std::numeric_limits<float>::max()))
      fail("step_gate: deviations must be positive and finite, but is {}", attrs.deviations);
    if (attrs.most_in_row < 0 || attrs.most_in_window < 0)
      fail("step_gate: most_in_row and most_in_window must not be negative, but are {} and {}", attrs.most_in_row,
           attrs.most_in_window);
    return {};
  }
  // As if each value were compared with each other, of values and of distances.
  static double flops(const Attrs&, std::span<const Spec> in) {
    const auto window = static_cast<double>(in[kRecent].shape[1]);
    return 4 * window * window;
  }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 1e-6; }  // a limit is four roundings

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    decide<T>(attrs, f, [](std::span<const T> losses, std::span<const T> norms, T deviations, std::span<T> limits) {
      limits[0] = limit(losses, deviations);
      limits[1] = limit(norms, deviations);
    });
  }
  static void cpu(const Attrs& attrs, const Forward& f) {
    if (!f.run.computes()) return;
    constexpr std::int64_t kGrain = 512;  // values: the usual window is not worth waking a thread
    const auto limits_of = [&](std::span<const float> losses, std::span<const float> norms, float deviations,
                               std::span<float> limits) {
      parallel_for(f.run.pool, 2, std::max<std::int64_t>(1, kGrain / std::ssize(losses)),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t i = begin; i < end; ++i)
                       limits[static_cast<std::size_t>(i)] = limit(i == 0 ? losses : norms, deviations);
                   });
    };
    decide<float>(attrs, f, limits_of);
  }

  template <class T, class LimitsOf>
  static void decide(const Attrs& attrs, const Forward& f, LimitsOf&& limits_of) {
    const auto report = f.in[kReport].data<T>();
    T& gate = f.in[kGate].data<T>()[0];
    gate = std::numeric_limits<T>::infinity();
    if (report[0] >= static_cast<T>(StepVerdict::too_many)) return;
    const Recent<T> recent(f.in[kRecent], f.in[kStep].data<std::int64_t>()[0]);
    const T norm = f.in[kNorm].data<T>()[0], loss = f.in[kLoss] ? f.in[kLoss].data<T>()[0] : T{};
    const T sizes = f.in[kSizes] ? f.in[kSizes].data<T>()[0] : T{};
    const std::size_t known = recent.known();
    report[1] = static_cast<T>(known);
    report[2] = report[3] = 0;
    const bool judges = known == recent.window;
    if (judges) limits_of(recent.losses, recent.norms, static_cast<T>(attrs.deviations), report.subspan(2));
    const bool is_finite = std::isfinite(norm) && std::isfinite(loss) && std::isfinite(sizes);
    const StepVerdict verdict = !is_finite                                            ? StepVerdict::not_finite
                                : !(judges && (loss > report[2] || norm > report[3])) ? StepVerdict::passed
                                                                                      : of_spike(attrs, recent);
    report[0] = static_cast<T>(verdict);
    if (ops::stops(verdict)) return;
    recent.losses[recent.column] = loss;
    recent.norms[recent.column] = norm;
    recent.fates[recent.column] = static_cast<T>(verdict == StepVerdict::skipped ? kSkippedFate : kPassedFate);
    if (verdict != StepVerdict::skipped) gate = norm;
  }
  template <class T>
  static StepVerdict of_spike(const Attrs& attrs, const Recent<T>& recent) {
    if (!attrs.skips) return StepVerdict::spike;
    const bool one_more = recent.skipped_in_row() < attrs.most_in_row && recent.skipped() < attrs.most_in_window;
    return one_more ? StepVerdict::skipped : StepVerdict::too_many;
  }

  static std::vector<Operand> operands_of(std::int64_t window, bool all) {
    const Domain optional = all ? Domain::positive : Domain::absent;
    return {{{3, window}, Domain::positive}, {{1}},           {{4}, Domain::unit}, {{1}, Domain::counter, 5000},
            {{1}, Domain::positive},         {{1}, optional}, {{1}, optional}};
  }
  static std::vector<Case<Attrs>> samples() {
    return {{"as in training", {}, operands_of(128, true)},
            {"most are spikes", {.deviations = 1e-3, .skips = false}, operands_of(128, true)},
            {"skipped", {.deviations = 1e-3, .most_in_row = 200, .most_in_window = 200}, operands_of(128, true)},
            {"norm alone", {}, operands_of(7, false)},
            {"one step", {.deviations = 1e-3, .most_in_row = 1, .most_in_window = 1}, operands_of(1, true)},
            {"as long as may be",
             {.deviations = 0.5, .most_in_row = 1000, .most_in_window = 1000},
             operands_of(ops::kMostStepsKnown, true)}};
  }
  static Case<Attrs> random_case(Random& random) {
    const std::int64_t window = pick(random, 1, 300);
    return {"random",
            {.deviations = 1e-2 * static_cast<double>(pick(random, 1, 200)),
             .skips = pick(random, 0, 1) == 1,
             .most_in_row = pick(random, 0, 4),
             .most_in_window = pick(random, 0, window)},
            operands_of(window, pick(random, 0, 1) == 1)};
  }
  static std::vector<Reject<Attrs>> rejects() {
    const auto with = [](Position at, const Operand& operand) {
      std::vector<Operand> all = operands_of(5, true);
      all[at] = operand;
      return all;
    };
    return {{{}, with(kRecent, {{2, 5}}), {"recent must be [3,W]", "[2,5] f32"}},
            {{}, with(kRecent, {{3, 0}}), {"W from 1 to 1024", "[3,0] f32"}},
            {{}, with(kGate, {{2}}), {"gate must be [1]", "[2] f32"}},
            {{}, with(kReport, {{3}}), {"report must be [4]", "[3] f32"}},
            {{}, with(kNorm, {{}, Domain::absent}), {"norm must be [1]"}},
            {{}, with(kLoss, {{3}}), {"loss must be [1]", "[3] f32"}},
            {{}, with(kStep, {{1}}), {"step must be [1] i64", "[1] f32"}},
            {{.deviations = 0}, operands_of(5, true), {"deviations must be positive", "0"}},
            {{.most_in_row = -1}, operands_of(5, true), {"must not be negative", "-1"}}};
  }

  // Losses 3, 1, 2 and norms of 2: limits for two deviations are 2 + 2 * 1.4826 and 2 + 2 * 2 / 20. Step 4 stands in
  // column 1.
  static Known<Attrs> by_hand(std::string name, const Attrs& attrs, std::vector<double> fates, double norm, double loss,
                              std::vector<double> recent, double gate, std::vector<double> report) {
    const auto of = [](const Shape& shape, std::vector<double> values) {
      return Values{{shape, DType::f32}, std::move(values)};
    };
    std::vector<double> before = {3, 1, 2, 2, 2, 2};
    before.insert(before.end(), fates.begin(), fates.end());
    if (recent.empty()) recent = before;
    return {std::move(name),
            attrs,
            {of({3, 3}, before),
             of({1}, {5}),
             of({4}, {1, 9, 9, 9}),
             {{{1}, DType::i64}, {4}},
             of({1}, {norm}),
             of({1}, {loss}),
             of({1}, {7})},
            {of({3, 3}, recent), of({1}, {gate}), of({4}, std::move(report))}};
  }
  static std::vector<Known<Attrs>> known() {
    constexpr double kInfinity = std::numeric_limits<double>::infinity(), kLoss = 4.9652, kNorm = 2.2;
    const Attrs skips{.deviations = 2, .most_in_row = 1, .most_in_window = 1};
    const Attrs logs{.deviations = 2, .skips = false};
    std::vector<Known<Attrs>> all = {
        by_hand("no spike", skips, {1, 1, 1}, 2.1, 4.9, {3, 4.9, 2, 2, 2.1, 2, 1, 1, 1}, 2.1, {0, 3, kLoss, kNorm}),
        by_hand("a loss let through", logs, {1, 1, 1}, 2.1, 5, {3, 5, 2, 2, 2.1, 2, 1, 1, 1}, 2.1,
                {1, 3, kLoss, kNorm}),
        by_hand("a norm skipped", skips, {1, 2, 1}, 2.3, 1, {3, 1, 2, 2, 2.3, 2, 1, 2, 1}, kInfinity,
                {2, 3, kLoss, kNorm}),
        by_hand("one too many in a row", skips, {2, 1, 1}, 1, 5, {}, kInfinity, {3, 3, kLoss, kNorm}),
        by_hand("one too many of three", {.deviations = 2, .most_in_row = 9, .most_in_window = 1}, {1, 1, 2}, 1, 5, {},
                kInfinity, {3, 3, kLoss, kNorm}),
        by_hand("not full yet", skips, {1, 0, 1}, 99, 99, {3, 99, 2, 2, 99, 2, 1, 1, 1}, 99, {0, 2, 0, 0}),
        by_hand("an infinite norm", logs, {1, 1, 1}, kInfinity, 1, {}, kInfinity, {4, 3, kLoss, kNorm}),
        by_hand("no number for a loss", logs, {1, 1, 1}, 1, std::nan(""), {}, kInfinity, {4, 3, kLoss, kNorm}),
        by_hand("statistics not finite", logs, {1, 1, 1}, 1, 1, {}, kInfinity, {4, 3, kLoss, kNorm}),
        by_hand("closed for good", skips, {1, 1, 1}, 1, 1, {}, kInfinity, {3, 9, 9, 9})};
    all[8].in[kSizes].values = {kInfinity};
    all[9].in[kReport].values[0] = 3;
    return all;
  }
};

}  // namespace

std::vector<const RowInfo*> step_gate_rows() { return {&row_of<StepGate>()}; }

namespace ops {

void step_gate(const StepGateState& state, const Tensor& step, const Tensor& norm, const Tensor& loss,
               const Tensor& sizes, const StepGateAttrs& attrs) {
  dispatch(row_of<StepGate>(), attrs, {state.recent, state.gate, state.report, step, norm, loss, sizes});
}

}  // namespace ops
}  // namespace gesso
