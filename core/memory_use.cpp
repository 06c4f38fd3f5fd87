#include "core/memory_use.h"

#include <fmt/format.h>

#include <utility>

namespace gesso {
namespace {
thread_local const MemoryUse* current_use = nullptr;
}  // namespace

MemoryUse::MemoryUse(std::string_view op, std::string_view module, bool backward)
    : names_{op, module, backward}, outer_(std::exchange(current_use, this)) {}
MemoryUse::~MemoryUse() { current_use = outer_; }

MemoryUse::Names MemoryUse::current() { return current_use ? current_use->names_ : Names{"other", "", false}; }

std::string MemoryHolder::text() const {
  return fmt::format("{}{}{}{}", op, backward ? " backward" : "", module.empty() ? "" : " in ", module);
}

}  // namespace gesso
