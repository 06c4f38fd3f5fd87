// The program that is built beside this test, left running.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"

namespace gesso {

class StartedProgram {
 public:
  // Its two outputs go to the file `output`, or standard error to `errors`.
  StartedProgram(const std::filesystem::path& output, std::vector<std::string> words,
                 const std::filesystem::path& errors = {}) {
    const std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gesso";
    words.insert(words.begin(), program);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (errors.empty())
      posix_spawn_file_actions_adddup2(&actions, 1, 2);
    else
      posix_spawn_file_actions_addopen(&actions, 2, errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    const int problem = posix_spawn(&process_, program.c_str(), &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) fail(ErrorKind::io, "cannot start {}", program);
  }
  ~StartedProgram() {
    if (process_ > 0) end(SIGKILL);
  }
  StartedProgram(const StartedProgram&) = delete;
  StartedProgram& operator=(const StartedProgram&) = delete;

  bool runs() {
    if (process_ > 0 && waitpid(process_, &status_, WNOHANG) == process_) process_ = 0;
    return process_ > 0;
  }
  pid_t process() const { return process_; }  // 0: ended
  void send(int signal) {
    if (runs()) kill(process_, signal);
  }
  // Returns the exit code, or 128 + the signal that ended it.
  int wait() {
    if (process_ > 0) waitpid(process_, &status_, 0);
    process_ = 0;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }
  int end(int signal) {
    send(signal);
    return wait();
  }

 private:
  pid_t process_ = 0;  // 0: ended
  int status_ = 0;
};

}  // namespace gesso
