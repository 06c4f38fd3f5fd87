#include <algorithm>
#include <memory>
#include <utility>

#include "core/memory_use.h"
#include "core/profiler.h"
#include "ops/device_kernels.h"
#include "ops/op.h"
#include "ops/op_watch.h"

namespace gesso {
namespace {

bool present(const Tensor& t) { return static_cast<bool>(t); }

Device& common_device(const RowInfo& row, std::span<const Tensor> in) {
  const auto first = std::ranges::find_if(in, present);
  if (first == in.end()) fail("{}: no operand was given, so there is no device to run on", row.name);
  for (const Tensor& t : in)
    if (t && &t.device() != &first->device())
      fail("{}: operands lie on different devices ({} on {}, {} on {}); copy them to one first", row.name,
           first->spec().text(), first->device().name(), t.spec().text(), t.device().name());
  return first->device();
}

void check_dtypes(const RowInfo& row, std::span<const Spec> in) {
  if (row.mixed_dtypes) return;
  const auto floating = [](const Spec& s) { return is_floating(s.dtype); };
  const auto first = std::ranges::find_if(in, floating);
  for (const Spec& s : in)
    if (floating(s) && s.dtype != first->dtype)
      fail("{}: operands of different types ({}, {}); cast one of them", row.name, first->text(), s.text());
}

// Runs `work`; an error in it names the module as well.
template <class Work>
auto told_with_path(const std::string& path, Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (path.empty()) throw;
    throw Error(error.kind(), fmt::format("{} (in {})", error.what(), path));
  }
}

// The reference's loops know no pool: on a dry device they are left out.
bool runs_kernels(const Device& device) { return device.computes() || device.kind() != DeviceKind::reference; }

// What the profiler is told of a call; empty where it is off.
struct Described {
  double flops = 0;  // of the forward pass
  std::string operands;
};

std::string list_of(std::span<const Spec> specs) {
  std::string list;
  for (const Spec& s : specs) list += fmt::format("{}{}", list.empty() ? "" : ", ", s.text());
  return list;
}

// What one call leaves for its backward.
class RecordedOp final : public Recorded {
 public:
  RecordedOp(const RowInfo& row, const Attributes& attrs, const Execution& run, const Kernels& kernels,
             Described described)
      : row_(row),
        attrs_(attrs),
        run_(run),
        kernels_(kernels),
        described_(std::move(described)),
        path_(module_path()) {}

  void save(std::span<const Tensor> in, std::span<const Tensor> out, Operands wanted) {
    keep(in, row_.saved_inputs(attrs_, wanted), in_);
    keep(out, row_.saved_outputs(attrs_, wanted), out_);
  }
  std::string_view name() const override { return row_.name; }
  std::string_view module() const override { return path_; }
  void backward(std::span<const Tensor> dy, std::span<Tensor> dx) override {
    told_with_path(path_, [&] {
      check_versions(in_);
      check_versions(out_);
      ProfileRange range(RangeKind::op, row_.name);
      describe(range, dy, dx);
      if (runs_kernels(run_.device)) kernels_.backward(attrs_, {run_, in_.tensors, out_.tensors, dy, dx});
      if (OpWatch::is_on()) OpWatch::tell({.op = row_.name, .module = path_, .pass = OpPass::backward, .tensors = dx});
    });
  }

 private:
  struct Saved {
    Tensors tensors;
    std::vector<std::uint32_t> versions;
  };
  static void keep(std::span<const Tensor> tensors, Operands which, Saved& saved) {
    saved.tensors.resize(tensors.size());
    saved.versions.resize(tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (!has(which, i) || !tensors[i]) continue;
      saved.tensors[i] = tensors[i];
      saved.versions[i] = tensors[i].version();
    }
  }
  void check_versions(const Saved& saved) const {
    for (std::size_t i = 0; i < saved.tensors.size(); ++i) {
      const Tensor& t = saved.tensors[i];
      if (t && t.version() != saved.versions[i])
        fail("{}: backward needs {} {}, but {} has overwritten it since the forward pass", row_.name, t.name(),
             t.spec().text(), t.last_writer());
    }
  }
  // As bench ops counts it: a gradient of more than a vector is as much work as the forward pass; of two at the most,
  // since no op is more than bilinear (a residual's gradient is dy).
  void describe(ProfileRange& range, std::span<const Tensor> dy, std::span<const Tensor> dx) const {
    if (!Profiler::instance().on()) return;
    std::string pass = "gradients";
    for (std::size_t i = 0; i < dx.size(); ++i)
      if (dx[i]) pass += fmt::format(" {}", i);
    range.describe(std::move(pass), described_.operands);
    const auto is_large = [](const Tensor& t) { return t && t.shape().rank() > 1; };
    double bytes = 0;
    for (const std::span<const Tensor> tensors :
         {std::span<const Tensor>(in_.tensors), std::span<const Tensor>(out_.tensors), dy, dx})
      for (const Tensor& t : tensors) bytes += static_cast<double>(t.spec().bytes());
    const std::ptrdiff_t times = std::clamp<std::ptrdiff_t>(std::ranges::count_if(dx, is_large), 1, 2);
    range.add_work(described_.flops * static_cast<double>(times), bytes);
  }

  const RowInfo& row_;
  Attributes attrs_;
  Execution run_;
  const Kernels& kernels_;
  Described described_;
  std::string path_;
  Saved in_, out_;
};

void record(Tape& tape, const RowInfo& row, const Attributes& attrs, const Execution& run, const Kernels& kernels,
            Described described, std::span<const Tensor> in, std::span<const Tensor> out) {
  Operands wanted = 0;
  for (std::size_t i = 0; i < in.size(); ++i)
    if (has(row.differentiable, i) && tape.knows(in[i])) wanted |= operands(i);
  if (!wanted) return;
  auto op = std::make_unique<RecordedOp>(row, attrs, run, kernels, std::move(described));
  op->save(in, out, wanted);
  Tensors tracked(in.begin(), in.end());  // an operand whose gradient does not exist is a constant to the tape
  for (std::size_t i = 0; i < tracked.size(); ++i)
    if (!has(wanted, i)) tracked[i] = {};
  tape.record(tracked, out, std::move(op));
}

Tensors run_op(Device& device, const RowInfo& row, const Attributes& attrs, std::span<const Tensor> in) {
  Specs specs;
  specs.reserve(in.size());
  for (const Tensor& x : in) specs.push_back(x.spec());
  check_dtypes(row, specs);
  const Execution run{device, device.computes() ? thread_pool() : idle_pool(), isa()};
  const Specs results = row.infer(attrs, specs);
  Tensors out;
  for (const Spec& spec : results) out.push_back(spec.dtype == DType::none ? Tensor() : Tensor(spec, device));
  const Kernels& kernels = row.kernels(device.kind(), specs);
  Described described;
  {
    ProfileRange range(RangeKind::op, row.name);
    if (Profiler::instance().on()) {
      described = {row.flops(attrs, specs), fmt::format("{} -> {}", list_of(specs), list_of(results))};
      range.add_work(described.flops, row.bytes(attrs, specs));
      range.describe("forward", described.operands);
    }
    if (runs_kernels(device)) kernels.forward(attrs, {run, in, out});
  }
  if (OpWatch::is_on()) OpWatch::tell({.op = row.name, .module = module_path(), .tensors = out});
  for (std::size_t i = 0; i < in.size(); ++i)
    if (has(row.in_place, i) && in[i]) in[i].mark_written(row.name);
  if (Tape* tape = Tape::current(); tape && row.differentiable)
    record(*tape, row, attrs, run, kernels, std::move(described), in, out);
  return out;
}

}  // namespace

const Kernels& RowInfo::kernels(DeviceKind device, std::span<const Spec> in) const {
  const auto is_f64 = [](const Spec& s) { return s.dtype == DType::f64; };
  const bool f64 = std::ranges::any_of(in, is_f64);
  if (device == DeviceKind::reference) return f64 ? reference_f64 : reference_f32;
  if (!f64) {
    if (device == DeviceKind::cpu) return cpu;
    if (const Kernels* found = registered_kernels(device, name)) return *found;
    fail("{}: there is no kernel on {} yet; use --device cpu", name, gesso::name_of(device));
  }
  fail("{}: no kernel on {} for ({})", name, gesso::name_of(device), list_of(in));
}

Tensors dispatch_on(Device& device, const RowInfo& row, const Attributes& attrs, std::span<const Tensor> in) {
  const std::string path = module_path();
  const MemoryUse use(row.name, path);
  return told_with_path(path, [&] { return run_op(device, row, attrs, in); });
}

Tensors dispatch(const RowInfo& row, const Attributes& attrs, std::span<const Tensor> in) {
  return dispatch_on(common_device(row, in), row, attrs, in);
}

}  // namespace gesso
