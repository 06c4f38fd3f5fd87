#include "ops/check/page.h"

#include <algorithm>

#include "ops/check/values.h"
#include "ops/conv_algorithm.h"

namespace gesso::check {
namespace {

constexpr std::size_t kWidth = 110;  // of a line of a formula

constexpr std::string_view kIntroduction =
    R"(Printed from the rows of the op table, which `gesso check` holds to what they say here. Do not edit; renew with

    build/release/gesso check --markdown > docs/ops.md

In the formulas N counts samples, H and W are height and width, C channels, D the width of a vector; `dy` is the
gradient of the result y, `dx` that of the operand x; letters side by side are multiplied. The arrow shows operands
and results of one checked call. The error is that of the f32 kernel against the reference in double, |got - want| /
(|want| + sqrt(n)) over n elements; its bound holds for the samples of the row, and sums of more terms may have a
larger one. Functions are declared in `ops/`, in namespace `gesso::ops`, in the order of the operands;
[add-an-op.md](add-an-op.md) says what a row is.
)";

// In lines of at most kWidth; a new one after each semicolon outside of brackets, where a gradient begins.
std::string wrapped(std::string_view text) {
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool opens = text[i] == '(' || text[i] == '[', closes = text[i] == ')' || text[i] == ']';
    depth += opens ? 1 : closes ? -1 : 0;  // "[0, n)" too
    if (depth == 0 && text[i] == ';' && i + 2 < text.size())
      return wrapped(text.substr(0, i + 1)) + "\n" + wrapped(text.substr(i + 2));
  }
  std::string lines;
  while (text.size() > kWidth) {
    const std::size_t space = text.rfind(' ', kWidth);
    const std::size_t end = space == std::string_view::npos ? kWidth : space;
    lines += fmt::format("{}\n", text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return lines + std::string(text);
}

std::string listed(const Specs& specs) {
  std::string text;
  for (const Spec& spec : specs) text += fmt::format("{}{}", text.empty() ? "" : ", ", spec.text());
  return text;
}

// "operands 1, 3 of 4"
std::string listed(Operands set, std::size_t count) {
  std::string numbers;
  for (std::size_t i = 0; i < count; ++i)
    if (has(set, i)) numbers += fmt::format("{}{}", numbers.empty() ? "" : ", ", i + 1);
  return fmt::format("operand{} {} of {}", numbers.size() > 1 ? "s" : "", numbers, count);
}

std::string gradient_of(const RowInfo& row, std::size_t count) {
  if (row.differentiable == 0) return fmt::format("No gradient: {}.", row.not_differentiable);
  const Operands all = count < 32 ? (1u << count) - 1 : ~0u;
  if ((row.differentiable & all) == all) return "Gradient: every operand.";
  return fmt::format("Gradient: {}.", listed(row.differentiable, count));
}

std::string section(const RowInfo& row) {
  const Case<Attributes> sample = row.samples().front();
  Specs in;
  double error = 0;
  for (const Operand& operand : sample.in) in.push_back(spec_of(operand, DType::f32));
  for (const Case<Attributes>& c : row.samples()) {
    Specs specs;
    for (const Operand& operand : c.in) specs.push_back(spec_of(operand, DType::f32));
    error = std::max(error, row.tolerance(c.attrs, specs));
  }
  std::string text = fmt::format("## {}\n\n```text\n{}\n```\n\n", row.name, wrapped(row.doc));
  const Specs out = row.infer(sample.attrs, in);
  text += out.empty() ? fmt::format("`{}`.\n", listed(in)) : fmt::format("`{} → {}`.\n", listed(in), listed(out));
  text += gradient_of(row, in.size());
  if (row.in_place) text += fmt::format(" In place: {}.", listed(row.in_place, in.size()));
  if (row.surrogate) text += " Backward is not the derivative of forward.";
  if (row.composition) text += " Equals a composition of other ops.";
  return text + (error == 0 ? " Error: none.\n" : fmt::format(" Error: at most {:.2g}.\n", error));
}

}  // namespace

std::string markdown_page(std::span<const RowInfo* const> rows) {
  const ConvAlgorithmScope planned(ConvAlgorithm::automatic);  // the same page whatever this process prefers
  std::string index, sections;
  for (const RowInfo* row : rows) {
    index += fmt::format("{}[{}](#{})", index.empty() ? "" : ",\n", row->name, row->name);
    sections += "\n" + section(*row);
  }
  return fmt::format("# Operations\n\n{}\n{} operations: {}.\n{}", kIntroduction, rows.size(), index, sections);
}

}  // namespace gesso::check
