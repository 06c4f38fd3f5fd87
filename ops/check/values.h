// Operands of the checks, the same from the same seed everywhere, and how far apart two results are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/op.h"

namespace gesso::check {

struct HostTensor {
  Spec spec;  // dtype none: an absent operand
  std::vector<std::byte> bytes;
};

// The spec of an operand in a check whose floating operands are of type `floating`, unless the operand says its own.
Spec spec_of(const Operand& operand, DType floating);
// Throws where the domain needs `below` and the operand has none.
HostTensor draw(const Operand& operand, DType floating, Random& random);
// Values by hand, converted; f32 becomes `floating` where `widen` is set.
HostTensor from_values(const Values& values, DType floating, bool widen);

std::vector<std::byte> host_bytes(const Tensor& t);
std::vector<double> host_values(const Tensor& t);
// A floating tensor with f64 elements of the same value; any other tensor as it is.
Tensor widened(const Tensor& t);

bool same_bits(const Tensor& a, const Tensor& b);
// |got - want| / (|want| + sqrt(n)); infinite where something is NaN. Operands are of the size of one, so a result that
// cancels below one (a sum of 30 terms that comes out at 0.01) is judged against one: its terms set the rounding error.
// What holds whole numbers or bf16 is zero or infinitely far apart.
double distance(const Tensor& got, const Tensor& want);

double norm(std::span<const double> a);
double dot(std::span<const double> a, std::span<const double> b);

}  // namespace gesso::check
