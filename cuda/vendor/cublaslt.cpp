#include "cuda/vendor/cublaslt.h"

#include <cublasLt.h>

#include <type_traits>

#include "core/error.h"
#include "cuda/entry.h"

namespace gesso::cuda::vendor {
namespace {

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) fail(ErrorKind::io, "cuBLASLt: {}: {}", what, cublasLtGetStatusString(status));
}

// Lives until the program ends: at its very end CUDA may be gone before a static object is.
cublasLtHandle_t library() {
  static const cublasLtHandle_t handle = [] {
    cublasLtHandle_t made = nullptr;
    check(cublasLtCreate(&made), "starting the library");
    return made;
  }();
  return handle;
}

using Layout = Owned<std::remove_pointer_t<cublasLtMatrixLayout_t>, cublasLtMatrixLayoutDestroy>;
using Operation = Owned<std::remove_pointer_t<cublasLtMatmulDesc_t>, cublasLtMatmulDescDestroy>;
using Preference = Owned<std::remove_pointer_t<cublasLtMatmulPreference_t>, cublasLtMatmulPreferenceDestroy>;

template <class T>
void set(const Layout& layout, cublasLtMatrixLayoutAttribute_t attribute, const T& value) {
  check(cublasLtMatrixLayoutSetAttribute(layout.get(), attribute, &value, sizeof value), "describing a matrix");
}
template <class T>
void set(const Operation& operation, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  check(cublasLtMatmulDescSetAttribute(operation.get(), attribute, &value, sizeof value), "describing a product");
}
template <class T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
        "stating a preference");
}

// The library counts along columns first, so it sees each of our matrices transposed.
Layout layout_of(const Tensor& t) {
  const std::int64_t rows = t.dim(-2), columns = t.dim(-1), step = rows * columns;
  cublasLtMatrixLayout_t made = nullptr;
  check(cublasLtMatrixLayoutCreate(&made, CUDA_R_32F, static_cast<std::uint64_t>(columns),
                                   static_cast<std::uint64_t>(rows), columns),
        "describing a matrix");
  Layout layout(made);
  set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<std::int32_t>(step == 0 ? 0 : t.count() / step));
  set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, step);
  return layout;
}

Operation operation_of(bool transpose_first, bool transpose_second, Precision precision) {
  cublasLtMatmulDesc_t made = nullptr;
  check(
      cublasLtMatmulDescCreate(
          &made, precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F_PEDANTIC, CUDA_R_32F),
      "describing a product");
  Operation operation(made);
  set(operation, CUBLASLT_MATMUL_DESC_TRANSA, transpose_first ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(operation, CUBLASLT_MATMUL_DESC_TRANSB, transpose_second ? CUBLAS_OP_T : CUBLAS_OP_N);
  return operation;
}

Preference preference() {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "stating a preference");
  Preference preference(made);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, Workspace::kBytes);
  constexpr std::uint32_t kAlignment = 64;  // the allocator's; the library would take 256 for granted
  for (const auto operand : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                             CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    set(preference, operand, kAlignment);
  return preference;
}

// c^T = op(b)^T op(a)^T: seen transposed, our b comes first, and each is transposed where it was.
struct ProductPlan {
  ProductPlan(const Matrices& our_a, const Matrices& our_b, const Tensor& our_c, Precision precision)
      : a(our_a.t),
        b(our_b.t),
        c(our_c),
        a_layout(layout_of(a)),
        b_layout(layout_of(b)),
        c_layout(layout_of(c)),
        operation(operation_of(our_b.transposed, our_a.transposed, precision)),
        workspace(c.device()) {}

  // Whether there is an algorithm.
  bool choose() {
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(library(), operation.get(), b_layout.get(), a_layout.get(), c_layout.get(),
                                       c_layout.get(), preference().get(), 1, &best, &found);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) return false;
    check(status, "choosing an algorithm");
    algorithm = best.algo;
    return found == 1 && best.state == CUBLAS_STATUS_SUCCESS;
  }

  void run() const {
    const float one = 1, zero = 0;
    check(cublasLtMatmul(library(), operation.get(), &one, b.bytes(), b_layout.get(), a.bytes(), a_layout.get(), &zero,
                         c.bytes(), c_layout.get(), c.bytes(), c_layout.get(), &algorithm, workspace.data(),
                         Workspace::kBytes, reinterpret_cast<cudaStream_t>(stream_of(c.device()))),
          "multiplying matrices");
  }

  Tensor a, b, c;
  Layout a_layout, b_layout, c_layout;
  Operation operation;
  Workspace workspace;
  cublasLtMatmulAlgo_t algorithm{};
};

}  // namespace

std::function<void()> product(const Matrices& a, const Matrices& b, const Tensor& c, Precision precision) {
  const auto plan = std::make_shared<ProductPlan>(a, b, c, precision);
  if (!plan->choose()) return {};
  return [plan] { plan->run(); };
}

}  // namespace gesso::cuda::vendor
