#include "ops/check/mutate.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace gesso::check {
namespace {

enum class Fault { scaled, zeroed, negated, last_skipped, past_the_end };
constexpr std::pair<Fault, std::string_view> kFaults[] = {{Fault::scaled, "scaled by 1.01"},
                                                          {Fault::zeroed, "zeroed"},
                                                          {Fault::negated, "negated"},
                                                          {Fault::last_skipped, "last element not written"},
                                                          {Fault::past_the_end, "one element past the end written"}};

template <class T>
void spoil_values(std::span<T> values, Fault fault) {
  if (fault == Fault::past_the_end) values.data()[values.size()] = T{};  // in the guard zone
  if (fault == Fault::last_skipped) std::ranges::fill(std::as_writable_bytes(values.last(1)), Allocator::kPoison);
  for (T& v : values) {
    if (fault == Fault::zeroed) v = T{};
    if constexpr (std::is_same_v<T, bf16>) {
      if (fault == Fault::scaled) v = bf16(static_cast<float>(v) * 1.01f);
      if (fault == Fault::negated) v = bf16(-static_cast<float>(v));
    } else {
      if (fault == Fault::scaled) v = std::is_integral_v<T> ? static_cast<T>(v + 1) : static_cast<T>(v * T(1.01));
      if (fault == Fault::negated) v = static_cast<T>(-v);
    }
  }
}

void spoil_values(const Tensor& t, Fault fault) {
  switch (t.dtype()) {
    case DType::f32:
      return spoil_values(t.data<float>(), fault);
    case DType::f64:
      return spoil_values(t.data<double>(), fault);
    case DType::bf16:
      return spoil_values(t.data<bf16>(), fault);
    case DType::i32:
      return spoil_values(t.data<std::int32_t>(), fault);
    case DType::i64:
      return spoil_values(t.data<std::int64_t>(), fault);
    case DType::u8:
      return spoil_values(t.data<std::uint8_t>(), fault);
    case DType::u16:
      return spoil_values(t.data<std::uint16_t>(), fault);
    case DType::none:
      return;
  }
}

// Kernels are plain functions, so what the spoiling ones do lies beside them: the honest kernel, the fault, and whether
// it has changed anything yet. One at a time and thread.
struct Planted {
  Kernels honest;
  Fault fault{};
  std::size_t result = 0;
  bool changed = false;
};
thread_local Planted* planted = nullptr;

void spoil(const Tensor& t) {
  if (!t || t.count() == 0) return;
  const std::vector<std::byte> before = host_bytes(t);
  spoil_values(t, planted->fault);
  planted->changed |= planted->fault == Fault::past_the_end || host_bytes(t) != before;
}

// Results count outputs first, then operands.
void spoiled_forward(const Attributes& attrs, const Forward& f) {
  planted->honest.forward(attrs, f);
  const std::size_t i = planted->result;
  spoil(i < f.out.size() ? f.out[i] : f.in[i - f.out.size()]);
}
void spoiled_backward(const Attributes& attrs, const Backward& b) {
  planted->honest.backward(attrs, b);
  spoil(b.dx[planted->result]);
}

// One kernel of a row, and the check that answers for it.
struct Link {
  std::string_view name;
  Kernels RowInfo::*kernels;
  bool backward;
  void (*check)(const Subject&, Report&);
};
void finite_differences(const Subject& subject, Report& report) { (void)check_finite_differences(subject, report); }
// The reference's forward is held by the kernel, which is another program; its gradients by differences alone.
constexpr Link kLinks[] = {
    {"reference in double, forward", &RowInfo::reference_f64, false, check_kernel},
    {"reference in double, backward", &RowInfo::reference_f64, true, finite_differences},
    {"reference in float, forward", &RowInfo::reference_f32, false, check_reference},
    {"reference in float, backward", &RowInfo::reference_f32, true, check_reference},
    {"cpu, forward", &RowInfo::cpu, false, check_kernel},
    {"cpu, backward", &RowInfo::cpu, true, check_kernel},
};

// A fault is as well seen in a small case, and sooner.
std::vector<CheckCase> small_first(const RowInfo& row, std::vector<CheckCase> cases) {
  std::ranges::stable_sort(cases, {}, [&](const CheckCase& c) { return elements(row, c); });
  return cases;
}

bool runs_in_double(const CheckCase& c) {
  return std::ranges::any_of(c.of.in, [](const Operand& o) { return spec_of(o, DType::f64).dtype == DType::f64; });
}

class Mutator {
 public:
  Mutator(const RowInfo& row, const Options& options, Pools& pools)
      : row_(row),
        options_(options),
        pools_(pools),
        cases_(small_first(row, cases_of(row, options))),
        first_(row, cases_.front(), DType::f64, {device(DeviceKind::reference), pools.one, isa()}),
        in_double_(std::ranges::any_of(cases_, runs_in_double)) {}

  MutationReport run() {
    for (const Link& link : kLinks)
      if (link.kernels != &RowInfo::reference_f64 || in_double_)
        link.backward ? plant_gradients(link) : plant_results(link);
    return std::move(report_);
  }

 private:
  void plant_results(const Link& link) {
    const std::size_t outputs = first_.out().size();
    for (std::size_t i = 0; i < outputs; ++i) plant_all(link, i, fmt::format("output {}", i));
    for (std::size_t i = 0; i < first_.in().size(); ++i)
      if (has(row_.in_place, i)) plant_all(link, outputs + i, fmt::format("operand {}", i));
  }
  void plant_gradients(const Link& link) {
    for (std::size_t i = 0; i < first_.in().size(); ++i)
      if (has(row_.differentiable, i)) plant_all(link, i, fmt::format("gradient of operand {}", i));
  }

  void plant_all(const Link& link, std::size_t result, const std::string& name) {
    for (const auto& [fault, fault_name] : kFaults) {
      ++report_.planted;
      if (is_caught(link, result, fault))
        ++report_.caught;
      else
        report_.missed.push_back(
            fmt::format("{}: {}: {} {} (seed {})", row_.name, link.name, name, fault_name, options_.seed));
    }
  }

  bool is_caught(const Link& link, std::size_t result, Fault fault) {
    Planted plant{row_.*link.kernels, fault, result};
    RowInfo spoiled = row_;
    if (link.backward)
      (spoiled.*link.kernels).backward = spoiled_backward;
    else
      (spoiled.*link.kernels).forward = spoiled_forward;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      plant.changed = false;
      planted = &plant;
      const bool fails = check_fails(spoiled, link, cases_[i]);
      planted = nullptr;
      // Where the fault changes nothing (zeroed zeros) another case must show it; a check that fails on honest kernels
      // too has caught nothing.
      if (fails && plant.changed && !fails_honestly(link, i)) return true;
    }
    return false;
  }

  bool check_fails(const RowInfo& row, const Link& link, const CheckCase& c) const {
    Report report;
    // Without a case in double the reference in float is the kernel's judge itself.
    const auto check = in_double_ || link.check != check_reference ? link.check : check_kernel;
    check({row, c, options_, pools_}, report);
    return report.failed != 0;
  }
  bool fails_honestly(const Link& link, std::size_t c) {
    std::optional<bool>& known = honest_[{&link, c}];
    if (!known) known = check_fails(row_, link, cases_[c]);
    return *known;
  }

  const RowInfo& row_;
  const Options& options_;
  Pools& pools_;
  std::vector<CheckCase> cases_;
  Trial first_;
  bool in_double_;
  std::map<std::pair<const Link*, std::size_t>, std::optional<bool>> honest_;
  MutationReport report_;
};

}  // namespace

MutationReport mutate_row(const RowInfo& row, const Options& options, Pools& pools) {
  const WatchedMemory reference_memory(device(DeviceKind::reference)), cpu_memory(device(DeviceKind::cpu));
  return Mutator(row, options, pools).run();
}

MutationReport mutate_rows(std::span<const RowInfo* const> rows, const Options& options) {
  MutationReport all;
  Pools pools;
  for (const RowInfo* row : rows) {
    MutationReport report = mutate_row(*row, options, pools);
    all.planted += report.planted;
    all.caught += report.caught;
    std::ranges::move(report.missed, std::back_inserter(all.missed));
  }
  return all;
}

}  // namespace gesso::check
