#include "tests/support.h"

namespace gesso {

std::filesystem::path source_directory() { return GESSO_SOURCE_DIRECTORY; }

}  // namespace gesso
