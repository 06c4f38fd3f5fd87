#include "tools/verb.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace gesso {

VerbOption VerbOption::required() const {
  option_->required();
  return *this;
}
VerbOption VerbOption::shows_default() const {
  option_->capture_default_str();
  return *this;
}
VerbOption VerbOption::between(std::int64_t min, std::int64_t max) const {
  option_->check(CLI::Range(min, max));
  return *this;
}
VerbOption VerbOption::one_of(const std::vector<std::string>& choices) const {
  option_->check(CLI::IsMember(choices));
  return *this;
}
VerbOption VerbOption::excludes(VerbOption other) const {
  option_->excludes(other.option_);
  return *this;
}

VerbOption Verb::add(const std::string& name, bool& value, const std::string& help) {
  return VerbOption(app_->add_flag(name, value, help));
}
VerbOption Verb::add(const std::string& name, int& value, const std::string& help) {
  return VerbOption(app_->add_option(name, value, help));
}
VerbOption Verb::add(const std::string& name, std::int64_t& value, const std::string& help) {
  return VerbOption(app_->add_option(name, value, help));
}
VerbOption Verb::add(const std::string& name, std::uint64_t& value, const std::string& help) {
  return VerbOption(app_->add_option(name, value, help));
}
VerbOption Verb::add(const std::string& name, std::string& value, const std::string& help) {
  return VerbOption(app_->add_option(name, value, help));
}
VerbOption Verb::add(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  return VerbOption(app_->add_option(name, values, help));
}

Verb Verb::add_verb(const std::string& name, const std::string& what) { return Verb(app_->add_subcommand(name, what)); }
void Verb::require_verb() { app_->require_subcommand(1); }
void Verb::footer(const std::string& text) { app_->footer(text); }
void Verb::runs(const std::function<void()>& action) { app_->callback(action); }

CommandLine::CommandLine(const std::string& name, const std::string& what, const std::string& version)
    : app_(std::make_unique<CLI::App>(what, name)) {
  app_->set_version_flag("--version", version);
  app_->fallthrough();
  program().require_verb();
}
CommandLine::~CommandLine() = default;

void CommandLine::runs_first(const std::function<void()>& action) { app_->parse_complete_callback(action); }

bool CommandLine::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app_->exit(error, std::cout, std::cerr) == 0;
  }
  return true;
}

}  // namespace gesso
