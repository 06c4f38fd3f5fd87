#include "train/folder_listing.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/rng.h"
#include "train/recipe.h"
#include "train/run_history.h"
#include "train/text.h"

namespace gesso {
namespace {

namespace fs = std::filesystem;

struct Subfolder {
  std::string name;  // below the folder, with a '/' behind; empty: the folder itself
  std::int32_t label = 0;
  int depth = 0;
};

class Walk {
 public:
  explicit Walk(const Path& folder) : folder_(folder), real_(fs::canonical(folder)) {}

  FolderListing go(bool with_classes) {
    std::error_code ignored;
    for (const std::string& name : with_classes ? list_directory(folder_) : std::vector<std::string>())
      if (!hidden(name) && fs::symlink_status(folder_ / name, ignored).type() == fs::file_type::directory &&
          !is_of_runs(folder_ / name))
        listing_.classes.push_back(name);
    std::vector<Subfolder> open = {{"", listing_.classes.empty() ? 0 : ListedFile::kNoClass, 0}};
    while (!open.empty()) {
      const Subfolder next = std::move(open.back());
      open.pop_back();
      visit(next, open);
    }
    std::ranges::sort(listing_.files, {}, &ListedFile::name);
    return std::move(listing_);
  }

 private:
  static bool hidden(const std::string& name) { return name.starts_with('.'); }
  // What gesso train made there: its pictures are no data.
  static bool is_run(const Path& folder) {
    std::error_code ignored;
    return fs::is_regular_file(folder / kConfigFile, ignored) && fs::is_regular_file(folder / kMetricsFile, ignored);
  }
  static bool is_of_runs(const Path& folder) {
    if (is_run(folder)) return true;
    try {
      const std::vector<std::string> names = list_directory(folder);
      return !names.empty() && std::ranges::all_of(names, [&](const auto& name) { return is_run(folder / name); });
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::memory) throw;
      return false;  // visit() will say why it cannot be read
    }
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
    ListedFile file{at.name + name, at.label};
    if (type == fs::file_type::directory) {
      if (is_run(path)) return;
      const auto place = std::ranges::lower_bound(listing_.classes, name) - listing_.classes.begin();
      open.push_back({file.name + "/", at.depth == 0 ? static_cast<std::int32_t>(place) : at.label, at.depth + 1});
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

double place_of(const std::string& name) {
  return static_cast<double>(random_key(0, Purpose::data, name) >> 11) * 0x1p-53;
}

}  // namespace gesso
