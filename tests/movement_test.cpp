// The ops that move elements: what their table rows leave open.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/tape.h"
#include "ops/cast.h"
#include "ops/concat.h"
#include "ops/embedding.h"
#include "ops/gather.h"
#include "ops/pad.h"
#include "ops/permute.h"
#include "ops/slice.h"
#include "tests/expect_error.h"

namespace gesso {
namespace {

template <class T>
Tensor tensor(std::vector<T> values, const Shape& shape, DeviceKind kind = DeviceKind::cpu) {
  return Tensor::from_host<T>(values, shape, device(kind));
}

TEST_SUITE("movement") {
  TEST_CASE("bytes become an image in [-1, 1]") {
    const Tensor x = tensor<std::uint8_t>({0, 51, 255}, {3});
    CHECK(ops::cast(x, {.scale = 1 / 127.5, .shift = -1}).to_host<float>() == std::vector<float>{-1, -0.6f, 1});
  }

  TEST_CASE("a cast to whole numbers rounds to even, is limited to the range, and takes NaN for 0") {
    const std::vector<float> values{-3, 0.5f, 1.5f, 2.5f, 254.6f, 1e9f, -INFINITY, NAN};
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference})
      CHECK(ops::cast(tensor(values, {8}, kind), {.to = DType::u8}).to_host<std::uint8_t>() ==
            std::vector<std::uint8_t>{0, 0, 2, 2, 255, 255, 0, 0});
  }

  TEST_CASE("the largest whole numbers pass a cast unharmed") {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
      const Tensor x = tensor<std::int64_t>({kMost, -kMost, 7}, {3}, kind);
      CHECK(ops::cast(x, {.to = DType::i64}).to_host<std::int64_t>() == std::vector<std::int64_t>{kMost, -kMost, 7});
      CHECK(ops::cast(x, {.to = DType::i32}).to_host<std::int32_t>() ==
            std::vector<std::int32_t>{std::numeric_limits<std::int32_t>::max(),
                                      std::numeric_limits<std::int32_t>::min(), 7});
      const Tensor huge = tensor<float>({1e30f, -1e30f}, {2}, kind);
      CHECK(ops::cast(huge, {.to = DType::i64}).to_host<std::int64_t>() ==
            std::vector<std::int64_t>{kMost, std::numeric_limits<std::int64_t>::min()});
    }
  }

  TEST_CASE("concat_all joins any number of tensors, in their order") {
    Device& cpu = device(DeviceKind::cpu);
    for (const std::size_t count : {1, 2, 8, 9, 65, 70}) {
      Tensors parts;
      std::vector<float> want;
      for (std::size_t i = 0; i < count; ++i) {
        const std::vector<float> rows(2 * (i % 3), static_cast<float>(i));
        want.insert(want.end(), rows.begin(), rows.end());
        parts.push_back(Tensor::from_host(std::span(rows), {static_cast<std::int64_t>(i % 3), 2}, cpu));
      }
      CHECK(ops::concat_all(parts, 0).to_host<float>() == want);
    }
    expect_error(ErrorKind::usage, {"concat", "no tensors"}, [] { (void)ops::concat_all({}, 0); });
  }

  TEST_CASE("split undoes concat, along an axis counted from the back") {
    const Tensor a = tensor<float>({1, 2, 3, 4}, {2, 2}), b = tensor<float>({5, 6}, {2, 1});
    const Tensor joined = ops::concat({a, b}, -1);
    CHECK(joined.to_host<float>() == std::vector<float>{1, 2, 5, 3, 4, 6});
    const Tensors parts = ops::split(joined, -1, {2, 1});
    REQUIRE(parts.size() == 2);
    CHECK(parts[0].to_host<float>() == a.to_host<float>());
    CHECK(parts[1].to_host<float>() == b.to_host<float>());
    CHECK(ops::split_equally(joined, 1, 3)[2].to_host<float>() == b.to_host<float>());
  }

  TEST_CASE("parts that cannot be are errors") {
    const Tensor x = tensor<float>({1, 2, 3, 4, 5, 6}, {2, 3});
    expect_error(ErrorKind::usage, {"split: x [2,3] f32", "2 equal parts along axis 1"},
                 [&] { ops::split_equally(x, 1, 2); });
    expect_error(ErrorKind::usage, {"split: x [2,3] f32 has no axis 2"}, [&] { ops::split_equally(x, 2, 1); });
    expect_error(ErrorKind::usage, {"split:", "size -1"}, [&] { ops::split(x, 1, {4, -1}); });
    expect_error(ErrorKind::usage, {"split: parts of 1 + 1 along axis 1 of x [2,3] f32"}, [&] {
      ops::split(x, 1, {1, 1});
    });
    expect_error(ErrorKind::usage, {"concat: two to eight", "1 was given"}, [&] { ops::concat({x}, 0); });
    expect_error(ErrorKind::usage, {"concat: 9 parts were given, but at most 8"},
                 [&] { ops::concat(std::vector<Tensor>(9, x), 0); });
    expect_error(ErrorKind::usage, {"concat: operand 1 is [6] f32", "beside operand 0, [2,3] f32", "axis 0 alone"},
                 [&] {
                   ops::concat({x, x.view({6})}, 0);
                 });
  }

  TEST_CASE("permute moves each axis to where the order says") {
    const Tensor x = tensor<float>({1, 2, 3, 4, 5, 6}, {1, 2, 3});
    const Tensor y = ops::permute(x, {2, 0, 1});
    CHECK(y.spec().text() == "[3,1,2] f32");
    CHECK(y.to_host<float>() == std::vector<float>{1, 4, 2, 5, 3, 6});
    expect_error(ErrorKind::usage, {"permute: order [0,-7,1]", "[1,2,3] f32"}, [&] { ops::permute(x, {0, -7, 1}); });
    expect_error(ErrorKind::usage, {"permute: order [0,257,2]", "3 axes"}, [&] { ops::permute(x, {0, 257, 2}); });
    expect_error(ErrorKind::usage, {"permute: order [0,5,1]", "3 axes"}, [&] { ops::permute(x, {0, 5, 1}); });
    expect_error(ErrorKind::usage, {"7 axes were given"}, [&] { ops::permute(x, {0, 1, 2, 3, 4, 5, 6}); });
  }

  TEST_CASE("a slice of the outermost dimension is a view, any other a copy; both pass their gradient") {
    const Tensor x = tensor<float>({1, 2, 3, 4, 5, 6}, {3, 2}), dy = tensor<float>({7, 8}, {1, 2});
    Tape tape;
    tape.watch(x);
    const Tensor row = ops::slice(x, {.begin = {1, 0}, .size = {1, 2}});
    CHECK(row.bytes() == x.bytes() + 2 * sizeof(float));
    CHECK(row.to_host<float>() == std::vector<float>{3, 4});
    const Tensor column = ops::slice(x, {.begin = {0, 1}, .size = {3, 1}});
    CHECK(column.to_host<float>() == std::vector<float>{2, 4, 6});
    const Tensor dcolumn = tensor<float>({10, 20, 30}, {3, 1});
    const Tensors dx =
        tape.backward(std::vector<Tensor>{row, column}, std::vector<Tensor>{dy, dcolumn}, std::vector<Tensor>{x});
    CHECK(dx[0].to_host<float>() == std::vector<float>{0, 10, 7, 28, 0, 30});
    expect_error(ErrorKind::usage, {"slice: along axis 0, 3 elements from 1 on", "[3,2] f32"}, [&] {
      ops::slice(x, {.begin = {1, 0}, .size = {3, 2}});
    });
  }

  TEST_CASE("gather takes by number along an axis, and scatter_add puts back the sums") {
    const Tensor x = tensor<float>({1, 2, 3, 4, 5, 6}, {2, 3}), index = tensor<std::int32_t>({2, 0, 2}, {3});
    const Tensor y = ops::gather(x, index, -1);
    CHECK(y.to_host<float>() == std::vector<float>{3, 1, 3, 6, 4, 6});
    CHECK(ops::scatter_add(y, index, {.axis = -1, .size = 4}).to_host<float>() ==
          std::vector<float>{1, 0, 6, 0, 4, 0, 12, 0});
  }

  TEST_CASE("embedding is a gather along the first axis, whatever the shape of the indices") {
    const Tensor weight = tensor<float>({1, 2, 3, 4, 5, 6}, {3, 2}), index = tensor<std::int32_t>({2, 2, 0, 1}, {2, 2});
    CHECK(ops::gather(weight, index, 0).to_host<float>() == ops::embedding(weight, index).to_host<float>());
  }

  TEST_CASE("an index outside is named, on every device") {
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
      const Tensor x = tensor<float>({1, 2, 3, 4}, {2, 2}, kind);
      const Tensor high = tensor<std::int32_t>({0, 2}, {2}, kind), low = tensor<std::int32_t>({-1, 0}, {2}, kind);
      expect_error(ErrorKind::data, {"gather: index 2 at position 1", "[0, 2)"}, [&] { ops::gather(x, high, 0); });
      expect_error(ErrorKind::data, {"scatter_add: index -1 at position 0", "[0, 2)"},
                   [&] { ops::scatter_add(x, low, {.axis = 0, .size = 2}); });
    }
  }
}

}  // namespace
}  // namespace gesso
