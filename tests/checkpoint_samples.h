// Checkpoints whose every byte follows from their step, so that a test knows a wrong one from a right one.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "train/checkpoint_store.h"

namespace gesso {

using Contents = std::map<std::string, std::vector<std::byte>>;

inline Contents sample_contents(std::int64_t step, std::size_t bytes = 300) {
  std::mt19937_64 random(static_cast<std::uint64_t>(step));
  Contents contents = {{"weights.safetensors", {}}, {"state.safetensors", {}}, {"moment1.safetensors", {}}};
  for (auto& [name, content] : contents) {
    content.resize(bytes + random() % 16);
    for (std::byte& byte : content) byte = static_cast<std::byte>(random());
  }
  contents["empty.safetensors"] = {};
  return contents;
}

// As a snapshot gives them: some in two pieces.
inline std::vector<CheckpointFile> files_of(const Contents& contents) {
  std::vector<CheckpointFile> files;
  for (const auto& [name, content] : contents) {
    const std::span<const std::byte> all = content;
    files.push_back({name, {all.first(all.size() / 3), all.subspan(all.size() / 3)}});
  }
  return files;
}

inline CheckpointStore::Saved save_sample(CheckpointStore& store, std::int64_t step) {
  const Contents contents = sample_contents(step);
  return store.save(step, files_of(contents));
}

inline VerifiedCheckpoint load_all(const CheckpointStore& store) {
  return store.load_newest([](std::string_view, const Manifest&) { return true; });
}

// Whether that step was loaded, and every byte of it as it was saved.
inline bool holds_sample(const VerifiedCheckpoint& checkpoint, std::int64_t step) {
  return checkpoint.checkpoint.step == step && checkpoint.files == sample_contents(step);
}

}  // namespace gesso
