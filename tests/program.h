// Runs the program that is built beside this test, in a process of its own.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
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
  double cpu_seconds = 0;     // of all its threads
};

// Its two outputs go to files in `folder`, so that neither can block it.
inline Program run_program(const std::filesystem::path& folder, const std::vector<std::string>& arguments) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gesso";
  // A process inherits the peak memory of the one that starts it, so a small shell does. The shell leaves at once, and
  // its child becomes ours.
  const std::array<const char*, 5> shell = {"/bin/sh", "-c", "\"$@\" &", "sh", program.c_str()};
  std::vector<char*> words;
  for (const char* word : shell) words.push_back(const_cast<char*>(word));
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const std::array<std::filesystem::path, 2> outputs = {folder / "program.out", folder / "program.err"};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 2; ++i)
    posix_spawn_file_actions_addopen(&actions, i + 1, outputs[static_cast<std::size_t>(i)].c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0666);
  pid_t child = 0;  // the shell
  const int problem = posix_spawn(&child, shell[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) fail(ErrorKind::io, "cannot start {}", program);
  int status = 0;
  rusage used{};
  for (int ended = 0; ended < 2; ++ended) {
    int its_status = 0;
    rusage its_use{};
    if (wait4(-1, &its_status, 0, &its_use) == child) continue;
    status = its_status;
    used = its_use;
  }
  prctl(PR_SET_CHILD_SUBREAPER, 0);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text_file(outputs[0], 1 << 24),
          read_text_file(outputs[1], 1 << 24), used.ru_maxrss, seconds(used.ru_utime) + seconds(used.ru_stime)};
}

}  // namespace gesso
