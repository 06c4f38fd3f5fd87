// gesso info: what this build and this machine are.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "core/isa.h"
#include "core/thread_pool.h"
#include "ops/op_list.h"
#include "tools/verbs.h"
#include "tools/version.h"

namespace gesso {
namespace {

nlohmann::json facts() {
  nlohmann::json isas = nlohmann::json::array(), devices = nlohmann::json::array();
  for (Isa found : supported_isas()) isas.push_back(name_of(found));
  for (DeviceKind kind : {DeviceKind::reference, DeviceKind::cpu, DeviceKind::cuda, DeviceKind::emulated}) {
    try {
      devices.push_back(device(kind).name());
    } catch (const Error&) {  // not in this build
    }
  }
  return {{"version", version()},    {"compiler", __VERSION__},
          {"isa", name_of(isa())},   {"isas", isas},
          {"devices", devices},      {"threads", thread_pool().threads()},
          {"ops", all_rows().size()}};
}

}  // namespace

void add_info(Verb program, Outcome&) {
  Verb verb = program.add_verb("info", "What this build and this machine are");
  auto json = std::make_shared<bool>(false);
  add_json_option(verb, *json);
  verb.footer("Example: gesso info --json");
  verb.runs([json] {
    const nlohmann::json found = facts();
    if (*json) return print_json(found);
    for (const auto& [key, value] : found.items()) fmt::print("{:<9} {}\n", key, value.dump());
  });
}

}  // namespace gesso
