// The tape: gradients of small graphs by hand, what runs and what does not, regions that run again, and its errors.
#include "core/tape.h"

#include <doctest/doctest.h>

#include <functional>
#include <initializer_list>
#include <vector>

#include "core/rng.h"
#include "ops/reshape.h"
#include "ops/unary.h"
#include "tests/expect_error.h"

namespace gesso {
namespace {

Device& where() { return device(DeviceKind::reference); }

Tensor vector_of(std::initializer_list<double> values) {
  const std::vector<double> all(values);
  return Tensor::from_host<double>(all, {static_cast<std::int64_t>(all.size())}, where());
}
using Doubles = std::vector<double>;
Doubles values(const Tensor& t) { return t.to_host<double>(); }

// An op of the tests' own: the tape knows none.
using Body = std::function<void(std::span<const Tensor> dy, std::span<Tensor> dx)>;
class TestOp final : public Recorded {
 public:
  explicit TestOp(Body body) : body_(std::move(body)) {}
  std::string_view name() const override { return "test op"; }
  void backward(std::span<const Tensor> dy, std::span<Tensor> dx) override { body_(dy, dx); }

 private:
  Body body_;
};
void record(std::initializer_list<Tensor> in, std::initializer_list<Tensor> out, Body body) {
  if (Tape* tape = Tape::current())
    tape->record({in.begin(), in.size()}, {out.begin(), out.size()}, std::make_unique<TestOp>(std::move(body)));
}

Tensor elementwise(const Tensor& a, const Tensor& b, const std::function<double(double, double)>& f) {
  Tensor y(a.spec(), where());
  for (std::size_t i = 0; i < y.data<double>().size(); ++i)
    y.data<double>()[i] = f(a.data<double>()[i], b.data<double>()[i]);
  return y;
}
void put(const Tensor& to, const Tensor& from) {
  if (to) to.copy_from(from);
}
Tensor product(const Tensor& a, const Tensor& b) { return elementwise(a, b, std::multiplies<double>()); }

Tensor multiply(const Tensor& a, const Tensor& b) {
  const Tensor y = product(a, b);
  record({a, b}, {y}, [a, b](std::span<const Tensor> dy, std::span<Tensor> dx) {
    put(dx[0], product(dy[0], b));
    put(dx[1], product(dy[0], a));
  });
  return y;
}
Tensor add(const Tensor& a, const Tensor& b) {
  const Tensor y = elementwise(a, b, std::plus<double>());
  record({a, b}, {y}, [](std::span<const Tensor> dy, std::span<Tensor> dx) {
    for (const Tensor& t : dx) put(t, dy[0]);
  });
  return y;
}
// y = 3 a + 5 b.
Tensor blend(const Tensor& a, const Tensor& b) {
  const Tensor y = elementwise(a, b, [](double v, double w) { return 3 * v + 5 * w; });
  record({a, b}, {y}, [](std::span<const Tensor> dy, std::span<Tensor> dx) {
    put(dx[0], elementwise(dy[0], dy[0], [](double v, double) { return 3 * v; }));
    put(dx[1], elementwise(dy[0], dy[0], [](double v, double) { return 5 * v; }));
  });
  return y;
}
// y = c x, counting how often its backward runs.
Tensor scale(const Tensor& x, double c, int* runs = nullptr) {
  const auto times = [c](double v, double) { return c * v; };
  const Tensor y = elementwise(x, x, times);
  record({x}, {y}, [times, runs](std::span<const Tensor> dy, std::span<Tensor> dx) {
    if (runs) ++*runs;
    put(dx[0], elementwise(dy[0], dy[0], times));
  });
  return y;
}
// Keeps about half of x: which, is a pure function of the key.
Tensor drop(const Tensor& x, std::uint64_t key) {
  Tensor mask(x.spec(), where());
  for (std::size_t i = 0; i < mask.data<double>().size(); ++i)
    mask.data<double>()[i] = random_words(key, 0, 0, static_cast<std::uint32_t>(i)).word[0] % 2 ? 2.0 : 0.0;
  return multiply(x, mask);
}
Tensors gradients(Tape& tape, const Tensor& y, std::initializer_list<Tensor> targets, bool keep = false) {
  Tensor dy(y.spec(), where());
  for (double& v : dy.data<double>()) v = 1;
  return tape.backward({&y, 1}, {&dy, 1}, {targets.begin(), targets.size()}, keep);
}

TEST_SUITE("tape") {
  TEST_CASE("gradients of every use of a tensor are added") {
    Tape tape;
    const Tensor x = vector_of({2, -3});
    tape.watch(x);
    const Tensor y = add(scale(x, 5), add(scale(x, 7), x));
    CHECK(values(gradients(tape, y, {x})[0]) == Doubles{13, 13});
  }

  TEST_CASE("an operand used twice by one op gets both gradients") {
    const Tensor x = vector_of({2, -3});
    SUBCASE("into fresh memory") {
      Tape tape;
      tape.watch(x);
      CHECK(values(gradients(tape, blend(x, x), {x})[0]) == Doubles{8, 8});
    }
    SUBCASE("into a destination") {
      Tape tape;
      const Tensor arena = Tensor::zeros({{2}, DType::f64}, where());
      tape.watch(x, arena);
      CHECK(values(gradients(tape, blend(x, x), {x})[0]) == Doubles{8, 8});
      CHECK(values(arena) == Doubles{8, 8});
    }
  }

  TEST_CASE("a tensor that is both result and operand passes its gradient on, and keeps it as a target") {
    Tape tape;
    const Tensor x = vector_of({2});
    tape.watch(x);
    const Tensor h = scale(x, 3), y = multiply(h, h);
    const Tensors found = gradients(tape, y, {x, h});
    CHECK(values(found[0]) == Doubles{36});
    CHECK(values(found[1]) == Doubles{12});
  }

  TEST_CASE("several seeds add up, and the caller's gradients stay as they were") {
    Tape tape;
    const Tensor x = vector_of({2});
    tape.watch(x);
    const Tensor h = scale(x, 3), y = scale(h, 5);
    const Tensors seeds{h, y}, dy{vector_of({1}), vector_of({10})};
    CHECK(values(tape.backward(seeds, dy, std::span(&x, 1))[0]) == Doubles{153});
    CHECK(values(dy[0]) == Doubles{1});
    CHECK(values(dy[1]) == Doubles{10});
  }

  TEST_CASE("views that pass gradients through share no memory with other gradients") {
    Tape tape;
    const Tensor x = vector_of({2, 3});
    tape.watch(x);
    const Tensor flat = ops::reshape(x, {1, 2});
    const Tensor y = add(ops::reshape(flat, {2}), scale(x, 4));
    const Tensors found = gradients(tape, y, {x, flat});
    CHECK(values(found[0]) == Doubles{5, 5});
    CHECK(values(found[1]) == Doubles{1, 1});
  }

  TEST_CASE("gradients land in the parts of an arena, overwriting what was there") {
    Tape tape;
    const Tensor arena = vector_of({9, 9, 9, 9});
    const Tensor a = vector_of({2}), b = vector_of({3}), unused = vector_of({4, 4});
    tape.watch(a, arena.part(0, {1}));
    tape.watch(unused, arena.part(1, {2}));
    tape.watch(b, arena.part(3, {1}));
    tape.backward(multiply(a, scale(b, 2)));
    CHECK(values(arena) == Doubles{6, 0, 0, 4});
  }

  TEST_CASE("gradients are added to what an arena holds where that is wanted, from each use of a leaf and from none") {
    const Tensor a = vector_of({3}), unused = vector_of({1, 1}), b = vector_of({5});
    const Tensor arena = vector_of({100, 200, 300, 400});
    Tape tape;
    tape.watch(a, arena.part(0, {1}), /*adds=*/true);
    tape.watch(unused, arena.part(1, {2}), /*adds=*/true);
    tape.watch(b, arena.part(3, {1}), /*adds=*/true);
    tape.backward(multiply(multiply(a, a), b));
    CHECK(values(arena) == Doubles{130, 200, 300, 409});
    expect_error(ErrorKind::usage, {"nothing to add to"}, [&] { Tape().watch(vector_of({1}), {}, /*adds=*/true); });
  }

  TEST_CASE("ops that lead to no target do not run") {
    Tape tape;
    int to_x = 0, to_z = 0, unseeded = 0;
    const Tensor x = vector_of({2}), z = vector_of({3});
    tape.watch(x);
    tape.watch(z);
    const Tensor y = multiply(scale(x, 2, &to_x), scale(z, 2, &to_z));
    (void)scale(x, 2, &unseeded);
    CHECK(values(gradients(tape, y, {x}, true)[0]) == Doubles{12});
    CHECK(to_x == 1);
    CHECK(to_z == 0);
    CHECK(unseeded == 0);
    const Tensors seeds{scale(x, 3), scale(z, 3, &to_z)}, dy{vector_of({1}), vector_of({1})};
    CHECK(values(tape.backward(seeds, dy, std::span(&x, 1))[0]) == Doubles{3});
    CHECK(to_z == 0);
  }

  TEST_CASE("a target without influence has a gradient of zeros") {
    Tape tape;
    const Tensor x = vector_of({2}), other = vector_of({3, 4});
    tape.watch(x);
    tape.watch(other);
    CHECK(values(gradients(tape, scale(x, 2), {other})[0]) == Doubles{0, 0});
  }

  TEST_CASE("kept records can be walked twice, freed ones cannot") {
    Tape tape;
    const Tensor x = vector_of({2});
    tape.watch(x);
    const Tensor y = multiply(x, x);
    CHECK(values(gradients(tape, y, {x}, true)[0]) == Doubles{4});
    CHECK(values(gradients(tape, y, {x}, true)[0]) == Doubles{4});
    CHECK(values(gradients(tape, y, {x})[0]) == Doubles{4});
    CHECK(tape.size() == 0);
    expect_error(ErrorKind::usage, {"freed", "keep"}, [&] { gradients(tape, y, {x}); });
  }

  TEST_CASE("what backward saved is freed as it walks") {
    Tape tape;
    const Tensor x = vector_of({2});
    tape.watch(x);
    auto saved = std::make_shared<int>(0);
    const Tensor y(x.spec(), where());
    record({x}, {y}, [saved](std::span<const Tensor> dy, std::span<Tensor> dx) { put(dx[0], dy[0]); });
    CHECK(saved.use_count() == 2);
    gradients(tape, y, {x});
    CHECK(saved.use_count() == 1);
  }

  TEST_CASE("nothing is recorded without a tape, or under NoGrad") {
    const Tensor x = vector_of({2});
    CHECK(Tape::current() == nullptr);
    Tape tape;
    tape.watch(x);
    {
      const NoGrad none;
      CHECK(Tape::current() == nullptr);
      CHECK(!tape.knows(multiply(x, x)));
    }
    CHECK(Tape::current() == &tape);
    CHECK(tape.size() == 0);
  }

  TEST_CASE("a tape inside another is current while it lives") {
    Tape outer;
    {
      const Tape inner;
      CHECK(Tape::current() == &inner);
    }
    CHECK(Tape::current() == &outer);
  }

  TEST_CASE("what another tape knew is a constant") {
    const Tensor x = vector_of({2});
    Tensor h;
    {
      Tape before;
      before.watch(x);
      h = scale(x, 3);
    }
    Tape tape;
    CHECK(!tape.knows(x));
    CHECK(!tape.knows(h));
    const Tensor w = vector_of({5});
    tape.watch(w);
    const Tensor y = multiply(w, h);
    CHECK(values(gradients(tape, y, {w}, true)[0]) == Doubles{6});
    expect_error(ErrorKind::usage, {"target", "[1] f64", "not on this tape"}, [&] { gradients(tape, y, {h}, true); });
    expect_error(ErrorKind::usage, {"seed", "not on this tape"}, [&] { gradients(tape, h, {w}); });
  }

  TEST_CASE("wrong calls are refused") {
    Tape tape;
    const Tensor x = vector_of({2}), y = scale(x, 2);
    x.set_name("encoder.weight");
    expect_error(ErrorKind::usage, {"encoder.weight", "[1] f64", "[2] f64"}, [&] { tape.watch(x, vector_of({1, 2})); });
    tape.watch(x);
    expect_error(ErrorKind::usage, {"encoder.weight", "already"}, [&] { tape.watch(x); });
    const Tensor z = scale(x, 2), wrong = vector_of({1, 2});
    expect_error(ErrorKind::usage, {"[2] f64", "seed [1] f64"},
                 [&] { tape.backward(std::span(&z, 1), std::span(&wrong, 1), std::span(&x, 1)); });
    expect_error(ErrorKind::usage, {"1 seeds", "0 gradients"},
                 [&] { tape.backward(std::span(&z, 1), {}, std::span(&x, 1)); });
    expect_error(ErrorKind::usage, {"one element", "[2] f64"}, [&] { tape.backward(wrong); });
  }

  TEST_CASE("a saved tensor that was overwritten is an error that names both ops") {
    Tape tape;
    const Tensor x = vector_of({2, 3});
    x.set_name("encoder.scale");
    tape.watch(x);
    const Tensor y = ops::square(x);
    x.copy_from(vector_of({5, 5}));
    expect_error(ErrorKind::usage, {"square", "encoder.scale", "[2] f64", "copy_from"},
                 [&] { gradients(tape, y, {x}); });
  }

  TEST_CASE("overwriting a neighbour in the arena is no error") {
    const Tensor arena = vector_of({2, 3, 4});
    const Tensor first = arena.part(0, {1}), second = arena.part(1, {2});
    Tape tape;
    tape.watch(first);
    const Tensor y = ops::square(first);
    second.fill_zero();
    CHECK(values(gradients(tape, y, {first})[0]) == Doubles{4});
  }

  TEST_CASE("a chain of 200,000 ops is walked and destroyed without deep recursion") {
    const Tensor x = vector_of({1});
    for (const bool walked : {true, false}) {
      Tape tape;
      tape.watch(x);
      Tensor y = x;
      for (int i = 0; i < 200000; ++i) y = scale(y, i % 2 ? 2 : 0.5);
      if (walked) CHECK(values(gradients(tape, y, {x})[0]) == Doubles{1});
    }
  }
}

// The gradients of x and w through a block, run plainly or as a region.
struct Ran {
  Doubles y, dx, dw;
  std::size_t records = 0;
  int forwards = 0;
};
template <class Block>
Ran run_block(bool again, Block&& block) {
  Ran ran;
  Tape tape;
  const Tensor x = vector_of({2, -3, 0.7}), w = vector_of({0.3, 5, -1.1});
  tape.watch(x);
  tape.watch(w);
  const Region region = [&](std::span<const Tensor> in) {
    ++ran.forwards;
    return Tensors{block(in[0], w)};
  };
  const Tensor h = scale(x, 1.7);
  const Tensors inputs{h};
  const Tensor y = again ? recompute("block", region, inputs)[0] : region(inputs)[0];
  ran.y = values(y);
  ran.records = tape.size();
  const Tensors found = gradients(tape, multiply(y, y), {x, w});
  ran.dx = values(found[0]);
  ran.dw = values(found[1]);
  return ran;
}
template <class Block>
void expect_same_bits_again(Block&& block) {
  const Ran plain = run_block(false, block), again = run_block(true, block);
  CHECK(again.y == plain.y);
  CHECK(again.dx == plain.dx);
  CHECK(again.dw == plain.dw);
  CHECK(again.records == 2);  // the op before the region, and the region
  CHECK(plain.records > 2);
  CHECK(plain.forwards == 1);
  CHECK(again.forwards == 2);
}

TEST_SUITE("recompute") {
  TEST_CASE("a region gives the same gradients bit for bit, of inputs and of captured parameters") {
    expect_same_bits_again([](const Tensor& x, const Tensor& w) { return multiply(multiply(x, w), add(x, w)); });
  }

  TEST_CASE("randomness in a region is drawn again the same") {
    expect_same_bits_again([](const Tensor& x, const Tensor& w) {
      const std::uint64_t key = random_key(1, Purpose::dropout, "block");
      return drop(multiply(drop(x, key), w), key + 1);
    });
  }

  TEST_CASE("a region inside a region") {
    const auto inner = [](std::span<const Tensor> in) { return Tensors{multiply(in[0], scale(in[0], 3))}; };
    expect_same_bits_again([inner](const Tensor& x, const Tensor& w) {
      const Tensors inputs{multiply(x, w)};
      return add(recompute("inner", inner, inputs)[0], x);
    });
  }

  TEST_CASE("an operand handed through, and several outputs of which one is unused") {
    const auto ends = [](bool again) {
      Tape tape;
      const Tensor x = vector_of({2});
      tape.watch(x);
      const Region region = [](std::span<const Tensor> in) {
        return Tensors{in[0], scale(in[0], 3), scale(in[0], 50)};
      };
      const Tensors out = again ? recompute("ends", region, std::span(&x, 1)) : region(std::span(&x, 1));
      return values(gradients(tape, multiply(out[0], out[1]), {x})[0]);
    };
    CHECK(ends(false) == Doubles{12});
    CHECK(ends(true) == Doubles{12});
  }

  TEST_CASE("a kept tape walks a region twice") {
    Tape tape;
    const Tensor x = vector_of({2});
    tape.watch(x);
    const Region region = [](std::span<const Tensor> in) { return Tensors{multiply(in[0], in[0])}; };
    const Tensor y = recompute("square", region, std::span(&x, 1))[0];
    CHECK(values(gradients(tape, y, {x}, true)[0]) == Doubles{4});
    CHECK(values(gradients(tape, y, {x}, true)[0]) == Doubles{4});
    CHECK(tape.size() == 1);
  }

  TEST_CASE("gradients of parameters in a region land in their arena") {
    Tape tape;
    const Tensor arena = vector_of({9, 9}), w = vector_of({3}), v = vector_of({4});
    tape.watch(w, arena.part(0, {1}));
    tape.watch(v, arena.part(1, {1}));
    const Tensor x = vector_of({2});
    const Region region = [&](std::span<const Tensor> in) { return Tensors{multiply(in[0], add(w, w))}; };
    tape.backward(multiply(recompute("block", region, std::span(&x, 1))[0], v));
    CHECK(values(arena) == Doubles{16, 12});
  }

  TEST_CASE("without a tape a region just runs") {
    const Tensor x = vector_of({2});
    const Region region = [](std::span<const Tensor> in) { return Tensors{scale(in[0], 3)}; };
    CHECK(values(recompute("plain", region, std::span(&x, 1))[0]) == Doubles{6});
  }

  TEST_CASE("an input overwritten before it runs again is an error that names region and writer") {
    Tape tape;
    const Tensor x = vector_of({2});
    x.set_name("latent");
    tape.watch(x);
    const Region region = [](std::span<const Tensor> in) { return Tensors{multiply(in[0], in[0])}; };
    const Tensor y = recompute("decoder.block", region, std::span(&x, 1))[0];
    x.fill_zero();
    expect_error(ErrorKind::usage, {"decoder.block", "latent", "fill_zero"}, [&] { gradients(tape, y, {x}); });
  }
}

}  // namespace
}  // namespace gesso
