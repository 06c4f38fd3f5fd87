#include "tests/memory_file_system.h"

#include <algorithm>
#include <cerrno>
#include <random>

namespace gesso {
namespace {

constexpr IoResult kNoPower = {.error = EIO};

// What a power cut does to things that were not synced.
enum class Fate : std::uint8_t { lost, whole, torn, zero, rubbish };

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : random_(seed), all_(seed % 8) {}

  // Of one write. Some seeds lose everything and some nothing.
  Fate of_write() {
    if (all_ == 0) return Fate::lost;
    if (all_ == 1) return Fate::whole;
    return static_cast<Fate>(random_() % 5);
  }
  bool keeps_change() { return all_ == 0 ? false : all_ == 1 || random_() % 2 == 0; }
  std::size_t below(std::size_t end) { return end == 0 ? 0 : random_() % end; }
  std::byte byte() { return static_cast<std::byte>(random_()); }

 private:
  std::mt19937_64 random_;
  std::uint64_t all_;
};

void leave(Fate fate, std::size_t offset, std::vector<std::byte> bytes, Chance& chance, std::vector<std::byte>& disk) {
  if (fate == Fate::lost) return;
  if (fate == Fate::torn) bytes.resize(chance.below(bytes.size()));
  if (fate == Fate::zero) std::ranges::fill(bytes, std::byte{0});
  if (fate == Fate::rubbish) std::ranges::generate(bytes, [&] { return chance.byte(); });
  disk.resize(std::max(disk.size(), offset + bytes.size()));
  std::ranges::copy(bytes, disk.begin() + static_cast<std::ptrdiff_t>(offset));
}

template <class Names, class Change>
void carry_out(const Change& change, Names& names) {
  for (const auto& [name, node] : change)
    if (node)
      names[name] = *node;
    else
      names.erase(name);
}

}  // namespace

std::unique_ptr<MemoryFileSystem> MemoryFileSystem::after_power_cut(std::uint64_t seed) const {
  Chance chance(seed);
  auto found = std::make_unique<MemoryFileSystem>();
  found->nodes_ = nodes_;
  for (Node& node : found->nodes_) {
    for (const Write& write : node.writes) leave(chance.of_write(), write.offset, write.bytes, chance, node.on_disk);
    for (const Change& change : node.changes)
      if (chance.keeps_change()) carry_out(change, node.names_on_disk);
    node.content = node.on_disk;
    node.names = node.names_on_disk;
    node.writes.clear();
    node.changes.clear();
    node.is_locked = false;
  }
  return found;
}

std::optional<std::size_t> MemoryFileSystem::find(const Path& path) const {
  std::size_t node = 0;
  for (const Path& part : path.relative_path()) {
    const auto entry = nodes_[node].names.find(part.string());
    if (entry == nodes_[node].names.end()) return std::nullopt;
    node = entry->second;
  }
  return node;
}

std::optional<std::size_t> MemoryFileSystem::parent(const Path& path) const {
  const auto node = find(path.parent_path());
  return node && nodes_[*node].is_directory ? node : std::nullopt;
}

IoResult MemoryFileSystem::open(std::size_t node, bool has_lock) {
  open_[next_handle_] = {.node = node, .has_lock = has_lock};
  return {.value = next_handle_++};
}

void MemoryFileSystem::change(std::size_t directory, const Change& change) {
  carry_out(change, nodes_[directory].names);
  nodes_[directory].changes.push_back(change);
}

IoResult MemoryFileSystem::make(const Path& path, bool is_directory) {
  const auto directory = parent(path);
  if (!directory) return {.error = ENOENT};
  if (find(path)) return {.error = EEXIST};
  nodes_.push_back({.is_directory = is_directory});
  change(*directory, {{path.filename().string(), nodes_.size() - 1}});
  return {.value = static_cast<std::int64_t>(nodes_.size() - 1)};
}

IoResult MemoryFileSystem::open_file(const Path& path) {
  if (!power()) return kNoPower;
  const auto node = find(path);
  return node ? open(*node) : IoResult{.error = ENOENT};
}

IoResult MemoryFileSystem::open_directory(const Path& path) {
  if (!power()) return kNoPower;
  const auto node = find(path);
  if (!node) return {.error = ENOENT};
  return nodes_[*node].is_directory ? open(*node) : IoResult{.error = ENOTDIR};
}

IoResult MemoryFileSystem::create_file(const Path& path) {
  if (!power()) return kNoPower;
  const IoResult made = make(path, false);
  return made.error != 0 ? made : open(static_cast<std::size_t>(made.value));
}

IoResult MemoryFileSystem::lock_file(const Path& path, std::string_view text) {
  if (!power()) return kNoPower;
  if (!find(path))
    if (const IoResult made = make(path, false); made.error != 0) return made;
  const std::size_t node = *find(path);
  if (nodes_[node].is_locked) return {.error = EWOULDBLOCK};
  nodes_[node].is_locked = true;
  const auto bytes = std::as_bytes(std::span(text));
  nodes_[node].content.assign(bytes.begin(), bytes.end());
  return open(node, true);
}

IoResult MemoryFileSystem::size(int handle) {
  if (!power()) return kNoPower;
  return {.value = static_cast<std::int64_t>(nodes_[open_.at(handle).node].content.size())};
}

IoResult MemoryFileSystem::read(int handle, std::span<std::byte> to) {
  if (!power()) return kNoPower;
  Open& open = open_.at(handle);
  const Node& node = nodes_[open.node];
  if (node.is_directory) return {.error = EISDIR};
  const std::size_t count = std::min(to.size(), node.content.size() - open.position);
  std::copy_n(node.content.begin() + static_cast<std::ptrdiff_t>(open.position), count, to.begin());
  open.position += count;
  return {.value = static_cast<std::int64_t>(count)};
}

IoResult MemoryFileSystem::seek(int handle, std::uint64_t offset) {
  if (!power()) return kNoPower;
  Open& open = open_.at(handle);
  open.position = std::min<std::size_t>(offset, nodes_[open.node].content.size());
  return {};
}

IoResult MemoryFileSystem::write(int handle, std::span<const std::byte> bytes) {
  if (!power()) return kNoPower;
  Open& open = open_.at(handle);
  Node& node = nodes_[open.node];
  node.writes.push_back({open.position, {bytes.begin(), bytes.end()}});
  node.content.insert(node.content.end(), bytes.begin(), bytes.end());
  open.position += bytes.size();
  return {.value = static_cast<std::int64_t>(bytes.size())};
}

IoResult MemoryFileSystem::sync(int handle) {
  if (!power()) return kNoPower;
  Node& node = nodes_[open_.at(handle).node];
  node.on_disk = node.content;
  node.names_on_disk = node.names;
  node.writes.clear();
  node.changes.clear();
  return {};
}

IoResult MemoryFileSystem::close(int handle) {
  const Open closed = open_.at(handle);
  open_.erase(handle);
  if (!power()) return kNoPower;
  if (closed.has_lock) nodes_[closed.node].is_locked = false;
  return {};
}

IoResult MemoryFileSystem::make_directory(const Path& path) {
  if (!power()) return kNoPower;
  const IoResult made = make(path, true);
  return {.error = made.error};
}

IoResult MemoryFileSystem::rename(const Path& from, const Path& to) {
  if (!power()) return kNoPower;
  const auto directory = parent(from), node = find(from), target = find(to);
  if (!node) return {.error = ENOENT};
  if (parent(to) != directory) return {.error = EXDEV};
  if (target && nodes_[*target].is_directory != nodes_[*node].is_directory) return {.error = ENOTDIR};
  if (target && !nodes_[*target].names.empty()) return {.error = ENOTEMPTY};
  change(*directory, {{from.filename().string(), std::nullopt}, {to.filename().string(), *node}});
  return {};
}

IoResult MemoryFileSystem::remove(const Path& path) {
  if (!power()) return kNoPower;
  const auto node = find(path);
  if (!node) return {.error = ENOENT};
  if (!nodes_[*node].names.empty()) return {.error = ENOTEMPTY};
  change(*parent(path), {{path.filename().string(), std::nullopt}});
  return {};
}

IoResult MemoryFileSystem::list(const Path& path, std::vector<std::string>& names) {
  if (!power()) return kNoPower;
  names.clear();
  const auto node = find(path);
  if (!node) return {.error = ENOENT};
  if (!nodes_[*node].is_directory) return {.error = ENOTDIR};
  for (const auto& [name, unused] : nodes_[*node].names) names.push_back(name);
  return {};
}

}  // namespace gesso
