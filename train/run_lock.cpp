#include "train/run_lock.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "core/error.h"
#include "train/text.h"

namespace gesso {
namespace {

std::string this_process() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return fmt::format("process {} on {}\n", getpid(), host.data());
}

// As it wrote itself; it may be about to.
std::string holder(FileSystem& files, const Path& path) {
  constexpr std::uint64_t kMaxBytes = 4096;
  const auto text = read_file_if_there(files, path, kMaxBytes);
  if (!text || text->empty()) return "another process";
  return escaped({reinterpret_cast<const char*>(text->data()), text->size() - 1});
}

OpenFile locked(FileSystem& files, const Path& run) {
  const Path path = run / kLockFile;
  if (std::optional<OpenFile> file = OpenFile::locked(files, path, this_process())) return std::move(*file);
  fail("{} is in use by {}; wait until that ends, or give another --out", run.string(), holder(files, path));
}

}  // namespace

RunLock::RunLock(FileSystem& files, const Path& run) : file_(locked(files, run)) {}

}  // namespace gesso
