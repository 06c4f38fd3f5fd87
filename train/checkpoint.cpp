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

std::string file_name(std::string_view role) { return std::string(role) + ".safetensors"; }

// The parameters of a kind, whose values lie in that arena.
StoredFile role_file(std::string_view role, const nn::ParamStore& store, nn::ParamKind kind, const Tensor& arena) {
  StoredFile file{.name = file_name(role), .tensors = {}};
  for (const nn::Param& param : store.params())
    if (param.spec().kind == kind)
      file.tensors.push_back({param.name(), nn::ParamStore::part_of(arena, param), param.spec().disk_order});
  return file;
}

Tensor to_disk_order(const StoredTensor& stored) {
  return stored.order == nn::DiskOrder::same ? stored.value : ops::ohwi_to_oihw(stored.value);
}
Tensor from_disk_order(const Tensor& value, nn::DiskOrder order) {
  return order == nn::DiskOrder::same ? value : ops::oihw_to_ohwi(value);
}
Spec disk_spec(const StoredTensor& stored) {
  const Shape& s = stored.value.shape();
  return {stored.order == nn::DiskOrder::same ? s : Shape{s[0], s[3], s[1], s[2]}, stored.value.dtype()};
}

// What a file holds, checked against what it should hold and ready to be copied.
class RoleReader {
 public:
  RoleReader(const Path& path, std::span<const std::byte> content, StoredFile wanted)
      : wanted_(std::move(wanted)), file_(path, content) {}

  void check(std::vector<std::string>& complaints) const {
    std::size_t found = 0;
    for (const StoredTensor& tensor : wanted_.tensors) {
      const SafetensorsEntry* entry = file_.find(tensor.name);
      found += entry != nullptr;
      const Spec wanted = disk_spec(tensor);
      if (!entry)
        complaints.push_back(fmt::format("{} lacks {}", wanted_.name, tensor.name));
      else if (entry->spec() != wanted)
        complaints.push_back(fmt::format("{} has {} as {}, expected {}", wanted_.name, tensor.name,
                                         entry->spec().text(), wanted.text()));
    }
    if (found == file_.entries().size()) return;
    for (const SafetensorsEntry& entry : file_.entries())
      if (std::ranges::find(wanted_.tensors, entry.name, &StoredTensor::name) == wanted_.tensors.end())
        complaints.push_back(fmt::format("{} has an unexpected {}", wanted_.name, entry.name));
  }
  void copy() const {
    for (const StoredTensor& tensor : wanted_.tensors) {
      const SafetensorsEntry& entry = file_.at(tensor.name);
      const Tensor value = Tensor::from_host_bytes(entry.data, entry.spec(), tensor.value.device());
      tensor.value.copy_from(from_disk_order(value, tensor.order));
    }
  }

 private:
  StoredFile wanted_;
  SafetensorsFile file_;
};

}  // namespace

void load_checkpoint(const VerifiedCheckpoint& verified, const nn::ParamStore& store, std::vector<StoredFile> files) {
  const Path& directory = verified.checkpoint.directory;
  std::vector<std::unique_ptr<RoleReader>> readers;
  std::vector<std::string> complaints;
  for (StoredFile& file : files) {
    const auto content = verified.files.find(file.name);
    if (content == verified.files.end()) {
      if (!file.optional) complaints.push_back(fmt::format("it has no {}", file.name));
      continue;
    }
    readers.push_back(std::make_unique<RoleReader>(directory / file.name, content->second, std::move(file)));
    readers.back()->check(complaints);
  }
  if (!complaints.empty())
    fail(ErrorKind::data, "checkpoint {} does not fit this model: {}; was it made by another recipe?",
         directory.string(), fmt::join(complaints, "; "));
  for (const auto& reader : readers) reader->copy();
  store.mark_written("load_checkpoint");
}

CheckpointStore checkpoint_store(const Path& run, FileSystem& files) { return {run / "checkpoints", files}; }

std::vector<Checkpoint> list_checkpoints(const Path& run) { return checkpoint_store(run).list(); }

std::vector<StoredFile> step_files(const nn::ParamStore& store, const nn::Optimizer& optimizer) {
  return {role_file("weights", store, nn::ParamKind::trained, store.weights()),
          role_file("state", store, nn::ParamKind::state, store.state()),
          {.name = file_name("recent"), .tensors = {{"recent", optimizer.gate().recent()}}, .optional = true}};
}

std::vector<StoredFile> training_files(const nn::ParamStore& store, const nn::Optimizer& optimizer,
                                       const Tensor& recent_codes) {
  std::vector<StoredFile> files = step_files(store, optimizer);
  const auto add = [&](std::string_view role, const Tensor& arena) {
    if (arena) files.push_back(role_file(role, store, nn::ParamKind::trained, arena));
  };
  add("moment1", optimizer.first_moment());
  add("moment2", optimizer.second_moment());
  add("ema", optimizer.ema());
  if (recent_codes)
    files.push_back({.name = file_name("recent_codes"), .tensors = {{"recent_codes", recent_codes}}, .optional = true});
  return files;
}

std::size_t checkpoint_bytes(std::span<const StoredFile> files) {
  std::size_t bytes = 0;
  for (const StoredFile& file : files)
    for (const StoredTensor& tensor : file.tensors) bytes += tensor.value.spec().bytes();
  return bytes;
}

CheckpointSnapshot::CheckpointSnapshot(std::vector<StoredFile> files) {
  for (StoredFile& file : files) {
    Role role{.file = std::move(file.name), .tensors = {}};
    for (const StoredTensor& tensor : file.tensors)
      role.entries.push_back(safetensors_entry(tensor.name, disk_spec(tensor), {}));
    const SafetensorsHead head = safetensors_head(role.file, role.entries);
    for (const std::size_t i : head.order) role.tensors.push_back(file.tensors[i]);
    role.data.resize(head.data_bytes);
    roles_.push_back(std::move(role));
  }
}

void CheckpointSnapshot::take(std::int64_t step) {
  for (Role& role : roles_) {
    const SafetensorsMetadata metadata = {{"format", "pt"}, {"gesso.step", std::to_string(step)}};
    role.head = safetensors_head(role.file, role.entries, metadata).bytes;
    std::span<std::byte> left = role.data;
    for (const StoredTensor& tensor : role.tensors) {
      const Tensor value = to_disk_order(tensor);
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

void load_weights(const VerifiedCheckpoint& checkpoint, const nn::ParamStore& store) {
  const bool has_average = checkpoint.files.contains(file_name("ema"));
  load_checkpoint(checkpoint, store,
                  {role_file(has_average ? "ema" : "weights", store, nn::ParamKind::trained, store.weights()),
                   role_file("state", store, nn::ParamKind::state, store.state())});
}

bool is_wanted_for_inference(std::string_view file, const Manifest& manifest) {
  const std::string ema = file_name("ema");
  const bool has_average = std::ranges::find(manifest.files, ema, &Manifest::File::name) != manifest.files.end();
  return file == (has_average ? ema : file_name("weights")) || file == file_name("state");
}

}  // namespace gesso
