#include "cuda/device.h"

#include "core/allocator.h"
#include "core/dry_device.h"
#include "core/error.h"
#include "core/profiler.h"
#include "cuda/binary.h"
#include "cuda/copy.h"

namespace gesso::cuda {
namespace {

// For destructors: a device that has failed says so to whoever asks it next.
void wait_quietly(const Runtime& runtime, cu::Stream stream) noexcept {
  try {
    runtime.synchronize(stream);
  } catch (const Error&) {
  }
}

// What a stream recorded, with the memory that it works on.
class CudaGraph final : public Graph {
 public:
  explicit CudaGraph(const CudaDevice& device) : device_(device), memory_(device.allocator()) {}
  ~CudaGraph() override {
    if (!recorded_) return;
    wait_quietly(device_.runtime(), device_.stream());  // its last launch may be under way
    device_.runtime().drop(recorded_);
  }
  void launch() override { device_.runtime().launch(recorded_, device_.stream()); }

  void finish(Recorded recorded) {
    recorded_ = recorded;
    memory_.close();
  }

 private:
  const CudaDevice& device_;
  MemoryPool memory_;
  Recorded recorded_ = nullptr;
};

// Its stream records from beginning to end, and drops what it recorded: kernels are launched, and none runs.
class DryCudaDevice final : public CudaDevice {
 public:
  DryCudaDevice(DeviceKind kind, const Runtime& runtime) : CudaDevice(kind, runtime) {
    runtime.begin_capture(stream());
  }
  ~DryCudaDevice() override {
    allocator().trim();
    try {
      runtime().drop(runtime().end_capture(stream()));
    } catch (const Error&) {  // nothing of it is wanted
    }
  }

  bool computes() const override { return false; }
  bool can_capture() const override { return false; }
  void* allocate(std::size_t bytes) override { return addresses_.take(bytes); }
  void release(void*, std::size_t) noexcept override {}
  void copy_from_host(void*, const void*, std::size_t) override {}
  void copy_to_host(void* to, const void*, std::size_t bytes) override { answer_ones(to, bytes); }
  std::unique_ptr<HostCopy> start_copy_to_host(const void* from, std::size_t bytes) override {
    return Device::start_copy_to_host(from, bytes);
  }
  void copy(void*, const void*, std::size_t) override {}
  void fill_bytes(void*, std::byte, std::size_t) override {}
  void fill(DType, std::int64_t, double, void*) override {}
  void accumulate(DType, std::int64_t, const void*, void*) override {}
  void synchronize() override {}

 private:
  DryAddresses addresses_{DryAddresses::Backing::none};
};

}  // namespace

CudaDevice::CudaDevice(DeviceKind kind, const Runtime& runtime)
    : Device(kind), runtime_(runtime), stream_(runtime.make_stream()), staging_(runtime) {
  allocator().set_watch(runtime.set_usable);
}

// What the allocator still keeps goes back while there is a runtime to give it to.
CudaDevice::~CudaDevice() {
  wait_quietly(runtime_, stream_);
  allocator().trim();
  runtime_.drop_stream(stream_);
}

std::unique_ptr<Device> CudaDevice::dry() const { return std::make_unique<DryCudaDevice>(kind(), runtime_); }
void* CudaDevice::allocate(std::size_t bytes) { return runtime_.allocate(bytes); }
void CudaDevice::release(void* memory, std::size_t) noexcept { runtime_.release(memory); }

void CudaDevice::copy_from_host(void* to, const void* from, std::size_t bytes) {
  refuse_while_capturing("a copy from");
  staging_.upload(stream_, to, from, bytes);
}
void CudaDevice::copy_to_host(void* to, const void* from, std::size_t bytes) {
  refuse_while_capturing("a copy to");
  staging_.download(stream_, to, from, bytes);
}
std::unique_ptr<HostCopy> CudaDevice::start_copy_to_host(const void* from, std::size_t bytes) {
  refuse_while_capturing("a copy to");
  return staging_.start_download(stream_, from, bytes);
}
void CudaDevice::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes != 0) runtime_.copy(stream_, to, from, bytes);
}
void CudaDevice::fill_bytes(void* to, std::byte value, std::size_t bytes) {
  if (bytes != 0) runtime_.fill(stream_, to, value, bytes);
}

void CudaDevice::fill(DType dtype, std::int64_t n, double value, void* y) {
  if (dtype != DType::f32) fail("{}: elements of type {} cannot be filled with a number", name(), name_of(dtype));
  fill_with(*this, n, static_cast<float>(value), static_cast<float*>(y));
}
void CudaDevice::accumulate(DType dtype, std::int64_t n, const void* x, void* y) {
  if (dtype != DType::f32) fail("{}: gradients of type {} cannot be added", name(), name_of(dtype));
  add_to(*this, n, static_cast<const float*>(x), static_cast<float*>(y));
}

void CudaDevice::synchronize() {
  refuse_while_capturing("a wait by");
  runtime_.synchronize(stream_);
}

void CudaDevice::refuse_while_capturing(const char* what) const {
  if (!capturing_) return;
  const std::string path = module_path();
  fail("{}: {} the host while work is being recorded{}{}; recorded work may depend on memory of the device alone",
       name(), what, path.empty() ? "" : ", in ", path);
}

std::unique_ptr<Graph> CudaDevice::capture(const std::function<void()>& work) {
  auto graph = std::make_unique<CudaGraph>(*this);
  runtime_.begin_capture(stream_);
  capturing_ = true;
  try {
    work();
  } catch (...) {
    capturing_ = false;
    try {
      runtime_.drop(runtime_.end_capture(stream_));
    } catch (const Error&) {  // the capture failed for the reason that is on its way already
    }
    throw;
  }
  capturing_ = false;
  graph->finish(runtime_.end_capture(stream_));
  return graph;
}

}  // namespace gesso::cuda
