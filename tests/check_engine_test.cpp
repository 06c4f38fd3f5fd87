// The check engine itself: honest rows of each kind pass, and each kind of broken row is reported by the check that
// answers for it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <string>

#include "ops/check/checks.h"
#include "ops/check/mutate.h"
#include "ops/unary.h"
#include "tests/check_rows.h"
#include "tests/support.h"

namespace gesso {
namespace {

using check_rows::ArgMax;
using check_rows::Cubes;
using check_rows::Descend;
using check_rows::Round;
namespace kind = check::kind;

check::Options options() { return {.seed = test_seed(), .random_cases = 3}; }

check::Report checked(const RowInfo& row) {
  check::Pools pools;
  return check::check_row(row, options(), pools);
}
// The row's checks of this kind report something, and say what.
template <class R>
void expect_reported(std::string_view by, const std::string& words = {}) {
  const check::Report report = checked(describe<R>());
  const auto found = report.by_kind.find(by);
  CAPTURE(by);
  REQUIRE(found != report.by_kind.end());
  CHECK(found->second.failed > 0);
  CHECK(std::ranges::any_of(report.failures,
                            [&](const std::string& text) { return text.find(words) != std::string::npos; }));
}
template <class R>
void expect_clean() {
  const check::Report report = checked(describe<R>());
  CHECK(report.failed == 0);
  for (const std::string& failure : report.failures) MESSAGE(failure);
  check::Pools pools;
  const check::MutationReport mutated = check::mutate_row(describe<R>(), options(), pools);
  CHECK(mutated.caught == mutated.planted);
  for (const std::string& missed : mutated.missed) MESSAGE(missed);
}

struct WrongFactor : Cubes {
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    Cubes::reference_backward<T>(attrs, b);
    if (b.dx[0])
      for (T& v : b.dx[0].data<T>()) v /= 2;
  }
};
struct WrongWhereUnused : Cubes {
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    Cubes::reference_backward<T>(attrs, b);
    if (b.dx[1] && !b.dy[1]) std::ranges::fill(b.dx[1].data<T>(), T{1});
  }
};
struct WrongTogether : Cubes {
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    Cubes::cpu_backward(attrs, b);
    if (b.dx[0] && b.dx[1]) std::ranges::fill(b.dx[1].data<float>(), 0.0f);
  }
};
struct WrongAlone : Cubes {
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    Cubes::cpu_backward(attrs, b);
    if (!b.dx[0]) std::ranges::fill(b.dx[1].data<float>(), 0.0f);
  }
};
struct MaskIgnored : Cubes {
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    Cubes::cpu_backward(attrs, b);
    b.dx[1] = Tensor::zeros({{1}, DType::f32}, b.run.device);
  }
};
struct SavedOperandForgotten : Cubes {
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
};
struct TailCut : Cubes {
  static void cpu(const Attrs& attrs, const Forward& f) {
    Cubes::cpu(attrs, f);
    if (f.out[0].count() > 0) f.out[0].data<float>().back() = 0;
  }
};
struct ElementUnwritten : Cubes {
  static void cpu(const Attrs& attrs, const Forward& f) {
    const std::vector<float> before = f.out[0].to_host<float>();
    Cubes::cpu(attrs, f);
    if (!before.empty()) f.out[0].data<float>()[before.size() / 2] = before[before.size() / 2];
  }
};
struct PastTheEnd : Cubes {
  static void cpu(const Attrs& attrs, const Forward& f) {
    Cubes::cpu(attrs, f);
    f.out[0].data<float>().data()[f.out[0].count()] = 0;
  }
};
struct BeforeTheBegin : Cubes {
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    Cubes::cpu_backward(attrs, b);
    if (b.dx[0]) b.dx[0].data<float>().data()[-1] = 0;
  }
};
struct InputChanged : Cubes {
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    Cubes::cpu_backward(attrs, b);
    if (b.dy[0] && b.dy[0].count() > 0) b.dy[0].data<float>()[0] += 1;
  }
};
struct ResultReplaced : Cubes {
  static void cpu(const Attrs& attrs, const Forward& f) {
    f.out[1] = Tensor(f.out[1].spec(), f.run.device);
    Cubes::cpu(attrs, f);
  }
};
struct ChunksByThreads : Cubes {
  static void cpu(const Attrs& attrs, const Forward& f) {
    Cubes::cpu(attrs, f);
    f.out[1].data<float>()[0] *= 1 + 1e-7f * static_cast<float>(f.run.pool.threads());
  }
};
// What a sum by worker instead of by chunk does to the last bits, here in each element that the second worker took.
struct RaceDependent : Cubes {
  static void cpu(const Attrs& attrs, const Forward& f) {
    Cubes::cpu(attrs, f);
    const auto y = f.out[0].data<float>();
    f.run.pool.run(static_cast<std::int64_t>(y.size()), [&](std::int64_t i, int worker) {
      y[static_cast<std::size_t>(i)] *= worker == 0 ? 1.0f : 1.0f + 2e-7f;
    });
  }
};
struct Serial : Cubes {
  static std::vector<Case<Attrs>> samples() { return {{"small", {}, {{{5, 3}}, {{3}}}}}; }
  static Case<Attrs> random_case(Random&) { return samples()[0]; }
};
struct AlignmentDependent : Cubes {
  static void cpu(const Attrs& attrs, const Forward& f) {
    Cubes::cpu(attrs, f);
    if (reinterpret_cast<std::uintptr_t>(f.in[0].bytes()) % 16 != 0) f.out[1].data<float>()[0] *= 1 + 2e-7f;
  }
};
struct IsaDependent : Cubes {
  static void cpu(const Attrs& attrs, const Forward& f) {
    Cubes::cpu(attrs, f);
    if (f.run.isa != isa()) f.out[1].data<float>()[0] += 1;
  }
};
struct CallDependent : Cubes {
  static void cpu(const Attrs& attrs, const Forward& f) {
    static std::atomic<int> calls = 0;
    Cubes::cpu(attrs, f);
    f.out[1].data<float>()[0] += 1e-3f * static_cast<float>(++calls);
  }
};
struct WrongInFloat : Cubes {
  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    Cubes::reference<T>(attrs, f);
    if constexpr (std::is_same_v<T, float>) f.out[1].data<T>()[0] += 1;
  }
};
struct WrongRejectText : Cubes {
  static std::vector<Reject<Attrs>> rejects() { return {{{}, {{{5, 3}}, {{4}}}, {"weight must be"}}}; }
};
struct AcceptedReject : Cubes {
  static std::vector<Reject<Attrs>> rejects() { return {{{}, {{{5, 3}}, {{3}}}, {"bias"}}}; }
};
struct GradientNeverHeld : Cubes {
  static std::vector<Case<Attrs>> samples() { return {{"several chunks", {}, {{{1600, 11}}, {{}, Domain::absent}}}}; }
  static Case<Attrs> random_case(Random&) { return {"random", {}, {{{2, 3}}, {{}, Domain::absent}}}; }
};
struct Throwing : Cubes {
  static void cpu(const Attrs&, const Forward&) { throw std::runtime_error("out of luck"); }
};
struct Vague : Cubes {
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0.05; }
};

struct TieToTheHighest : ArgMax {
  static void cpu(const Attrs&, const Forward& f) {
    search<float>(f, [](float a, float b) { return a >= b; });
  }
};
struct TieToTheHighestEverywhere : TieToTheHighest {
  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    search<T>(f, [](T a, T b) { return a >= b; });
  }
};
// Kernel and reference forget the same element: whole numbers have no NaN that would show it.
struct IndexUnwritten : ArgMax {
  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const std::vector<std::int32_t> before = f.out[0].to_host<std::int32_t>();
    ArgMax::reference<T>(attrs, f);
    f.out[0].data<std::int32_t>()[0] = before[0];
  }
  static void cpu(const Attrs& attrs, const Forward& f) { reference<float>(attrs, f); }
};
struct NoReason : ArgMax {
  static constexpr std::string_view not_differentiable = "";
};
struct NothingKnown : ArgMax {
  static std::vector<Known<Attrs>> known() { return {}; }
};
struct UpdateForgotten : Descend {
  static void cpu(const Attrs& attrs, const Forward& f) {
    const std::vector<float> before = f.in[0].to_host<float>();
    Descend::cpu(attrs, f);
    f.in[0].data<float>().back() = before.back();
  }
};
struct WrongSurrogate : Round {
  template <class T>
  static void surrogate(const Attrs&, const Forward& f) {
    std::ranges::transform(f.in[0].data<T>(), f.out[0].data<T>().begin(), [](T x) { return 2 * x; });
  }
};

// y = relu(x)^2, as a fused op with its composition.
struct Fused : Round {
  static constexpr std::string_view name = "fused";
  static constexpr bool mixed_dtypes = false;
  static Operands saved_inputs(const Attrs&, Operands) { return operands(0); }
  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    (void)Round::infer(attrs, in);
    return {in[0]};
  }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 1e-6; }
  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    const auto x = f.in[0].data<T>(), y = f.out[0].data<T>();
    parallel_for(f.run.pool, f.in[0].count(), 1000, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        y[i] = x[i] > 0 ? x[i] * x[i] : T{0};
    });
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    std::ranges::transform(b.in[0].data<T>(), b.dy[0].data<T>(), b.dx[0].data<T>().begin(),
                           [](T x, T dy) { return x > 0 ? 2 * x * dy : T{0}; });
  }
  template <class T>
  static void surrogate(const Attrs& attrs, const Forward& f) {
    reference<T>(attrs, f);
  }
  static void cpu(const Attrs& attrs, const Forward& f) { reference<float>(attrs, f); }
  static void cpu_backward(const Attrs& attrs, const Backward& b) { reference_backward<float>(attrs, b); }
  static Tensors composition(const Attrs&, std::span<const Tensor> in) { return {ops::square(ops::relu(in[0]))}; }
};
// One part in a million, in value and gradient alike: within every tolerance but that of the composition.
struct FusedSlightlyOff : Fused {
  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    Fused::reference<T>(attrs, f);
    for (T& v : f.out[0].data<T>()) v *= static_cast<T>(1.000001);
  }
  template <class T>
  static void surrogate(const Attrs& attrs, const Forward& f) {
    reference<T>(attrs, f);
  }
};

TEST_SUITE("check engine") {
  TEST_CASE("honest rows pass, and every fault planted in them is caught") {
    SUBCASE("two outputs, an optional operand, a sum") { expect_clean<Cubes>(); }
    SUBCASE("indices without a gradient") { expect_clean<ArgMax>(); }
    SUBCASE("an update in place") { expect_clean<Descend>(); }
    SUBCASE("a surrogate and mixed types") { expect_clean<Round>(); }
    SUBCASE("a fused op") { expect_clean<Fused>(); }
  }

  TEST_CASE("a wrong gradient is reported") {
    SUBCASE("by its factor") { expect_reported<WrongFactor>(kind::finite_differences, "gradient of operand 0"); }
    SUBCASE("where an output is unused") { expect_reported<WrongWhereUnused>(kind::finite_differences, "unused"); }
    SUBCASE("where all are wanted") { expect_reported<WrongTogether>(kind::kernel, "gradient of operand 1"); }
    SUBCASE("where one is wanted") { expect_reported<WrongAlone>(kind::kernel, "wanted alone"); }
    SUBCASE("that nobody asked for") { expect_reported<MaskIgnored>(kind::memory, "replaced"); }
    SUBCASE("because an operand was not saved") { expect_reported<SavedOperandForgotten>(kind::error, "absent"); }
    SUBCASE("against a surrogate") { expect_reported<WrongSurrogate>(kind::finite_differences); }
    SUBCASE("that no case tries") { expect_reported<GradientNeverHeld>(kind::declaration, "0b10"); }
  }

  TEST_CASE("a wrong result is reported") {
    SUBCASE("whose tail is cut") { expect_reported<TailCut>(kind::kernel, "output 0"); }
    SUBCASE("with an element not written") { expect_reported<ElementUnwritten>(kind::kernel, "output 0"); }
    SUBCASE("with an index that neither kernel nor reference writes") { expect_reported<IndexUnwritten>(kind::repeat); }
    SUBCASE("whose ties fall the other way") { expect_reported<TieToTheHighest>(kind::kernel); }
    SUBCASE("wrong in kernel and reference") { expect_reported<TieToTheHighestEverywhere>(kind::known, "by hand"); }
    SUBCASE("of the reference in float") { expect_reported<WrongInFloat>(kind::reference, "f32"); }
    SUBCASE("of an update in place") { expect_reported<UpdateForgotten>(kind::kernel, "operand 0"); }
    SUBCASE("of a fused op") { expect_reported<FusedSlightlyOff>(kind::composition); }
    SUBCASE("because a kernel throws") { expect_reported<Throwing>(kind::error, "out of luck"); }
  }

  TEST_CASE("a write where it does not belong is reported") {
    SUBCASE("past the end") { expect_reported<PastTheEnd>(kind::memory, "outside"); }
    SUBCASE("before the begin") { expect_reported<BeforeTheBegin>(kind::memory, "outside"); }
    SUBCASE("into an input") { expect_reported<InputChanged>(kind::memory, "was changed"); }
    SUBCASE("into another tensor than the caller's") { expect_reported<ResultReplaced>(kind::memory, "replaced"); }
  }

  TEST_CASE("a result that depends on circumstances is reported") {
    SUBCASE("on the thread count") { expect_reported<ChunksByThreads>(kind::threads, "other bits"); }
    SUBCASE("on which worker was faster") { expect_reported<RaceDependent>(kind::threads, "other bits"); }
    SUBCASE("on alignment") { expect_reported<AlignmentDependent>(kind::views); }
    SUBCASE("on the call") { expect_reported<CallDependent>(kind::repeat); }
    SUBCASE("on the instruction set") {
      if (supported_isas().size() > 1) expect_reported<IsaDependent>(kind::isa);
    }
  }

  TEST_CASE("a row that never runs on two workers is reported") {
    expect_reported<Serial>(kind::threads, "more than one chunk");
  }

  TEST_CASE("a row that does not keep its word is reported") {
    SUBCASE("on the text of a refusal") { expect_reported<WrongRejectText>(kind::rejects, "weight must be"); }
    SUBCASE("on refusing") { expect_reported<AcceptedReject>(kind::rejects, "accepted"); }
    SUBCASE("on the reason for having no gradient") { expect_reported<NoReason>(kind::declaration, "reason"); }
    SUBCASE("on results known by hand") { expect_reported<NothingKnown>(kind::declaration, "known"); }
  }

  TEST_CASE("planted faults show a tolerance that lets faults through") {
    check::Pools pools;
    const check::MutationReport report = check::mutate_row(describe<Vague>(), options(), pools);
    CHECK(report.caught < report.planted);
    REQUIRE(!report.missed.empty());
    CHECK(report.missed[0].find("scaled by 1.01") != std::string::npos);
  }

  TEST_CASE("a failure says how to repeat it, and does so") {
    const check::Report report = checked(describe<WrongFactor>());
    REQUIRE(!report.failures.empty());
    CHECK(report.failures[0].find(fmt::format("gesso check --op cubes --seed {} --cases 3", test_seed())) !=
          std::string::npos);
    CHECK(checked(describe<WrongFactor>()).failures == report.failures);
  }
}

}  // namespace
}  // namespace gesso
