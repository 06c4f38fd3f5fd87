// The checks of one row. Each proves one link of the chain: finite differences <-> reference in double <-> kernel in
// float, and what must hold of a kernel besides. A failure's text names row, case, operands and how to repeat it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "ops/check/report.h"
#include "ops/check/trial.h"
#include "ops/op.h"

namespace gesso::check {

struct Options {
  std::uint64_t seed = 1;
  int random_cases = 8;  // a row, beside its samples
};

// Pools of the checks' own, whatever the process uses.
struct Pools {
  ThreadPool one{1}, two{2, ThreadPool::Sharing::forced}, three{3, ThreadPool::Sharing::forced};
};

// Which outputs are left unused in turn: none, each, all but each.
std::vector<Operands> unused_sets(Operands outputs);
// Samples, then random cases; a row's cases depend on seed and name only.
std::vector<CheckCase> cases_of(const RowInfo& row, const Options& options);

// Of all operands and results.
std::int64_t elements(const RowInfo& row, const CheckCase& c);

// One case of one row under check.
struct Subject {
  const RowInfo& row;
  const CheckCase& c;
  const Options& options;
  Pools& pools;

  Execution reference() const;
  Execution cpu() const;  // one thread, the process's instruction set
  // "conv2d, case 'stride 2' ([1,4,4,3] f32, ...): {what}; repeat with gesso check --op conv2d --seed 1"
  std::string told(const std::string& what) const;
};

// sum over outputs of <dy, J v> by central differences against <J^T dy, v> by the reference's backward, for each
// operand with a gradient; each output unused in turn too. Rows with a surrogate: J is the surrogate's. Returns the
// operands whose gradients were held against differences: those that this case holds in double.
Operands check_finite_differences(const Subject& subject, Report& report);
// The kernels of that device: outputs, operands updated in place, each gradient alone and all together, with each
// output unused in turn, within tolerance.
void check_against_reference(const Subject& subject, const Execution& run, Report& report);
void check_kernel(const Subject& subject, Report& report);  // on the cpu
// The reference in double: each gradient alone is what it is together, nothing left unwritten; in float: near double.
void check_reference(const Subject& subject, Report& report);
// Same bits with 2 and 3 threads, at offsets, and again; other instruction sets within tolerance.
void check_invariance(const Subject& subject, Report& report);
// The same through dispatch and tape, on cpu and reference; the composition of a fused row, in double.
void check_dispatch(const Subject& subject, const Execution& run, DType floating, Report& report);
void check_dispatch(const Subject& subject, Report& report);
void check_composition(const Subject& subject, Report& report);
// What a row says without a case: refusals, results by hand, a reason where there is no gradient.
void check_rejects(const RowInfo& row, Report& report);
void check_known(const RowInfo& row, const Execution& run, DType floating, Report& report);
void check_declaration(const RowInfo& row, Report& report);

// Everything, over all cases of a row. At least one case must have run on two workers.
Report check_row(const RowInfo& row, const Options& options, Pools& pools);
Report check_rows(std::span<const RowInfo* const> rows, const Options& options);

}  // namespace gesso::check
