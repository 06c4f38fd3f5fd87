// Which gesso this is.
#pragma once

#include <string>

namespace gesso {

// "0.1.0 (1a2b3c4-dirty)": the release and the revision it was configured from.
std::string version();

}  // namespace gesso
