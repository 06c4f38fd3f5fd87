// The checks of kernels on a device beside the CPU: a row's cases against its reference in double, and what must hold
// of kernels besides. What the rows say without a device (gradients, refusals) the checks on the CPU have shown.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "ops/check/checks.h"

namespace gesso::check {

struct DeviceUnderCheck {
  DeviceKind kind{};
  std::function<std::uint64_t()> launches;  // kernels since the program started
  // What sets the order in which threads run, by name; the first is set last. Empty: the device has one way to run.
  std::vector<std::pair<std::string, std::function<void()>>> schedules;
  // A case of more elements or operations is left out; such samples are there for two threads of the CPU.
  double most_elements = 0, most_flops = 0;

  // For kernels that something slows down a hundred times.
  void keep_small_cases() {
    most_elements = 2048;
    most_flops = 2e5;
  }
};

// Whether the device takes the case.
bool is_small(const RowInfo& row, const CheckCase& c, const DeviceUnderCheck& device);

struct DeviceReport {
  Report report;
  int skipped = 0;                        // cases left out
  std::vector<std::string_view> missing;  // rows without kernels on the device
};

DeviceReport check_rows_on(std::span<const RowInfo* const> rows, const Options& options,
                           const DeviceUnderCheck& device);

}  // namespace gesso::check
