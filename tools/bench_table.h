// What bench ops and bench step say: tables, and one JSON object.
#pragma once

#include <nlohmann/json.hpp>

#include "tools/bench_ops.h"
#include "tools/bench_step.h"

namespace gesso {

void print_header(DeviceKind device, bool of_suite);
void print_row(const BenchRow& row);
void print_sums(const Bench& bench);  // of a suite
void print_ceilings(const Bench& bench);
nlohmann::json json_of(const Bench& bench);

void print_step(const StepBench& bench);
nlohmann::ordered_json json_of(const StepBench& bench);

}  // namespace gesso
