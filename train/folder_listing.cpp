#include "train/folder_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/rng.h"
#include "train/picture.h"
#include "train/recipe.h"
#include "train/run_history.h"
#include "train/run_lock.h"
#include "train/text.h"

namespace gesso {
namespace {

namespace fs = std::filesystem;

struct Subfolder {
  std::string name;  // below the folder, with a '/' behind; empty: the folder itself
  int depth = 0;
};

// The folder's own folder that the file lies in; empty: none.
std::string_view top_of(const ListedFile& file) {
  const std::size_t end = file.name.find('/');
  return std::string_view(file.name).substr(0, end == std::string::npos ? 0 : end);
}

class Walk {
 public:
  explicit Walk(const Path& folder) : folder_(folder), real_(fs::canonical(folder)) {}

  FolderListing go(bool with_classes) {
    std::vector<Subfolder> open = {{"", 0}};
    while (!open.empty()) {
      const Subfolder next = std::move(open.back());
      open.pop_back();
      visit(next, open);
    }
    std::ranges::sort(listing_.files, {}, &ListedFile::name);
    std::ranges::sort(listing_.runs);
    if (with_classes) find_classes();
    return std::move(listing_);
  }

 private:
  static bool hidden(const std::string& name) { return name.starts_with('.'); }
  // What gesso train made there: its pictures are no data. A run that has just begun has no metrics yet.
  static bool is_run(const Path& folder) {
    const auto has = [&](const char* name) {
      std::error_code ignored;
      return fs::is_regular_file(folder / name, ignored);
    };
    return has(kConfigFile) && (has(kLockFile) || has(kMetricsFile));
  }

  void visit(const Subfolder& at, std::vector<Subfolder>& open) {
    constexpr int kDeepest = 32;
    if (at.depth > kDeepest) refuse(at, fmt::format("it lies more than {} folders deep", kDeepest));
    std::vector<std::string> names;
    try {
      names = list_directory(folder_ / at.name);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::memory) throw;
      refuse(at, escaped(error.what()));
    }
    for (const std::string& name : names)
      if (!hidden(name)) take(at, name, open);
  }

  void take(const Subfolder& at, const std::string& name, std::vector<Subfolder>& open) {
    std::error_code error;
    const Path path = folder_ / (at.name + name);
    const fs::file_type type = fs::symlink_status(path, error).type();
    ListedFile file{at.name + name};
    if (type == fs::file_type::directory) {
      if (is_run(path))
        listing_.runs.push_back(std::move(file.name));
      else
        open.push_back({file.name + "/", at.depth + 1});
      return;
    }
    if (error)
      file.problem = "cannot be looked at: " + error.message();
    else if (type == fs::file_type::symlink)
      file.problem = problem_of_link(path);
    else if (type != fs::file_type::regular)
      file.problem = "is neither a file nor a folder";
    listing_.files.push_back(std::move(file));
  }

  void find_classes() {
    std::vector<std::string>& classes = listing_.classes;
    for (const ListedFile& file : listing_.files)  // those of one folder stand together
      if (const std::string_view top = top_of(file);
          !top.empty() && (classes.empty() || classes.back() != top) && counts(folder_, file))
        classes.emplace_back(top);
    if (classes.empty()) return;
    std::ranges::sort(classes);
    for (ListedFile& file : listing_.files) {
      const auto place = std::ranges::lower_bound(classes, top_of(file));
      const bool has_class = place != classes.end() && *place == top_of(file);
      file.label = has_class ? static_cast<std::int32_t>(place - classes.begin()) : ListedFile::kNoClass;
    }
  }

  std::string problem_of_link(const Path& link) const {
    std::error_code error;
    const Path target = fs::canonical(link, error);
    if (error == std::errc::no_such_file_or_directory) return "is a link to nothing";
    if (error) return "cannot be looked at: " + error.message();
    const auto [end, unused] = std::ranges::mismatch(real_, target);
    if (end != real_.end()) return "is a link out of the folder";
    const fs::file_type type = fs::status(target, error).type();
    if (type == fs::file_type::directory) return "is a link to a folder";
    return type == fs::file_type::regular ? "" : "is a link to what is neither a file nor a folder";
  }

  [[noreturn]] void refuse(const Subfolder& at, const std::string& why) const {
    fail(ErrorKind::io, "{}: the folder {} cannot be used: {}; make it readable, or move it out", folder_.string(),
         in_quotes(at.name), why);
  }

  const Path& folder_;
  const Path real_;
  FolderListing listing_;
};

}  // namespace

FolderListing list_folder(const Path& folder, bool with_classes) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    fail(ErrorKind::data,
         "data path '{}': is no directory; expected a folder of PNG and JPEG files, or of one folder a class with such "
         "files in it",
         folder.string());
  return Walk(folder).go(with_classes);
}

std::string text_of_runs(std::span<const std::string> runs) {
  constexpr std::size_t kShown = 3;
  if (runs.empty()) return {};
  std::string names;
  for (const std::string& run : runs.first(std::min(kShown, runs.size())))
    names += fmt::format("{}{}", names.empty() ? "" : ", ", in_quotes(run));
  const bool one = runs.size() == 1;
  return fmt::format("{}, with all in {}: {}{}",
                     one ? "1 folder of a run" : fmt::format("{} folders of runs", runs.size()), one ? "it" : "them",
                     names, runs.size() > kShown ? ", ..." : "");
}

bool counts(const Path& folder, const ListedFile& file) {
  if (!file.problem.empty()) return true;
  try {
    return is_meant_as_picture(folder / file.name);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data && error.kind() != ErrorKind::io) throw;
    return true;
  }
}

double place_of(const std::string& name) {
  return static_cast<double>(random_key(0, Purpose::data, name) >> 11) * 0x1p-53;
}

}  // namespace gesso
