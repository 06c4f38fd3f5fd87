#include <algorithm>
#include <memory>

#include "core/profiler.h"
#include "ops/device_kernels.h"
#include "ops/op.h"

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

// What one call leaves for its backward.
class RecordedOp final : public Recorded {
 public:
  RecordedOp(const RowInfo& row, const Attributes& attrs, const Execution& run, const Kernels& kernels)
      : row_(row), attrs_(attrs), run_(run), kernels_(kernels), path_(module_path()) {}

  void save(std::span<const Tensor> in, std::span<const Tensor> out, Operands wanted) {
    keep(in, row_.saved_inputs(attrs_, wanted), in_);
    keep(out, row_.saved_outputs(attrs_, wanted), out_);
  }
  std::string_view name() const override { return row_.name; }
  void backward(std::span<const Tensor> dy, std::span<Tensor> dx) override {
    check_versions(in_);
    check_versions(out_);
    ProfileRange range(RangeKind::op, row_.name);
    kernels_.backward(attrs_, {run_, in_.tensors, out_.tensors, dy, dx});
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
        fail("{}: backward needs {} {}, but {} has overwritten it since the forward pass{}", row_.name, t.name(),
             t.spec().text(), t.last_writer(), path_.empty() ? "" : fmt::format(" (in {})", path_));
    }
  }

  const RowInfo& row_;
  Attributes attrs_;
  Execution run_;
  const Kernels& kernels_;
  std::string path_;
  Saved in_, out_;
};

void record(Tape& tape, const RowInfo& row, const Attributes& attrs, const Execution& run, const Kernels& kernels,
            std::span<const Tensor> in, std::span<const Tensor> out) {
  Operands wanted = 0;
  for (std::size_t i = 0; i < in.size(); ++i)
    if (has(row.differentiable, i) && tape.knows(in[i])) wanted |= operands(i);
  if (!wanted) return;
  auto op = std::make_unique<RecordedOp>(row, attrs, run, kernels);
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
  const Execution run{device, thread_pool(), isa()};
  Tensors out;
  for (const Spec& spec : row.infer(attrs, specs))
    out.push_back(spec.dtype == DType::none ? Tensor() : Tensor(spec, device));
  const Kernels& kernels = row.kernels(device.kind(), specs);
  {
    ProfileRange range(RangeKind::op, row.name);
    if (Profiler::instance().on()) range.add_work(row.flops(attrs, specs), row.bytes(attrs, specs));
    kernels.forward(attrs, {run, in, out});
  }
  for (std::size_t i = 0; i < in.size(); ++i)
    if (has(row.in_place, i) && in[i]) in[i].mark_written(row.name);
  if (Tape* tape = Tape::current(); tape && row.differentiable) record(*tape, row, attrs, run, kernels, in, out);
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
  std::string operands;
  for (const Spec& s : in) operands += fmt::format("{}{}", operands.empty() ? "" : ", ", s.text());
  fail("{}: no kernel on {} for ({})", name, gesso::name_of(device), operands);
}

Tensors dispatch_on(Device& device, const RowInfo& row, const Attributes& attrs, std::span<const Tensor> in) {
  try {
    return run_op(device, row, attrs, in);
  } catch (const Error& error) {
    const std::string path = module_path();
    if (path.empty()) throw;
    throw Error(error.kind(), fmt::format("{} (in {})", error.what(), path));
  }
}

Tensors dispatch(const RowInfo& row, const Attributes& attrs, std::span<const Tensor> in) {
  return dispatch_on(common_device(row, in), row, attrs, in);
}

}  // namespace gesso
