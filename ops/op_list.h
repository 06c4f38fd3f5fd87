// The one list of all ops: tests, benchmarks and the printed reference run over it. Each family gives its rows.
#pragma once

#include <span>

#include "ops/op.h"

namespace gesso {

std::span<const RowInfo* const> all_rows();
// Throws, listing the names, where there is none of that name.
const RowInfo& row_named(std::string_view name);

}  // namespace gesso
