// The files of a folder that may be pictures, in an order that depends on their names alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "train/files.h"

namespace gesso {

struct ListedFile {
  std::string name;        // below the folder, with '/' between
  std::int32_t label = 0;  // kNoClass: in no class folder, where there are some
  std::string problem{};   // why it must not be opened; else empty
  static constexpr std::int32_t kNoClass = -1;
};
struct FolderListing {
  std::vector<ListedFile> files;     // sorted by name
  std::vector<std::string> classes;  // sorted; empty: no classes
  std::vector<std::string> runs;     // folders of runs below it, sorted: nothing in them is listed
};

// Walks the folder and all below it; with_classes: the folders in it that have files that count, in them or deeper, are
// the classes, so that labels follow from the pictures alone. Left out are names that start with a dot, and folders of
// runs; refused, with the reason as `problem`: links out of the folder, links to folders (they could lead in circles),
// what is neither file nor folder (opening a pipe would never return). Throws ErrorKind::data where there is no such
// folder, ErrorKind::io where one below it cannot be read or lies too deep: nobody knows how many pictures would be
// missing.
FolderListing list_folder(const Path& folder, bool with_classes = true);

// "1 folder of a run, with all in it: 'runs/one'": of FolderListing::runs. Empty: nothing was.
std::string text_of_runs(std::span<const std::string> runs);

// Whether a file listed in the folder is one of the data set, used or not: one that is meant as a picture, or of which
// nobody can tell.
bool counts(const Path& folder, const ListedFile& file);

// Where a file stands in [0, 1): a hash of its name alone, so that files that join or leave move no other one. The
// validation split of a share are the files below it.
double place_of(const std::string& name);
inline bool is_validation(const std::string& name, double share) { return place_of(name) < share; }

}  // namespace gesso
