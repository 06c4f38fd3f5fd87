// The device `cuda`: CUDA's runtime behind cuda/runtime.h, ranges for NVIDIA's profilers.
#include "cuda/gpu.h"

#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>

#include <memory>
#include <string>

#include "core/error.h"
#include "core/profiler.h"
#include "cuda/device.h"
#include "cuda/kernel_list.h"
#include "cuda/launch_record.h"

namespace gesso::cuda {
namespace {

// Errors of kernels that run later are told by whatever call comes next.
void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  const std::string_view op = op_at_work();
  const ErrorKind kind = error == cudaErrorMemoryAllocation ? ErrorKind::memory : ErrorKind::io;
  fail(kind, "cuda: {}: {}{}{}; a kernel may have failed earlier: CUDA_LAUNCH_BLOCKING=1 shows which", what,
       cudaGetErrorString(error), op.empty() ? "" : ", at or before op ", op);
}

cudaStream_t of(cu::Stream stream) { return reinterpret_cast<cudaStream_t>(stream); }
cudaEvent_t of(Event event) { return reinterpret_cast<cudaEvent_t>(event); }
cudaGraphExec_t of(Recorded recorded) { return reinterpret_cast<cudaGraphExec_t>(recorded); }

// Null where there is no memory left; anything else is an error.
template <class Allocate>
void* memory_of(Allocate&& allocate, const char* what) {
  void* memory = nullptr;
  const cudaError_t error = allocate(&memory);
  if (error == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();  // it is told here, and no call's any more
    return nullptr;
  }
  check(error, what);
  return memory;
}
void* allocate(std::size_t bytes) {
  return memory_of([&](void** memory) { return cudaMalloc(memory, bytes); }, "allocating memory");
}
void release(void* memory) { (void)cudaFree(memory); }  // of a destructor: the next call tells what is wrong
std::size_t available() {
  std::size_t left = 0, all = 0;
  check(cudaMemGetInfo(&left, &all), "asking what memory is left");
  return left;
}
void* allocate_host(std::size_t bytes) {
  return memory_of([&](void** memory) { return cudaMallocHost(memory, bytes); }, "allocating page-locked memory");
}
void release_host(void* memory) { (void)cudaFreeHost(memory); }

cu::Stream make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return reinterpret_cast<cu::Stream>(stream);
}
void drop_stream(cu::Stream stream) { (void)cudaStreamDestroy(of(stream)); }
Event event_with(unsigned flags) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, flags | cudaEventBlockingSync), "making an event");
  return reinterpret_cast<Event>(event);
}
Event make_event() { return event_with(cudaEventDisableTiming); }
Event make_timed_event() { return event_with(cudaEventDefault); }
void drop_event(Event event) { (void)cudaEventDestroy(of(event)); }
void record(Event event, cu::Stream stream) { check(cudaEventRecord(of(event), of(stream)), "recording an event"); }
void wait(Event event) { check(cudaEventSynchronize(of(event)), "waiting for the device"); }
double seconds(Event begin, Event end) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, of(begin), of(end)), "timing");
  return static_cast<double>(milliseconds) * 1e-3;
}
void synchronize(cu::Stream stream) { check(cudaStreamSynchronize(of(stream)), "waiting for the device"); }

void copy(cu::Stream stream, void* to, const void* from, std::size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, of(stream)), "copying");
}
void fill(cu::Stream stream, void* to, std::byte value, std::size_t bytes) {
  check(cudaMemsetAsync(to, std::to_integer<int>(value), bytes, of(stream)), "filling memory");
}

// Relaxed: the allocator may still ask for memory while a step is recorded.
void begin_capture(cu::Stream stream) {
  check(cudaStreamBeginCapture(of(stream), cudaStreamCaptureModeRelaxed), "recording a graph");
}
Recorded end_capture(cu::Stream stream) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(of(stream), &graph), "recording a graph");
  const std::unique_ptr<CUgraph_st, cudaError_t (*)(cudaGraph_t)> dropped_at_end(graph, cudaGraphDestroy);
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, graph, 0), "making a graph");
  return reinterpret_cast<Recorded>(executable);
}
void launch(Recorded recorded, cu::Stream stream) {
  check(cudaGraphLaunch(of(recorded), of(stream)), "launching a graph");
}
void drop(Recorded recorded) { (void)cudaGraphExecDestroy(of(recorded)); }

constexpr Runtime kRuntime = {.allocate = allocate,
                              .release = release,
                              .available = available,
                              .set_usable = nullptr,
                              .allocate_host = allocate_host,
                              .release_host = release_host,
                              .make_stream = make_stream,
                              .drop_stream = drop_stream,
                              .make_event = make_event,
                              .make_timed_event = make_timed_event,
                              .drop_event = drop_event,
                              .record = record,
                              .wait = wait,
                              .seconds = seconds,
                              .synchronize = synchronize,
                              .copy = copy,
                              .fill = fill,
                              .begin_capture = begin_capture,
                              .end_capture = end_capture,
                              .launch = launch,
                              .drop = drop,
                              .launches = cu::launches};

// Steps, phases, modules and ops appear in Nsight by name.
constexpr RangeObserver kNvtxRanges = {
    .opened = [](RangeKind, std::string_view name) { nvtxRangePushA(std::string(name).c_str()); },
    .closed = [](RangeKind) { nvtxRangePop(); }};

// Throws, with what is missing, where this machine cannot run the kernels.
void check_machine() {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaErrorInsufficientDriver) {
    int version = 0;
    (void)cudaDriverGetVersion(&version);
    if (version == 0) fail("device cuda: this machine has no NVIDIA driver; install one, or use --device cpu");
    fail(
        "device cuda: the NVIDIA driver of this machine is for CUDA {}.{}, this build needs {}.{}; renew it, or use "
        "--device cpu",
        version / 1000, version % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && devices == 0))
    fail(
        "device cuda: the driver finds no GPU (CUDA_VISIBLE_DEVICES hides those that it does not name); use --device "
        "cpu");
  if (error != cudaSuccess) fail("device cuda: the driver says: {}; use --device cpu", cudaGetErrorString(error));
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0), "asking for the GPU's properties");
  if (properties.major < 8)
    fail("device cuda: {} has compute capability {}.{}; the kernels need 8.0 or more; use --device cpu",
         static_cast<const char*>(properties.name), properties.major, properties.minor);
}

}  // namespace

void register_gpu() {
  register_device(DeviceKind::cuda, [] {
    check_machine();
    set_range_observer(kNvtxRanges);
    return std::make_unique<CudaDevice>(DeviceKind::cuda, kRuntime);
  });
  register_all_kernels<cu::Cuda>(DeviceKind::cuda);
}

}  // namespace gesso::cuda
