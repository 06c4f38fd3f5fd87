#include "ops/check/report.h"

namespace gesso::check {

void Report::add(const Report& other) {
  ops += other.ops;
  cases += other.cases;
  checks += other.checks;
  failed += other.failed;
  for (const auto& [kind, count] : other.by_kind) {
    by_kind[kind].checks += count.checks;
    by_kind[kind].failed += count.failed;
  }
  failures.insert(failures.end(), other.failures.begin(), other.failures.end());
}

}  // namespace gesso::check
