// Runs one test case of this very program in a process of its own: for what is read once a process, as the environment
// is.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

namespace gesso {

struct OwnProcess {
  int status = -1;  // as of waitpid; 0 is success
  std::string output;
};

// command: for a shell.
inline OwnProcess run_command(const std::string& command) {
  OwnProcess result;
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return result;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) result.output.append(buffer, got);
  result.status = pclose(pipe);
  return result;
}

// environment: "NAME=value" assignments for a shell. test_case: the full name; it may be marked to be skipped.
inline OwnProcess run_own_test(const std::string& environment, const std::string& test_case) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  return run_command(environment + " '" + self + "' --no-skip -tc='" + test_case + "'");
}

}  // namespace gesso
