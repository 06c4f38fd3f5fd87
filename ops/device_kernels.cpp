#include "ops/device_kernels.h"

#include <map>
#include <utility>

namespace gesso {
namespace {

// Calls keep references to what stands here until their backward: nothing is ever removed.
auto& registry() {
  static std::map<std::pair<DeviceKind, std::string_view>, Kernels> all;
  return all;
}

}  // namespace

void register_kernels(DeviceKind device, std::string_view op, const Kernels& kernels) {
  if (!registry().emplace(std::pair(device, op), kernels).second)
    fail("{}: its kernels on {} are registered already", op, name_of(device));
}

const Kernels* registered_kernels(DeviceKind device, std::string_view op) {
  const auto found = registry().find({device, op});
  return found == registry().end() ? nullptr : &found->second;
}

}  // namespace gesso
