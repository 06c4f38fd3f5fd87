// What the checks found.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gesso::check {

// The checks by kind. Declared here once, so that reports and tests name them alike.
namespace kind {
inline constexpr std::string_view finite_differences = "finite differences";  // against the reference's gradients
inline constexpr std::string_view kernel = "kernel";                          // the cpu kernel against the reference
inline constexpr std::string_view reference =
    "reference";  // float, masks and unused outputs against all together in double
inline constexpr std::string_view threads = "threads";  // same bits with 1, 2 and 3 threads, two workers at work
inline constexpr std::string_view isa = "isa";          // each instruction set within the row's tolerance
inline constexpr std::string_view views = "views";      // same bits at unaligned offsets inside larger tensors
inline constexpr std::string_view repeat = "repeat";    // same bits again; nothing of the results left unwritten
inline constexpr std::string_view memory = "memory";    // guard bytes intact, inputs unchanged
inline constexpr std::string_view rejects = "rejects";  // bad operands refused with the right words
inline constexpr std::string_view known = "known";      // results by hand
inline constexpr std::string_view composition = "composition";  // a fused op against the plain ops it equals
inline constexpr std::string_view dispatch = "dispatch";        // the same through dispatch and tape
inline constexpr std::string_view schedules = "schedules";      // same bits in whatever order threads run
inline constexpr std::string_view launches = "launches";        // a device's kernel did run
inline constexpr std::string_view declaration = "declaration";  // what the row must say of itself
inline constexpr std::string_view error = "error";              // something threw
}  // namespace kind

struct Report {
  struct Count {
    int checks = 0, failed = 0;
  };
  int ops = 0, cases = 0, checks = 0, failed = 0;
  std::map<std::string_view, Count> by_kind;
  std::vector<std::string> failures;  // the first of each kind of each row

  // text(): a std::string, made only on failure.
  template <class Text>
  void expect(std::string_view kind, bool good, Text&& text) {
    count(kind, good);
    if (!good && by_kind[kind].failed == 1) failures.push_back(text());
  }
  void add(const Report& other);

 private:
  void count(std::string_view kind, bool good) {
    ++checks;
    ++by_kind[kind].checks;
    if (good) return;
    ++failed;
    ++by_kind[kind].failed;
  }
};

}  // namespace gesso::check
