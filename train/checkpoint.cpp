#include "train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "core/error.h"
#include "ops/weight_layout.h"
#include "train/manifest.h"

namespace gesso {
namespace {

// One file of a checkpoint: which parameters, and in which arena their values lie.
struct RoleFile {
  std::string name;
  nn::ParamKind kind;
  Tensor arena;
};

std::string file_name(std::string_view role) { return std::string(role) + ".safetensors"; }

std::vector<RoleFile> training_files(const nn::ParamStore& store, const nn::Optimizer& optimizer) {
  std::vector<RoleFile> files = {{"weights", nn::ParamKind::trained, store.weights()},
                                 {"state", nn::ParamKind::state, store.state()}};
  if (optimizer.first_moment()) files.push_back({"moment1", nn::ParamKind::trained, optimizer.first_moment()});
  if (optimizer.second_moment()) files.push_back({"moment2", nn::ParamKind::trained, optimizer.second_moment()});
  if (optimizer.ema()) files.push_back({"ema", nn::ParamKind::trained, optimizer.ema()});
  return files;
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

// What a file of a role holds, checked against the parameters and ready to be copied.
class RoleReader {
 public:
  RoleReader(const Path& path, std::span<const std::byte> content, RoleFile role, const nn::ParamStore& store)
      : role_(std::move(role)), file_(path, content), store_(store) {}

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

void load_files(const VerifiedCheckpoint& verified, const nn::ParamStore& store, const std::vector<RoleFile>& files) {
  const Path& directory = verified.checkpoint.directory;
  std::vector<std::unique_ptr<RoleReader>> readers;
  std::vector<std::string> complaints;
  for (const RoleFile& role : files) {
    const auto content = verified.files.find(file_name(role.name));
    if (content == verified.files.end()) {
      complaints.push_back(fmt::format("it has no {}", file_name(role.name)));
      continue;
    }
    readers.push_back(std::make_unique<RoleReader>(directory / content->first, content->second, role, store));
    readers.back()->check(complaints);
  }
  if (!complaints.empty())
    fail(ErrorKind::data, "checkpoint {} does not fit this model: {}; was it made by another recipe?",
         directory.string(), fmt::join(complaints, "; "));
  for (const auto& reader : readers) reader->copy();
  store.mark_written("load_checkpoint");
}

}  // namespace

CheckpointStore checkpoint_store(const Path& run, FileSystem& files) { return {run / "checkpoints", files}; }

std::vector<Checkpoint> list_checkpoints(const Path& run) { return checkpoint_store(run).list(); }

std::size_t checkpoint_bytes(const nn::ParamStore& store, const nn::Optimizer& optimizer) {
  std::size_t bytes = 0;
  for (const RoleFile& file : training_files(store, optimizer)) bytes += file.arena.spec().bytes();
  return bytes;
}

CheckpointSnapshot::CheckpointSnapshot(const nn::ParamStore& store, const nn::Optimizer& optimizer) {
  for (const RoleFile& file : training_files(store, optimizer)) {
    Role role{.file = file_name(file.name), .arena = file.arena};
    std::vector<nn::Param> declared;
    for (const nn::Param& param : store.params()) {
      if (param.spec().kind != file.kind) continue;
      declared.push_back(param);
      role.entries.push_back(safetensors_entry(param.name(), {disk_shape(param), file.arena.dtype()}, {}));
    }
    const SafetensorsHead head = safetensors_head(role.file, role.entries);
    for (const std::size_t i : head.order) role.params.push_back(declared[i]);
    role.data.resize(head.data_bytes);
    roles_.push_back(std::move(role));
  }
}

void CheckpointSnapshot::take(std::int64_t step) {
  for (Role& role : roles_) {
    const SafetensorsMetadata metadata = {{"format", "pt"}, {"gesso.step", std::to_string(step)}};
    role.head = safetensors_head(role.file, role.entries, metadata).bytes;
    std::span<std::byte> left = role.data;
    for (const nn::Param& param : role.params) {
      const Tensor value = to_disk_order(nn::ParamStore::part_of(role.arena, param), param);
      value.copy_to_host(left.first(value.spec().bytes()));
      left = left.subspan(value.spec().bytes());
    }
  }
  step_ = step;
}

std::vector<CheckpointFile> CheckpointSnapshot::files() const {
  std::vector<CheckpointFile> files;
  for (const Role& role : roles_) files.push_back({role.file, {std::as_bytes(std::span(role.head)), role.data}});
  return files;
}

void load_checkpoint(const VerifiedCheckpoint& checkpoint, const nn::ParamStore& store,
                     const nn::Optimizer& optimizer) {
  load_files(checkpoint, store, training_files(store, optimizer));
}

void load_weights(const VerifiedCheckpoint& checkpoint, const nn::ParamStore& store) {
  const bool has_average = checkpoint.files.contains(file_name("ema"));
  load_files(checkpoint, store,
             {{has_average ? "ema" : "weights", nn::ParamKind::trained, store.weights()},
              {"state", nn::ParamKind::state, store.state()}});
}

bool is_wanted_for_inference(std::string_view file, const Manifest& manifest) {
  const std::string ema = file_name("ema");
  const bool has_average = std::ranges::find(manifest.files, ema, &Manifest::File::name) != manifest.files.end();
  return file == (has_average ? ema : file_name("weights")) || file == file_name("state");
}

}  // namespace gesso
