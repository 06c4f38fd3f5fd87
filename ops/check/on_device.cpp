#include "ops/check/on_device.h"

#include <algorithm>

#include "core/isa.h"
#include "ops/check/compare.h"
#include "ops/device_kernels.h"

namespace gesso::check {
namespace {

bool has_elements(const std::vector<Result>& results) {
  return std::ranges::any_of(results, [](const Result& r) { return r.value.count() != 0; });
}
bool is_whole(const Trial& trial) {
  return std::ranges::all_of(trial.in(), [](const Tensor& x) { return x.count() != 0; });
}

// A case whose kernels the device must have been asked for.
void check_launches(const Subject& subject, const Execution& run, const DeviceUnderCheck& device, Report& report) {
  Trial trial(subject.row, subject.c, DType::f32, run);
  const auto expect_launch = [&](std::string_view call, std::uint64_t before, const std::vector<Result>& results) {
    const bool nothing_to_do = !is_whole(trial) || !has_elements(results);  // filled with zeros, if anything
    report.expect(kind::launches, device.launches() > before || nothing_to_do,
                  [&] { return subject.told(fmt::format("{}: {} launched no kernel", run.device.name(), call)); });
  };
  std::uint64_t before = device.launches();
  trial.forward();
  expect_launch("forward", before, trial.results());
  if (!has_gradients(trial)) return;
  before = device.launches();
  trial.backward(~0u);
  expect_launch("backward", before, trial.gradients());
}

void check_repeats(const Subject& subject, const Execution& run, const DeviceUnderCheck& device, Report& report) {
  const auto results = [&](const Placement& placement) {
    Trial trial(subject.row, subject.c, DType::f32, run, placement);
    trial.run_all();
    expect_undamaged(subject, run.device.name(), trial, report);
    return trial.everything();
  };
  const std::vector<Result> want = results({});
  compare_bits(subject, kind::repeat, "run twice over other memory", results({.fill = kOtherFill}), want, report);
  const Trial trial(subject.row, subject.c, DType::f32, run);
  // Where memory is not aligned, kernels read it in smaller steps and may sum in another order.
  compare(subject, kind::views, "at offsets inside larger tensors", results({.offset = 1}), want,
          subject.row.tolerance(trial.attrs(), trial.specs()), report);
  for (auto it = device.schedules.rbegin(); it != device.schedules.rend(); ++it) {
    it->second();
    compare_bits(subject, kind::schedules, fmt::format("threads run {}", it->first), results({}), want, report);
  }
}

void check_case(const Subject& subject, const DeviceUnderCheck& device, Report& report) {
  const Execution run{gesso::device(device.kind), subject.pools.one, isa()};
  guarded(subject, report, [&] {
    const int failed_before = report.failed;
    check_against_reference(subject, run, report);
    check_launches(subject, run, device, report);
    if (report.failed != failed_before) return;
    check_repeats(subject, run, device, report);
    check_dispatch(subject, run, DType::f32, report);
  });
}

void check_row_on(const RowInfo& row, const Options& options, const DeviceUnderCheck& device, Pools& pools,
                  DeviceReport& all) {
  Report report;
  report.ops = 1;
  const std::vector<CheckCase> cases = cases_of(row, options);
  for (const CheckCase& c : cases) {
    if (!is_small(row, c, device)) {
      ++all.skipped;
      continue;
    }
    ++report.cases;
    check_case({row, c, options, pools}, device, report);
    gesso::device(device.kind).allocator().trim();  // the less memory there is, the sooner it is guarded
  }
  guarded({row, cases.front(), options, pools}, report, [&] {
    check_known(row, {gesso::device(device.kind), pools.one, isa()}, DType::f32, report);
  });
  report.expect(kind::declaration, report.cases != 0, [&] {
    return fmt::format("{}: every case is too large to be checked on {}", row.name, name_of(device.kind));
  });
  all.report.add(report);
}

}  // namespace

bool is_small(const RowInfo& row, const CheckCase& c, const DeviceUnderCheck& device) {
  Specs specs;
  for (const Operand& operand : c.of.in) specs.push_back(spec_of(operand, DType::f32));
  return static_cast<double>(elements(row, c)) <= device.most_elements &&
         row.flops(c.of.attrs, specs) <= device.most_flops;
}

DeviceReport check_rows_on(std::span<const RowInfo* const> rows, const Options& options,
                           const DeviceUnderCheck& device) {
  const WatchedMemory reference_memory(gesso::device(DeviceKind::reference)), device_memory(gesso::device(device.kind));
  DeviceReport all;
  Pools pools;
  for (const RowInfo* row : rows) {
    if (registered_kernels(device.kind, row->name))
      check_row_on(*row, options, device, pools, all);
    else
      all.missing.push_back(row->name);
  }
  return all;
}

}  // namespace gesso::check
