// The program's command line: verbs, their options and their help. The package that parses it is behind this door, in
// one file: its header takes longer to compile than any verb.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace gesso {

// One option of a verb. A handle, as Verb is: both live as long as the program's CommandLine.
class VerbOption {
 public:
  explicit VerbOption(CLI::Option* option) : option_(option) {}

  VerbOption required() const;
  // Help shows what the variable holds now.
  VerbOption shows_default() const;
  // Both ends belong to it; for whole numbers.
  VerbOption between(std::int64_t min, std::int64_t max) const;
  VerbOption one_of(const std::vector<std::string>& choices) const;
  // Not both may be given.
  VerbOption excludes(VerbOption other) const;

 private:
  CLI::Option* option_;
};

class Verb {
 public:
  explicit Verb(CLI::App* app) : app_(app) {}

  // "--name" or, without dashes, a word in its place. The variable must outlive the parse; a vector takes many words.
  VerbOption add(const std::string& name, bool& value, const std::string& help);
  VerbOption add(const std::string& name, int& value, const std::string& help);
  VerbOption add(const std::string& name, std::int64_t& value, const std::string& help);
  VerbOption add(const std::string& name, std::uint64_t& value, const std::string& help);
  VerbOption add(const std::string& name, std::string& value, const std::string& help);
  VerbOption add(const std::string& name, std::vector<std::string>& values, const std::string& help);

  Verb add_verb(const std::string& name, const std::string& what);
  // One of its verbs must be named.
  void require_verb();
  void footer(const std::string& text);
  // Runs where the verb is named and the whole command line has been accepted.
  void runs(const std::function<void()>& action);

 private:
  CLI::App* app_;
};

class CommandLine {
 public:
  // version: what --version prints.
  CommandLine(const std::string& name, const std::string& what, const std::string& version);
  ~CommandLine();

  Verb program() const { return Verb(app_.get()); }
  // Runs before the verb's action.
  void runs_first(const std::function<void()>& action);
  // Runs what was named. False where the command line is refused, which was told on standard error.
  bool parse(int argc, char** argv);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace gesso
