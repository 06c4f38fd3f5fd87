// Runs the program that is built beside this test, in a process of its own.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "train/files.h"

namespace gesso {

struct Program {
  int exit_code = -1;         // 128 + the signal where one ended it
  std::string out, errors;    // standard output and standard error
  std::int64_t peak_kib = 0;  // resident memory
};

// Its two outputs go to files in `folder`, so that neither can block it.
inline Program run_program(const std::filesystem::path& folder, const std::vector<std::string>& arguments) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gesso";
  std::vector<char*> words = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  const std::array<std::filesystem::path, 2> outputs = {folder / "program.out", folder / "program.err"};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 2; ++i)
    posix_spawn_file_actions_addopen(&actions, i + 1, outputs[static_cast<std::size_t>(i)].c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0666);
  pid_t child = 0;
  const int problem = posix_spawn(&child, program.c_str(), &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) fail(ErrorKind::io, "cannot start {}", program);
  int status = 0;
  rusage used{};
  wait4(child, &status, 0, &used);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text_file(outputs[0], 1 << 24),
          read_text_file(outputs[1], 1 << 24), used.ru_maxrss};
}

}  // namespace gesso
