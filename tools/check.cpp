#include "ops/op_list.h"
#include "tools/verbs.h"

namespace gesso {

void add_check(CLI::App& app, Outcome&) { app.add_subcommand("check", "Runs the op table"); }

}  // namespace gesso
