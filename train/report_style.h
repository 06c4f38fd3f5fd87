// What a report looks like, and what it does under a reader's finger. Part of the page: it loads nothing.
#pragma once

#include <cstddef>

namespace gesso {

inline constexpr std::size_t kChartColours = 8;

// CSS: light or dark as the reader's system is, from a phone's width on.
extern const char* const kReportStyle;
// JavaScript: values under the cursor, and the film with its slider. Without it the page shows all but that.
extern const char* const kReportScript;

}  // namespace gesso
