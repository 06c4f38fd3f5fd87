#include "cuda/launch_error.h"

#include <string>

#include "core/error.h"
#include "core/profiler.h"

namespace gesso::cu {

void fail_launch(const char* kernel, const char* reason) {
  const std::string path = module_path();
  fail("cuda: kernel {} was not launched: {}{}{}", kernel ? kernel : "?", reason, path.empty() ? "" : ", in ", path);
}

}  // namespace gesso::cu
