// What bench ops says: a table as it goes, and one JSON object.
#pragma once

#include <nlohmann/json.hpp>

#include "tools/bench_ops.h"

namespace gesso {

void print_header(DeviceKind device);
void print_row(const BenchRow& row);
void print_ceilings(const Bench& bench);
nlohmann::json json_of(const Bench& bench);

}  // namespace gesso
