#include "cuda/vendor/cudnn.h"

#include <cudnn.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <vector>

#include "core/error.h"
#include "cuda/entry.h"

namespace gesso::cuda::vendor {
namespace {

void check(cudnnStatus_t status, const char* doing, const char* what = "") {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 512> details{};
  cudnnGetLastErrorString(details.data(), details.size());
  fail(ErrorKind::io, "cuDNN: {}{}: {} {}", doing, what, cudnnGetErrorString(status), details.data());
}

// Lives until the program ends: at its very end CUDA may be gone before a static object is.
cudnnHandle_t library(const Device& device) {
  static const cudnnHandle_t handle = [&] {
    cudnnHandle_t made = nullptr;
    check(cudnnCreate(&made), "starting the library");
    check(cudnnSetStream(made, reinterpret_cast<cudaStream_t>(stream_of(device))), "taking the device's stream");
    return made;
  }();
  return handle;
}

// One of the library's objects: attributes are set, then it is finalised.
class Descriptor {
 public:
  Descriptor(cudnnBackendDescriptorType_t type, const char* what) : what_(what) {
    cudnnBackendDescriptor_t made = nullptr;
    check(cudnnBackendCreateDescriptor(type, &made), "making ", what);
    handle_.reset(made);
  }
  cudnnBackendDescriptor_t get() const { return handle_.get(); }

  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count, const void* values) {
    check(cudnnBackendSetAttribute(get(), name, type, count, values), "describing ", what_);
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T& value) {
    set(name, type, 1, &value);
  }
  void set(cudnnBackendAttributeName_t name, std::initializer_list<std::int64_t> values) {
    set(name, CUDNN_TYPE_INT64, std::ssize(values), values.begin());
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& part) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, part.get());
  }
  void finalize() { check(cudnnBackendFinalize(get()), "finalising ", what_); }
  // False where the library has no support for it.
  bool finalize_if_supported() {
    const cudnnStatus_t status = cudnnBackendFinalize(get());
    if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) return false;
    check(status, "finalising ", what_);
    return true;
  }
  // How many there are; of them the first `room` are read.
  std::int64_t read(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t room,
                    void* values) const {
    std::int64_t count = 0;
    check(cudnnBackendGetAttribute(get(), name, type, room, &count, values), "reading ", what_);
    return count;
  }

 private:
  const char* what_;
  Owned<void, cudnnBackendDestroyDescriptor> handle_;
};

// How the graph names its tensors.
enum TensorId : std::int64_t { kX = 1, kWeight, kY };

struct Extent {
  std::int64_t n, h, w, c;
};

// Dimensions are told in the order NCHW; strides say that channels lie side by side.
Descriptor tensor(TensorId id, const Extent& e) {
  Descriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "a tensor");
  t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  t.set(CUDNN_ATTR_TENSOR_DIMENSIONS, {e.n, e.c, e.h, e.w});
  t.set(CUDNN_ATTR_TENSOR_STRIDES, {e.h * e.w * e.c, 1, e.w * e.c, e.c});
  t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {id});
  t.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, {16});
  t.finalize();
  return t;
}

// What lies behind an image so that the last position of the kernel just fits.
std::int64_t padding_behind(std::int64_t size, std::int64_t padding, std::int64_t results, std::int64_t stride,
                            std::int64_t kernel, std::int64_t dilation) {
  return std::max<std::int64_t>(0, (results - 1) * stride + (kernel - 1) * dilation + 1 - size - padding);
}

Descriptor window(const ConvGeometry& g) {
  Descriptor w(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "a convolution's window");
  w.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, {2});
  w.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  w.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
  w.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {g.pad_top, g.pad_left});
  w.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS,
        {padding_behind(g.H, g.pad_top, g.OH, g.stride_h, g.kernel_h, g.dilation_h),
         padding_behind(g.W, g.pad_left, g.OW, g.stride_w, g.kernel_w, g.dilation_w)});
  w.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {g.stride_h, g.stride_w});
  w.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {g.dilation_h, g.dilation_w});
  w.finalize();
  return w;
}

// The library's names for the three passes.
struct PassNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, weight, y, window, alpha, beta;
};
PassNames names_of(ConvolutionPass pass) {
  switch (pass) {
    case ConvolutionPass::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    case ConvolutionPass::input_gradient:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    case ConvolutionPass::weight_gradient:
      break;
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

// A graph of one operation. What it is made of lives as long.
struct Graph {
  Graph(cudnnHandle_t handle, const ConvGeometry& g, ConvolutionPass pass)
      : x(tensor(kX, {g.N, g.H, g.W, g.C})),
        weight(tensor(kWeight, {g.K, g.kernel_h, g.kernel_w, g.C / g.groups})),
        y(tensor(kY, {g.N, g.OH, g.OW, g.K})),
        over(window(g)),
        operation(names_of(pass).type, "a convolution"),
        graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "a graph") {
    const PassNames names = names_of(pass);
    operation.set(names.x, x);
    operation.set(names.weight, weight);
    operation.set(names.y, y);
    operation.set(names.window, over);
    operation.set(names.alpha, CUDNN_TYPE_FLOAT, 1.0f);
    operation.set(names.beta, CUDNN_TYPE_FLOAT, 0.0f);
    operation.finalize();
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle);
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
    graph.finalize();
  }
  Descriptor x, weight, y, over, operation, graph;
};

// Engines with their settings, the one that is expected to be fastest first.
std::vector<Descriptor> engines_for(const Descriptor& graph) {
  Descriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "a heuristic");
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_A);
  heuristic.finalize();
  std::int64_t count = heuristic.read(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, nullptr);
  std::vector<Descriptor> engines;
  std::vector<cudnnBackendDescriptor_t> handles;
  for (std::int64_t i = 0; i < count; ++i)
    handles.push_back(engines.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "an engine's settings").get());
  count = heuristic.read(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, handles.data());
  engines.erase(engines.begin() + std::min(count, std::ssize(engines)), engines.end());
  return engines;
}

// Of f32, tensor cores multiply what was rounded to TF32.
bool keeps_to(Precision precision, const Descriptor& settings) {
  if (precision == Precision::tf32) return true;
  const Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR, "an engine");
  cudnnBackendDescriptor_t handle = engine.get();
  settings.read(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &handle);
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
  const std::int64_t count = std::min(
      std::ssize(notes),
      engine.read(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, std::ssize(notes), notes.data()));
  return std::none_of(notes.begin(), notes.begin() + count, [](cudnnBackendNumericalNote_t note) {
    return note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
  });
}

std::optional<Descriptor> plan_for(cudnnHandle_t handle, const Descriptor& settings) {
  Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "a plan");
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, handle);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, settings);
  if (!plan.finalize_if_supported()) return std::nullopt;
  std::int64_t bytes = 0;
  plan.read(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &bytes);
  if (bytes > static_cast<std::int64_t>(Workspace::kBytes)) return std::nullopt;
  return plan;
}

struct ConvolutionPlan {
  ConvolutionPlan(const ConvGeometry& g, ConvolutionPass pass, const ConvolutionTensors& of)
      : tensors(of),
        handle(library(of.y.device())),
        graph(handle, g, pass),
        engines(engines_for(graph.graph)),
        workspace(of.y.device()),
        operands(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "the operands") {
    const std::array<void*, 3> pointers = {tensors.x.bytes(), tensors.weight.bytes(), tensors.y.bytes()};
    operands.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, {kX, kWeight, kY});
    operands.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::ssize(pointers), pointers.data());
    operands.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace.data());
    operands.finalize();
  }

  // Whether there is an engine.
  bool choose(Precision precision) {
    for (const Descriptor& settings : engines) {
      if (!keeps_to(precision, settings)) continue;
      plan = plan_for(handle, settings);
      if (plan) return true;
    }
    return false;
  }
  void run() const { check(cudnnBackendExecute(handle, plan->get(), operands.get()), "computing a convolution"); }

  ConvolutionTensors tensors;
  cudnnHandle_t handle;
  Graph graph;
  std::vector<Descriptor> engines;
  Workspace workspace;
  Descriptor operands;
  std::optional<Descriptor> plan;
};

}  // namespace

std::function<void()> convolution(const ConvGeometry& g, ConvolutionPass pass, const ConvolutionTensors& tensors,
                                  Precision precision) {
  const auto plan = std::make_shared<ConvolutionPlan>(g, pass, tensors);
  if (!plan->choose(precision)) return {};
  return [plan] { plan->run(); };
}

}  // namespace gesso::cuda::vendor
