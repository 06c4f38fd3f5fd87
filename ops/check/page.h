// docs/ops.md: what the rows say of themselves, as a page to read.
#pragma once

#include <span>
#include <string>

#include "ops/op.h"

namespace gesso::check {

// Markdown: an index, then of each row its doc line, the shapes of its first sample, its gradients and its tolerance.
std::string markdown_page(std::span<const RowInfo* const> rows);

}  // namespace gesso::check
