// Tensors and shapes: views that share memory, parts that do not share versions, and errors that name what was given.
#include "core/tensor.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/allocator.h"
#include "tests/expect_error.h"

namespace gesso {
namespace {

Device& where() { return device(DeviceKind::cpu); }
Tensor counting(const Shape& shape) {
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return Tensor::from_host<float>(values, shape, where());
}
using Floats = std::vector<float>;

TEST_SUITE("tensor") {
  TEST_CASE("a shape counts its elements, and says so where they do not fit") {
    CHECK(Shape{}.count() == 1);
    CHECK(Shape{2, 3, 4}.count() == 24);
    CHECK(Shape{2, 0, 4}.count() == 0);
    CHECK(Shape{2, 3}.text() == "[2,3]");
    CHECK(Shape{2, 3} != Shape{2, 3, 1});
    const std::int64_t large = std::int64_t{1} << 40;
    expect_error(ErrorKind::usage, {"63 bits", "[1099511627776,1099511627776]"}, [&] {
      (void)Shape{large, large}.count();
    });
    expect_error(ErrorKind::usage, {"negative", "-3"}, [] { (void)Shape{2, -3}; });
    expect_error(ErrorKind::usage, {"more than 6"}, [] { (void)Shape{1, 2, 3, 4, 5, 6, 7}; });
  }

  TEST_CASE("a tensor holds what it was made from") {
    const Tensor t = counting({2, 3});
    CHECK(t.spec().text() == "[2,3] f32");
    CHECK(t.to_host<float>() == Floats{0, 1, 2, 3, 4, 5});
    CHECK(t.dim(0) == 2);
    CHECK(t.dim(-1) == 3);
    CHECK(Tensor::zeros({{3}, DType::i32}, where()).to_host<std::int32_t>() == std::vector<std::int32_t>{0, 0, 0});
    CHECK(counting({}).count() == 1);
    CHECK(counting({0, 4}).to_host<float>().empty());
  }

  TEST_CASE("an empty tensor stands for an absent operand") {
    const Tensor absent;
    CHECK(!absent);
    CHECK(absent.spec().text() == "absent");
    CHECK(absent.name().empty());
  }

  TEST_CASE("views and slices see the same memory and version") {
    const Tensor t = counting({4, 3});
    const Tensor flat = t.view({12}), rows = t.slice(1, 3);
    CHECK(rows.shape() == Shape{2, 3});
    CHECK(rows.to_host<float>() == Floats{3, 4, 5, 6, 7, 8});
    rows.fill_zero();
    CHECK(flat.data<float>()[4] == 0);
    CHECK(flat.data<float>()[2] == 2);
    CHECK(flat.data<float>()[9] == 9);
    CHECK(t.version() == 1);
    CHECK(flat.version() == 1);
    CHECK(t.last_writer() == "fill_zero");
    CHECK(flat.same_memory(t));
    CHECK(rows.slice(0, 0).count() == 0);
    CHECK(counting({0, 3}).slice(0, 0).shape() == Shape{0, 3});
  }

  TEST_CASE("a part of an arena shares its memory, but has a version and a name of its own") {
    const Tensor arena = counting({10});
    const Tensor weight = arena.part(2, {2, 3}), bias = arena.part(8, {2});
    CHECK(weight.to_host<float>() == Floats{2, 3, 4, 5, 6, 7});
    weight.set_name("conv.weight");
    bias.set_name("conv.bias");
    weight.fill_zero();
    CHECK(arena.data<float>()[7] == 0);
    CHECK(arena.data<float>()[8] == 8);
    CHECK(weight.version() == 1);
    CHECK(bias.version() == 0);
    CHECK(arena.version() == 0);
    CHECK(weight.name() == "conv.weight");
    CHECK(bias.name() == "conv.bias");
  }

  TEST_CASE("copies of a handle are the same tensor") {
    const Tensor t = counting({3});
    const Tensor same = t;
    same.set_name("x");
    same.copy_from(counting({3}));
    CHECK(t.name() == "x");
    CHECK(t.version() == 1);
    CHECK(t.last_writer() == "copy_from");
    same.mark_written("adamw");
    CHECK(t.version() == 2);
    CHECK(t.last_writer() == "adamw");
  }

  TEST_CASE("wrong uses are refused with shapes and types") {
    const Tensor t = counting({2, 3});
    expect_error(ErrorKind::usage, {"[2,3] f32", "f64"}, [&] { (void)t.data<double>(); });
    expect_error(ErrorKind::usage, {"absent", "f32"}, [] { (void)Tensor().data<float>(); });
    expect_error(ErrorKind::usage, {"[2,3] f32", "[7]"}, [&] { (void)t.view({7}); });
    expect_error(ErrorKind::usage, {"rows 1 to 3", "[2,3] f32"}, [&] { (void)t.slice(1, 3); });
    expect_error(ErrorKind::usage, {"rows 2 to 1"}, [&] { (void)t.slice(2, 1); });
    expect_error(ErrorKind::usage, {"[2,3] f32", "arena"}, [&] { (void)t.part(0, {2}); });
    expect_error(ErrorKind::usage, {"[6] f32"}, [&] { (void)t.view({6}).part(4, {3}); });
    expect_error(ErrorKind::usage, {"[2,3] f32", "dimension 2"}, [&] { (void)t.dim(2); });
    expect_error(ErrorKind::usage, {"[2,3] f32", "dimension -3"}, [&] { (void)t.dim(-3); });
    expect_error(ErrorKind::usage, {"element type"}, [] { Tensor(Spec{{3}, DType::none}, where()); });
    expect_error(ErrorKind::usage, {"[2,3] f32", "[3] f32"}, [&] { t.copy_from(counting({3})); });
    expect_error(ErrorKind::usage, {"cpu", "reference"},
                 [&] { t.copy_from(Tensor::zeros(t.spec(), device(DeviceKind::reference))); });
    expect_error(ErrorKind::usage, {"24 bytes", "8 were"}, [&] {
      (void)Tensor::from_host<float>(Floats{1, 2}, {2, 3}, where());
    });
  }

  TEST_CASE("sizes beyond memory are errors, before anything is allocated") {
    const std::int64_t large = std::int64_t{1} << 61;
    expect_error(ErrorKind::memory, {"63 bits"}, [&] { Tensor(Spec{{large}, DType::f64}, where()); });
    expect_error(ErrorKind::memory, {"beyond any memory"}, [&] { Tensor(Spec{{large}, DType::u8}, where()); });
    expect_error(ErrorKind::usage, {"63 bits"}, [&] { Tensor(Spec{{large, large}, DType::f32}, where()); });
  }

  TEST_CASE("a tensor tells whether its guard is intact") {
    where().allocator().set_guard(true);
    const Tensor t = counting({5}), part = t.part(1, {4});
    where().allocator().set_guard(false);
    CHECK(part.guard_intact());
    part.data<float>().data()[4] = 1;
    CHECK(!t.guard_intact());
    CHECK(!part.guard_intact());
  }

  TEST_CASE("bf16 rounds to nearest even and keeps NaN and infinity") {
    const auto rounded = [](float value) { return static_cast<float>(bf16(value)); };
    CHECK(rounded(1.0f) == 1.0f);
    CHECK(rounded(0x1.01p0f) == 0x1.00p0f);        // half way, to even
    CHECK(rounded(0x1.03p0f) == 0x1.04p0f);        // half way, to even
    CHECK(rounded(0x1.010002p0f) == 0x1.02p0f);    // above half way
    CHECK(rounded(-0x1.fep127f) == -0x1.fep127f);  // the largest
    CHECK(std::isinf(rounded(std::numeric_limits<float>::max())));
    CHECK(std::isinf(rounded(std::numeric_limits<float>::infinity())));
    CHECK(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
    CHECK(std::isnan(rounded(std::bit_cast<float>(0x7F800001u))));  // its bits lie in the lower half
  }

  TEST_CASE("devices are found by name, and a missing one is an error with a remedy") {
    CHECK(device_kind("reference") == DeviceKind::reference);
    CHECK(device(DeviceKind::cpu).name() == "cpu");
    expect_error(ErrorKind::usage, {"'gpu'", "reference, cpu, cuda"}, [] { (void)device_kind("gpu"); });
    const float x[2] = {1, 2};
    float y[2] = {10, 20};
    where().accumulate(DType::f32, 2, x, y);
    CHECK(y[1] == 22);
    std::int32_t whole = 1;
    expect_error(ErrorKind::usage, {"i32"}, [&] { where().accumulate(DType::i32, 1, &whole, &whole); });
  }
}

}  // namespace
}  // namespace gesso
