#include "train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "core/error.h"
#include "ops/weight_layout.h"
#include "train/safetensors.h"

namespace gesso {
namespace {

constexpr std::string_view kPrefix = "step-";

// One file of a checkpoint: which parameters, and in which arena their values lie.
struct RoleFile {
  std::string name;
  nn::ParamKind kind;
  Tensor arena;
};

std::vector<RoleFile> training_files(const nn::ParamStore& store, const nn::Optimizer& optimizer) {
  std::vector<RoleFile> files = {{"weights", nn::ParamKind::trained, store.weights()},
                                 {"state", nn::ParamKind::state, store.state()}};
  if (optimizer.first_moment()) files.push_back({"moment1", nn::ParamKind::trained, optimizer.first_moment()});
  if (optimizer.second_moment()) files.push_back({"moment2", nn::ParamKind::trained, optimizer.second_moment()});
  if (optimizer.ema()) files.push_back({"ema", nn::ParamKind::trained, optimizer.ema()});
  return files;
}

Path file_path(const Path& directory, std::string_view role) {
  return directory / (std::string(role) + ".safetensors");
}

Tensor to_disk_order(const Tensor& value, const nn::Param& param) {
  return param.spec().disk_order == nn::DiskOrder::same ? value : ops::ohwi_to_oihw(value);
}
Tensor from_disk_order(const Tensor& value, const nn::Param& param) {
  return param.spec().disk_order == nn::DiskOrder::same ? value : ops::oihw_to_ohwi(value);
}
Shape disk_shape(const nn::Param& param) {
  const Shape& s = param.spec().shape;
  return param.spec().disk_order == nn::DiskOrder::same ? s : Shape{s[0], s[3], s[1], s[2]};
}

std::string step_text(std::int64_t step) { return fmt::format("{}{:08}", kPrefix, step); }

void write_role(const Path& directory, const RoleFile& file, std::int64_t step, const nn::ParamStore& store) {
  std::vector<std::vector<std::byte>> contents;
  std::vector<SafetensorsEntry> entries;
  for (const nn::Param& param : store.params()) {
    if (param.spec().kind != file.kind) continue;
    const Tensor value = to_disk_order(nn::ParamStore::part_of(file.arena, param), param);
    contents.emplace_back(value.spec().bytes());
    value.copy_to_host(contents.back());
    entries.push_back(safetensors_entry(param.name(), value.spec(), contents.back()));
  }
  write_safetensors(file_path(directory, file.name), entries, {{"format", "pt"}, {"gesso.step", std::to_string(step)}});
}

// What a file of a role holds, checked against the parameters and ready to be copied.
class RoleReader {
 public:
  RoleReader(const Path& directory, RoleFile role, const nn::ParamStore& store)
      : role_(std::move(role)), file_(file_path(directory, role_.name)), store_(store) {}

  void check(std::vector<std::string>& complaints) const {
    std::size_t expected = 0;
    for (const nn::Param& param : store_.params()) {
      if (param.spec().kind != role_.kind) continue;
      const SafetensorsEntry* entry = file_.find(param.name());
      expected += entry != nullptr;
      const Spec wanted{disk_shape(param), role_.arena.dtype()};
      if (!entry)
        complaints.push_back(fmt::format("{} lacks {}", role_.name, param.name()));
      else if (entry->spec() != wanted)
        complaints.push_back(
            fmt::format("{} has {} as {}, expected {}", role_.name, param.name(), entry->spec().text(), wanted.text()));
    }
    if (expected < file_.entries().size())
      for (const SafetensorsEntry& entry : file_.entries())
        if (!known(entry.name)) complaints.push_back(fmt::format("{} has an unexpected {}", role_.name, entry.name));
  }
  void copy() const {
    for (const nn::Param& param : store_.params()) {
      if (param.spec().kind != role_.kind) continue;
      const SafetensorsEntry& entry = file_.at(param.name());
      const Tensor value = Tensor::from_host_bytes(entry.data, entry.spec(), store_.device());
      nn::ParamStore::part_of(role_.arena, param).copy_from(from_disk_order(value, param));
    }
  }

 private:
  bool known(std::string_view name) const {
    return std::ranges::any_of(store_.params(),
                               [&](const nn::Param& p) { return p.name() == name && p.spec().kind == role_.kind; });
  }
  RoleFile role_;
  SafetensorsFile file_;
  const nn::ParamStore& store_;
};

void load_files(const Checkpoint& checkpoint, const nn::ParamStore& store, const std::vector<RoleFile>& files) {
  std::vector<std::unique_ptr<RoleReader>> readers;
  std::vector<std::string> complaints;
  for (const RoleFile& file : files) {
    readers.push_back(std::make_unique<RoleReader>(checkpoint.directory, file, store));
    readers.back()->check(complaints);
  }
  if (!complaints.empty())
    fail(ErrorKind::data, "checkpoint {} does not fit this model: {}; was it made by another recipe?",
         checkpoint.directory.string(), fmt::join(complaints, "; "));
  for (const auto& reader : readers) reader->copy();
  store.mark_written("load_checkpoint");
}

}  // namespace

std::vector<Checkpoint> list_checkpoints(const Path& run) {
  std::vector<Checkpoint> found;
  const Path all = run / "checkpoints";
  if (!std::filesystem::is_directory(all)) return found;
  for (const std::string& name : list_directory(all)) {
    if (!name.starts_with(kPrefix)) continue;
    const char* const end = name.data() + name.size();
    std::int64_t step = -1;
    const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, step);
    if (parsed.ec == std::errc() && parsed.ptr == end && step >= 0) found.push_back({step, all / name});
  }
  std::ranges::sort(found, {}, &Checkpoint::step);
  return found;
}

Checkpoint latest_checkpoint(const Path& run) {
  const std::vector<Checkpoint> all = list_checkpoints(run);
  if (all.empty())
    fail(ErrorKind::data, "no checkpoint in {}; expected folders {}<digits> there, as gesso train writes them",
         (run / "checkpoints").string(), kPrefix);
  return all.back();
}

Checkpoint save_checkpoint(const Path& run, std::int64_t step, const nn::ParamStore& store,
                           const nn::Optimizer& optimizer) {
  const Checkpoint checkpoint{step, run / "checkpoints" / step_text(step)};
  if (std::filesystem::exists(checkpoint.directory)) return checkpoint;
  make_directories(checkpoint.directory.parent_path());
  StagedDirectory staged(checkpoint.directory);
  for (const RoleFile& file : training_files(store, optimizer)) write_role(staged.path(), file, step, store);
  staged.publish();
  return checkpoint;
}

void load_checkpoint(const Checkpoint& checkpoint, const nn::ParamStore& store, const nn::Optimizer& optimizer) {
  load_files(checkpoint, store, training_files(store, optimizer));
}

void load_weights(const Checkpoint& checkpoint, const nn::ParamStore& store, bool average) {
  const bool has_average = std::filesystem::exists(file_path(checkpoint.directory, "ema"));
  load_files(checkpoint, store,
             {{average && has_average ? "ema" : "weights", nn::ParamKind::trained, store.weights()},
              {"state", nn::ParamKind::state, store.state()}});
}

void prune_checkpoints(const Path& run, std::int64_t keep) {
  const std::vector<Checkpoint> all = list_checkpoints(run);
  if (keep <= 0) return;
  for (std::size_t i = 0; i + static_cast<std::size_t>(keep) < all.size(); ++i) remove_directory(all[i].directory);
}

}  // namespace gesso
