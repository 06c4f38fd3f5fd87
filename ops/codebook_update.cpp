#include "ops/codebook_update.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/rng.h"
#include "ops/describe.h"

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements of the codebook a chunk

enum Position : std::size_t { kCodebook, kMovingCounts, kMovingSums, kCounts, kSums, kCandidates, kStep, kGate };

// Which of N candidates replaces code k at this step: the same on every device.
std::int64_t candidate(std::uint64_t key, std::int64_t step, std::int64_t k, std::int64_t N) {
  const Words words = random_words(key, static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(k), 0);
  return static_cast<std::int64_t>(below(words.word[0], words.word[1], static_cast<std::uint64_t>(N)));
}

struct CodebookUpdate {
  static constexpr std::string_view name = "codebook_update";
  static constexpr std::string_view doc =
      "in place, for codebook e[K,D], moving counts n[K] and sums m[K,D], this step's counts[K] and sums[K,D]: n = "
      "decay n + (1 - decay) counts, m = decay m + (1 - decay) sums, e[k] = m[k] / ((n[k] + eps) / (sum n + K eps) "
      "sum n) (van den Oord, Vinyals and Kavukcuoglu 2017, A.1); where n[k] < revival_threshold then e[k] = m[k] = "
      "a drawn row of z[N,D], n[k] = 1; nothing where gate[1] is not finite. step[1] i64 counts the draws";
  static constexpr std::string_view not_differentiable = "it commits a step's statistics, after backward";
  using Attrs = ops::CodebookUpdateAttrs;
  static constexpr Operands in_place = operands(kCodebook, kMovingCounts, kMovingSums);

  static void check_attrs(const Attrs& attrs) {
    if (!(attrs.decay >= 0 && attrs.decay < 1))
      fail("codebook_update: decay must lie in [0, 1), but is {}", attrs.decay);
    if (!(attrs.eps >= 0 && std::isfinite(attrs.eps)))
      fail("codebook_update: eps must be finite and not negative, but is {}", attrs.eps);
    if (!(attrs.revival_threshold >= 0 && std::isfinite(attrs.revival_threshold)))
      fail("codebook_update: revival_threshold must be finite and not negative, but is {}", attrs.revival_threshold);
  }
  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    check_attrs(attrs);
    const Spec &codebook = in[kCodebook], &z = in[kCandidates];
    if (codebook.shape.rank() != 2 || (codebook.dtype != DType::f32 && codebook.dtype != DType::f64))
      fail("codebook_update: codebook must be [K,D] in f32, but is {}", codebook.text());
    const Spec by_code{{codebook.shape[0]}, codebook.dtype};
    for (const std::size_t i : {kMovingCounts, kCounts})
      if (in[i] != by_code) fail("codebook_update: counts must be {}, but are {}", by_code.text(), in[i].text());
    for (const std::size_t i : {kMovingSums, kSums})
      if (in[i] != codebook)
        fail("codebook_update: sums must be like the codebook, {}, but are {}", codebook.text(), in[i].text());
    if (z.dtype != DType::none && (z.dtype != codebook.dtype || z.shape.rank() != 2 || z.shape[1] != codebook.shape[1]))
      fail("codebook_update: z must be [N,{}] or absent, but is {}", codebook.shape[1], z.text());
    if (in[kStep] != Spec{{1}, DType::i64}) fail("codebook_update: step must be [1] i64, but is {}", in[kStep].text());
    if (in[kGate] != Spec{{1}, codebook.dtype})
      fail("codebook_update: gate must be [1] {}, but is {}", name_of(codebook.dtype), in[kGate].text());
    return {};
  }
  static double flops(const Attrs&, std::span<const Spec> in) {
    return 4 * static_cast<double>(in[kCodebook].shape.count() + in[kMovingCounts].shape.count());
  }
  // Reads and writes the state, reads the statistics; of z only what is revived.
  static double bytes(const Attrs&, std::span<const Spec> in) {
    return static_cast<double>(5 * in[kCodebook].bytes() + 3 * in[kMovingCounts].bytes());
  }
  // Each result is a handful of roundings; e is about m / n with n from 0.1 on.
  static double tolerance(const Attrs&, std::span<const Spec>) { return 1e-6; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    if (!std::isfinite(f.in[kGate].data<T>()[0])) return;
    const auto codebook = f.in[kCodebook].data<T>(), n = f.in[kMovingCounts].data<T>(), m = f.in[kMovingSums].data<T>();
    const auto counts = f.in[kCounts].data<T>(), sums = f.in[kSums].data<T>();
    const std::size_t K = n.size(), D = static_cast<std::size_t>(f.in[kCodebook].dim(1));
    const T decay = attrs.decay, eps = attrs.eps;
    T total = 0;
    for (std::size_t k = 0; k < K; ++k) total += n[k] = decay * n[k] + (1 - decay) * counts[k];
    for (std::size_t k = 0; k < K; ++k) {
      const T smoothed = (n[k] + eps) / (total + static_cast<T>(K) * eps) * total;
      for (std::size_t i = k * D; i < (k + 1) * D; ++i) {
        m[i] = decay * m[i] + (1 - decay) * sums[i];
        if (smoothed > 0) codebook[i] = m[i] / smoothed;  // a code without any count keeps its place
      }
      const Tensor& z = f.in[kCandidates];
      if (!(n[k] < attrs.revival_threshold) || !z || z.dim(0) == 0) continue;
      const auto row =
          candidate(attrs.key, f.in[kStep].data<std::int64_t>()[0], static_cast<std::int64_t>(k), z.dim(0));
      const auto vector = z.data<T>().subspan(static_cast<std::size_t>(row) * D, D);
      n[k] = 1;
      std::ranges::copy(vector, m.begin() + static_cast<std::ptrdiff_t>(k * D));
      std::ranges::copy(vector, codebook.begin() + static_cast<std::ptrdiff_t>(k * D));
    }
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    if (!f.run.computes() || !std::isfinite(f.in[kGate].data<float>()[0])) return;
    const auto n = f.in[kMovingCounts].data<float>(), counts = f.in[kCounts].data<float>();
    const std::int64_t K = f.in[kCodebook].dim(0), D = f.in[kCodebook].dim(1);
    double total = 0;
    for (std::size_t k = 0; k < n.size(); ++k) total += n[k] = attrs.decay * n[k] + (1 - attrs.decay) * counts[k];
    const double factor = total / (total + static_cast<double>(K) * attrs.eps);
    parallel_for(f.run.pool, K, std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(D, 1)),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t k = begin; k < end; ++k) {
                     average(attrs, f, k, factor);
                     revive(attrs, f, k);
                   }
                 });
  }
  static void average(const Attrs& attrs, const Forward& f, std::int64_t k, double factor) {
    const std::int64_t D = f.in[kCodebook].dim(1);
    const float* sums = f.in[kSums].data<float>().data() + k * D;
    float *m = f.in[kMovingSums].data<float>().data() + k * D, *e = f.in[kCodebook].data<float>().data() + k * D;
    const float decay = attrs.decay, rest = 1 - attrs.decay;
    for (std::int64_t d = 0; d < D; ++d) m[d] = decay * m[d] + rest * sums[d];
    const double smoothed =
        (static_cast<double>(f.in[kMovingCounts].data<float>()[static_cast<std::size_t>(k)]) + attrs.eps) * factor;
    if (!(smoothed > 0)) return;  // a code without any count keeps its place
    const float scale = static_cast<float>(1 / smoothed);
    for (std::int64_t d = 0; d < D; ++d) e[d] = m[d] * scale;
  }
  static void revive(const Attrs& attrs, const Forward& f, std::int64_t k) {
    const Tensor& z = f.in[kCandidates];
    float& n = f.in[kMovingCounts].data<float>()[static_cast<std::size_t>(k)];
    if (!(n < attrs.revival_threshold) || !z || z.dim(0) == 0) return;
    const std::int64_t D = z.dim(1);
    const float* row =
        z.data<float>().data() + candidate(attrs.key, f.in[kStep].data<std::int64_t>()[0], k, z.dim(0)) * D;
    n = 1;
    std::copy(row, row + D, f.in[kMovingSums].data<float>().data() + k * D);
    std::copy(row, row + D, f.in[kCodebook].data<float>().data() + k * D);
  }

  static Case<Attrs> book(std::string name, const Attrs& attrs, std::int64_t K, std::int64_t D, std::int64_t N) {
    const Operand z = N < 0 ? Operand{{}, Domain::absent} : Operand{{N, D}};
    return {std::move(name),
            attrs,
            {{{K, D}},
             {{K}, Domain::positive},
             {{K, D}},
             {{K}, Domain::unit},
             {{K, D}},
             z,
             {{1}, Domain::counter, 1000},
             {{1}, Domain::positive}}};
  }
  static std::vector<Case<Attrs>> samples() {
    return {book("moving average", {}, 7, 5, -1),
            book("revival", {.revival_threshold = 1.5f, .key = 3}, 40, 6, 9),
            book("several chunks", {.decay = 0.5f, .revival_threshold = 1, .key = 5}, 300, 129, 21),
            book("many codes", {.revival_threshold = 0.5f, .key = 7}, 700, 2, 9),
            book("wide", {.decay = 0.5f, .revival_threshold = 1, .key = 9}, 6, 70, 5),
            book("nobody to revive from", {.revival_threshold = 4}, 6, 3, 0),
            book("one code", {.decay = 0}, 1, 1, 1),
            book("no codes", {}, 0, 4, 2)};
  }
  static Case<Attrs> random_case(Random& random) {
    const float threshold = static_cast<float>(pick(random, 0, 2));
    return book("random", {.decay = 0.9f, .revival_threshold = threshold, .key = random()}, pick(random, 1, 90),
                pick(random, 1, 40), pick(random, -1, 12));
  }
  static std::vector<Reject<Attrs>> rejects() {
    const auto with = [](std::size_t position, Operand operand, std::vector<std::string> words) {
      auto in = book("", {}, 4, 3, 5).in;
      in[position] = operand;
      return Reject<Attrs>{{}, in, std::move(words)};
    };
    const auto good = book("", {}, 4, 3, 5).in;
    return {{{.decay = 1}, good, {"decay", "[0, 1)", "1"}},
            {{.eps = -1}, good, {"eps", "-1"}},
            {{.revival_threshold = -2}, good, {"revival_threshold", "-2"}},
            with(kCodebook, {{4}}, {"codebook must be [K,D]", "[4] f32"}),
            with(kMovingCounts, {{3}}, {"counts must be [4] f32", "[3] f32"}),
            with(kCounts, {{5}}, {"counts must be [4] f32", "[5] f32"}),
            with(kMovingSums, {{4, 2}}, {"sums", "[4,3] f32", "[4,2] f32"}),
            with(kSums, {{3, 4}}, {"sums", "[4,3] f32", "[3,4] f32"}),
            with(kCandidates, {{5, 2}}, {"z must be [N,3]", "[5,2] f32"}),
            with(kStep, {{2}, Domain::counter, 9}, {"step must be [1] i64", "[2] i64"}),
            with(kGate, {{2}}, {"gate must be [1] f32", "[2] f32"})};
  }
  // The state n = 1, m = e of two codes 4 and -2; this step the first got the vectors 6 and 8.
  static Known<Attrs> first_step(std::string name, const Attrs& attrs, double gate, std::vector<double> codebook,
                                 std::vector<double> counts, std::vector<double> sums) {
    const Spec of_codebook{{2, 1}, DType::f32}, of_counts{{2}, DType::f32}, one{{1}, DType::f32};
    return {std::move(name),
            attrs,
            {{of_codebook, {4, -2}},
             {of_counts, {1, 1}},
             {of_codebook, {4, -2}},
             {of_counts, {2, 0}},
             {of_codebook, {14, 0}},
             {{{1, 1}, DType::f32}, {9}},
             {{{1}, DType::i64}, {3}},
             {one, {gate}}},
            {{of_codebook, std::move(codebook)}, {of_counts, std::move(counts)}, {of_codebook, std::move(sums)}}};
  }
  static std::vector<Known<Attrs>> known() {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    // n = (0.5 + 0.5 * 2, 0.5), m = (2 + 7, -1): the used code moves to 6, between its old 4 and the batch's mean 7.
    return {
        first_step("a used code moves towards its vectors' mean, an unused one stays", {.decay = 0.5f, .eps = 0}, 1,
                   {6, -2}, {1.5, 0.5}, {9, -1}),
        first_step("a code without any count keeps its place", {.decay = 0, .eps = 0}, 1, {7, -2}, {2, 0}, {14, 0}),
        // n~ = (n + 0.5) / 3 * 2 = (4/3, 2/3)
        first_step("eps draws the counts together", {.decay = 0.5f, .eps = 0.5f}, 1, {6.75, -1.5}, {1.5, 0.5}, {9, -1}),
        first_step("a revived code starts anew, sums and all", {.decay = 0.5f, .eps = 0, .revival_threshold = 1}, 1,
                   {6, 9}, {1.5, 1}, {9, 9}),
        first_step("an infinite gate stops everything", {.revival_threshold = 9}, kInfinity, {4, -2}, {1, 1}, {4, -2}),
        first_step("a gate that is no number stops everything", {.revival_threshold = 9},
                   std::numeric_limits<double>::quiet_NaN(), {4, -2}, {1, 1}, {4, -2})};
  }
};

}  // namespace

std::vector<const RowInfo*> codebook_update_rows() { return {&row_of<CodebookUpdate>()}; }

namespace ops {
void codebook_update(const CodebookState& state, const Tensor& counts, const Tensor& sums, const Tensor& z,
                     const Tensor& step, const Tensor& gate, const CodebookUpdateAttrs& attrs) {
  dispatch(row_of<CodebookUpdate>(), attrs, {state.codebook, state.counts, state.sums, counts, sums, z, step, gate});
}
}  // namespace ops

}  // namespace gesso
