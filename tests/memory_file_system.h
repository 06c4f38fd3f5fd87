// A file system in memory that knows what of it is on disk: only what was synced. When the power is cut, what was not
// synced is lost, or there, or there in part, in any order, as a seed decides.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "train/file_system.h"

namespace gesso {

class MemoryFileSystem : public FileSystem {
 public:
  MemoryFileSystem() : nodes_(1) { nodes_[0].is_directory = true; }

  // From the call with this number on (the first has number 0) nothing is done, and every call fails.
  void cut_power_at(std::int64_t call) { cut_ = call; }
  bool has_power() const { return calls_ <= cut_; }
  std::int64_t calls() const { return calls_; }
  std::size_t open_handles() const { return open_.size(); }
  // What the next start finds on disk. Names of a directory that was not synced may be old, new, or some of each; of
  // bytes that were not synced each write may be lost, whole, torn, all zero, or rubbish.
  std::unique_ptr<MemoryFileSystem> after_power_cut(std::uint64_t seed) const;

  // The content of a file that is there.
  std::vector<std::byte>& content(const Path& path) { return nodes_.at(find(path).value()).content; }

  IoResult open_file(const Path& path) override;
  IoResult open_directory(const Path& path) override;
  IoResult create_file(const Path& path) override;
  IoResult lock_file(const Path& path, std::string_view text) override;
  IoResult size(int handle) override;
  IoResult read(int handle, std::span<std::byte> to) override;
  IoResult seek(int handle, std::uint64_t offset) override;
  IoResult write(int handle, std::span<const std::byte> bytes) override;
  IoResult sync(int handle) override;
  IoResult close(int handle) override;
  IoResult make_directory(const Path& path) override;
  IoResult rename(const Path& from, const Path& to) override;
  IoResult remove(const Path& path) override;
  IoResult list(const Path& path, std::vector<std::string>& names) override;

 private:
  using Names = std::map<std::string, std::size_t>;
  // Of names of one directory, in one piece: a name and its new node, none where it goes.
  using Change = std::vector<std::pair<std::string, std::optional<std::size_t>>>;
  struct Write {
    std::size_t offset;
    std::vector<std::byte> bytes;
  };
  struct Node {
    bool is_directory = false, is_locked = false;
    std::vector<std::byte> content = {}, on_disk = {};
    std::vector<Write> writes = {};  // not synced
    Names names = {}, names_on_disk = {};
    std::vector<Change> changes = {};  // not synced
  };
  struct Open {
    std::size_t node = 0, position = 0;
    bool has_lock = false;
  };

  bool power() { return calls_++ < cut_; }
  std::optional<std::size_t> find(const Path& path) const;
  // The directory that a path lies in.
  std::optional<std::size_t> parent(const Path& path) const;
  IoResult open(std::size_t node, bool has_lock = false);
  void change(std::size_t directory, const Change& change);
  IoResult make(const Path& path, bool is_directory);

  std::vector<Node> nodes_;  // the first is the root
  std::map<int, Open> open_;
  int next_handle_ = 3;
  std::int64_t calls_ = 0, cut_ = INT64_MAX;
};

}  // namespace gesso
