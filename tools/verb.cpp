#include "tools/verb.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "train/text.h"

namespace gesso {
namespace {

// The verb that the words named, as far as they could be followed.
const CLI::App& innermost(const CLI::App& program) {
  const CLI::App* verb = &program;
  while (!verb->get_subcommands().empty()) verb = verb->get_subcommands().back();
  return *verb;
}

// "gesso data info"
std::string path_of(const CLI::App& verb) {
  return verb.get_parent() == nullptr ? verb.get_name() : path_of(*verb.get_parent()) + " " + verb.get_name();
}

std::vector<std::string> verbs_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(verb->get_name());
  return names;
}

// Without their dashes, those of the program too.
std::vector<std::string> options_of(const CLI::App& verb) {
  std::vector<std::string> names;
  for (const CLI::App* app = &verb; app != nullptr; app = app->get_parent())
    for (const CLI::Option* option : app->get_options())
      names.insert(names.end(), option->get_lnames().begin(), option->get_lnames().end());
  return names;
}

std::string about_unknown_option(const CLI::App& verb, const std::string& word) {
  const std::string name = word.substr(std::min(word.find_first_not_of('-'), word.size()));
  const std::string near = nearest(name.substr(0, name.find('=')), options_of(verb));
  std::string text = fmt::format("there is no option {}", in_quotes(word));
  if (!near.empty()) return text + fmt::format("; did you mean '--{}'?", near);
  if (verb.get_option_no_throw("assignments") != nullptr)
    text += "; settings of a recipe are words without dashes, such as train.steps=1000";
  return text;
}

std::string about_unknown(const CLI::App& verb, const std::string& word) {
  if (word.starts_with('-')) return about_unknown_option(verb, word);
  const std::vector<std::string> known = verbs_of(verb);
  if (known.empty()) return fmt::format("{} is one word too many", in_quotes(word));
  const std::string near = nearest(word, known);
  return fmt::format("there is no verb {}; {}", in_quotes(word),
                     near.empty() ? fmt::format("verbs are {}", fmt::join(known, ", "))
                                  : fmt::format("did you mean {}?", in_quotes(near)));
}

// What the package says of the values of options, where its own words are no help.
std::string in_plain_words(const std::string& what, const CLI::App& verb) {
  const auto option_before = [&](std::string_view words) { return what.substr(0, what.find(words)); };
  if (what.find(": 1 required ") != std::string::npos) return option_before(": 1 required ") + " needs a value";
  if (what.find(": At Most 1 ") != std::string::npos) return option_before(": At Most 1 ") + " is given more than once";
  if (!what.ends_with(" is required")) return what;
  const std::string name = option_before(" is required");
  const CLI::Option* option = verb.get_option_no_throw(name);
  return fmt::format("{} is missing{}", name, option == nullptr ? "" : ": " + option->get_description());
}

// What is wrong with the words, and with which verb's.
std::string complaint(const CLI::App& program, const CLI::ParseError& error) {
  const CLI::App& verb = innermost(program);
  const std::vector<std::string> unknown = program.remaining(true), verbs = verbs_of(verb);
  const int kind = error.get_exit_code();
  const bool lacks = kind == static_cast<int>(CLI::ExitCodes::RequiredError);
  std::string what = in_plain_words(error.what(), verb);
  if ((lacks || kind == static_cast<int>(CLI::ExitCodes::ExtrasError)) && !unknown.empty())
    what = about_unknown(verb, unknown.front());
  else if (lacks && !verbs.empty())
    what = fmt::format("a verb is missing; verbs are {}", fmt::join(verbs, ", "));
  return fmt::format("{0}: {1}\nHelp: {0} --help\n", path_of(verb), what);
}

}  // namespace

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
    if (error.get_exit_code() == 0) return app_->exit(error, std::cout, std::cerr) == 0;  // help, version
    std::fputs(complaint(*app_, error).c_str(), stderr);
    return false;
  }
  return true;
}

}  // namespace gesso
