// Scripts of tools/ under test, and small ones that stand in for the programs that they start.
#pragma once

#include <cstdio>
#include <filesystem>
#include <string>

#include "core/error.h"
#include "tests/temporary_directory.h"

namespace gesso {

struct Ended {
  int status = -1;   // as of waitpid
  std::string text;  // both outputs
};
inline Ended run_in_shell(const std::string& command) {
  Ended ended;
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (!pipe) fail(ErrorKind::io, "cannot start {}", command);
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) ended.text.append(buffer, got);
  ended.status = pclose(pipe);
  return ended;
}

// For sh.
inline void write_script(const TemporaryDirectory& folder, const std::string& name, const std::string& text) {
  std::filesystem::permissions(folder.write(name, "#!/bin/sh\n" + text), std::filesystem::perms::owner_all);
}

}  // namespace gesso
