#include "tools/version.h"

namespace gesso {

std::string version() {
  const std::string release = GESSO_VERSION, revision = GESSO_REVISION;
  return revision.empty() ? release : release + " (" + revision + ")";
}

}  // namespace gesso
