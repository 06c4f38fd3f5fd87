#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <string>

#include "nn/layers.h"
#include "nn/optimizer.h"
#include "nn/param_store.h"
#include "nn/schedule.h"
#include "tests/expect_error.h"
#include "tests/support.h"

namespace gesso {
namespace {

using nn::InitKind;

TEST_SUITE("nn") {
  TEST_CASE("parameters get their names from scopes and lie in arenas, what decays first") {
    nn::ParamStore store;
    const nn::Scope root(store);
    const nn::Param bias = (root / "encoder" / 0).declare("bias", {.shape = {3}});
    const nn::Param weight = (root / "encoder" / 0).declare("weight", {.shape = {3, 5}, .decays = true});
    const nn::Param count = root.declare("count", {.shape = {2}, .kind = nn::ParamKind::state});
    store.materialize(device(DeviceKind::cpu), 1);
    CHECK(weight.name() == "encoder.0.weight");
    CHECK(weight.offset() == 0);
    CHECK(bias.offset() == store.decayed());
    CHECK(store.decayed() >= 15);
    CHECK(store.count(nn::ParamKind::trained) == 18);
    CHECK(store.count(nn::ParamKind::state) == 2);
    CHECK(weight.tensor().bytes() == store.weights().bytes());
    CHECK(count.tensor().bytes() == store.state().bytes());
    CHECK(weight.tensor().name() == "encoder.0.weight");
    CHECK(store.named("count").offset() == 0);
    expect_error(ErrorKind::usage, {"'encoder.0.wieght'"}, [&] { (void)store.named("encoder.0.wieght"); });
  }

  TEST_CASE("every parameter, its gradient and its moments start on a cache line, so that kernels load vectors") {
    nn::ParamStore store;
    const nn::Scope root(store);
    for (const std::int64_t count : {1, 3, 17, 31}) {
      root.declare(std::to_string(count), {.shape = {count}, .decays = count < 5});
      root.declare("state" + std::to_string(count), {.shape = {count}, .kind = nn::ParamKind::state});
    }
    store.materialize(device(DeviceKind::cpu), 1);
    const nn::Optimizer optimizer(store, {.ema_decay = 0.9});
    const auto aligned = [](const Tensor& t) { return reinterpret_cast<std::uintptr_t>(t.bytes()) % 64 == 0; };
    for (const nn::Param& param : store.params()) {
      CAPTURE(param.name());
      CHECK(aligned(param));
      if (param.spec().kind == nn::ParamKind::state) continue;
      for (const Tensor& arena :
           {store.gradients(), optimizer.first_moment(), optimizer.second_moment(), optimizer.ema()})
        CHECK(aligned(nn::ParamStore::part_of(arena, param)));
    }
  }

  TEST_CASE("a name declared twice, or after the store was materialised, is refused") {
    nn::ParamStore store;
    const nn::Scope root(store);
    root.declare("a", {.shape = {1}});
    expect_error(ErrorKind::usage, {"a", "twice"}, [&] { root.declare("a", {.shape = {1}}); });
    store.materialize(device(DeviceKind::cpu), 1);
    expect_error(ErrorKind::usage, {"b", "materialised"}, [&] { root.declare("b", {.shape = {1}}); });
  }

  TEST_CASE("a parameter's start depends on seed and name only, not on the order of declaration") {
    const auto start = [](std::uint64_t seed, bool first) {
      nn::ParamStore store;
      const nn::Scope root(store);
      const nn::ParamSpec spec{.shape = {7, 11}, .init = {.kind = InitKind::normal}};
      if (!first) root.declare("other", spec);
      const nn::Param param = root.declare("this", spec);
      store.materialize(device(DeviceKind::cpu), seed);
      return param.tensor().to_host<float>();
    };
    CHECK(start(5, true) == start(5, false));
    CHECK(start(5, true) != start(6, true));
  }

  TEST_CASE("initialisers have the spread that they say") {
    const std::size_t n = 200000;
    std::vector<float> values(n);
    const auto moments = [&](const nn::Initializer& init) {
      init.fill(values, test_seed(), "weight");
      double mean = 0, square = 0, top = 0;
      for (const float v : values) {
        mean += static_cast<double>(v) / static_cast<double>(n);
        square += static_cast<double>(v) * static_cast<double>(v) / static_cast<double>(n);
        top = std::max(top, std::abs(static_cast<double>(v)));
      }
      CHECK(std::abs(mean) <= 5 * std::sqrt(square / static_cast<double>(n)));
      return std::pair(std::sqrt(square), top);
    };
    const auto [uniform, uniform_top] = moments({.kind = InitKind::uniform, .scale = 0.5});
    CHECK(uniform == doctest::Approx(0.5 / std::sqrt(3.0)).epsilon(0.01));
    CHECK(uniform_top <= 0.5);
    CHECK(moments({.kind = InitKind::normal, .scale = 0.02}).first == doctest::Approx(0.02).epsilon(0.01));
    CHECK(moments({.kind = InitKind::kaiming_uniform, .fan_in = 100}).second <= 0.1);
    CHECK(moments({.kind = InitKind::kaiming_uniform, .fan_in = 100}).first ==
          doctest::Approx(0.1 / std::sqrt(3.0)).epsilon(0.01));
    CHECK(moments({.kind = InitKind::xavier_uniform, .fan_in = 30, .fan_out = 70}).second <= std::sqrt(0.06));
    const auto [lecun, lecun_top] = moments({.kind = InitKind::lecun_normal, .fan_in = 64});
    CHECK(lecun_top <= 0.25);
    CHECK(lecun == doctest::Approx(0.125 * 0.8796).epsilon(0.01));  // of a normal cut at two standard deviations
    CHECK(moments({.kind = InitKind::zeros}).second == 0);
    expect_error(ErrorKind::usage, {"'kaiming'", "kaiming_uniform"}, [] { (void)nn::init_kind("kaiming"); });
  }

  TEST_CASE("schedules rise, fall and end where they say, whatever train.steps is") {
    const nn::Schedule cosine{
        .kind = nn::ScheduleKind::cosine, .rate = 2e-3, .warmup = 10, .horizon = 110, .final_rate = 2e-4};
    CHECK(cosine.at(0) == doctest::Approx(2e-4));
    CHECK(cosine.at(9) == doctest::Approx(2e-3));
    CHECK(cosine.at(10) == doctest::Approx(2e-3));
    CHECK(cosine.at(60) == doctest::Approx(1.1e-3));
    CHECK(cosine.at(110) == doctest::Approx(2e-4));
    CHECK(cosine.at(100000) == doctest::Approx(2e-4));
    const nn::Schedule linear{.kind = nn::ScheduleKind::linear, .rate = 1, .horizon = 4, .final_rate = 0};
    CHECK(linear.at(0) == 1);
    CHECK(linear.at(1) == doctest::Approx(0.75));
    CHECK(linear.at(4) == 0);
    const nn::Schedule step{.kind = nn::ScheduleKind::step, .rate = 1, .warmup = 2, .every = 3, .factor = 0.1};
    CHECK(step.at(0) == doctest::Approx(0.5));
    CHECK(step.at(4) == 1);
    CHECK(step.at(5) == doctest::Approx(0.1));
    CHECK(step.at(8) == doctest::Approx(0.01));
    const nn::Schedule constant{.rate = 3e-4};
    CHECK(constant.at(0) == 3e-4);
    CHECK(constant.at(1'000'000) == 3e-4);
    nn::Schedule wrong = cosine;
    wrong.horizon = 10;
    expect_error(ErrorKind::usage, {"schedule.horizon 10", "schedule.warmup 10"}, [&] { wrong.validate(); });
    wrong = constant;
    wrong.rate = 0;
    expect_error(ErrorKind::usage, {"schedule.rate", "positive"}, [&] { wrong.validate(); });
  }

  TEST_CASE("one pending update a target: what a recomputed region announces again is applied once") {
    Device& cpu = device(DeviceKind::cpu);
    const Tensor a = Tensor::zeros({{1}, DType::f32}, cpu), b = Tensor::zeros({{1}, DType::f32}, cpu);
    nn::StateUpdates updates;
    std::vector<int> applied;
    const auto note = [&](int number) {
      return [&applied, number](std::span<const Tensor>, const Tensor&) { applied.push_back(number); };
    };
    updates.announce(a, note(1));
    updates.announce(b, note(2));
    updates.announce(a, note(3));
    updates.commit(a);
    CHECK(applied == std::vector<int>{3, 2});
    updates.commit(a);
    CHECK(applied.size() == 2);
  }

  TEST_CASE("what parts of a batch announce for a target is added, averaged or put in a row, and applied once") {
    using Join = nn::StateUpdates::Join;
    Device& cpu = device(DeviceKind::cpu);
    const auto vector = [&](std::vector<float> values) {
      return Tensor::from_host(std::span<const float>(values), {static_cast<std::int64_t>(values.size())}, cpu);
    };
    const Tensor target = vector({0}), other = vector({0});
    std::vector<std::vector<float>> applied;
    const auto note = [&](std::span<const Tensor> taken, const Tensor&) {
      for (const Tensor& value : taken) applied.push_back(value.to_host<float>());
    };
    nn::StateUpdates whole;
    for (const float i : {1.0f, 2.0f, 6.0f}) {
      nn::StateUpdates part;
      part.announce(target, note, {{vector({99, 99})}});  // before it was computed again
      part.announce(target, note, {{vector({i, 10 * i})}, {vector({i, 3}), Join::mean}, {vector({i, i}), Join::rows}});
      if (i == 2.0f) part.announce(other, note, {{vector({7})}});
      whole.join(std::move(part));
    }
    CHECK(whole.taken().size() == 3 + 2 + 1);  // the rows of each part
    whole.commit(target);
    const std::vector<std::vector<float>> want = {{9, 90}, {3, 3}, {1, 1, 2, 2, 6, 6}, {7}};
    CHECK(applied == want);
  }

  // Adam on one weight by hand, in double: Kingma and Ba 2015, algorithm 1, with decoupled decay.
  TEST_CASE(
      "the optimiser follows AdamW by hand, decays weights but not biases, averages, and stops at what is not finite") {
    Device& cpu = device(DeviceKind::cpu);
    nn::ParamStore store;
    const nn::Scope root(store);
    const nn::Param weight = root.declare("weight", {.shape = {1}, .init = {.kind = InitKind::ones}, .decays = true});
    const nn::Param bias = root.declare("bias", {.shape = {1}, .init = {.kind = InitKind::ones}});
    store.materialize(cpu, 1);
    nn::Optimizer optimizer(store, {.weight_decay = 0.1, .ema_decay = 0.5, .ema_warmup = false});
    const nn::StepState state(cpu);
    nn::StateUpdates updates;
    const nn::Context context{.device = cpu, .mode = nn::Mode::train, .state = state, .updates = updates};
    double w = 1, b = 1, m = 0, v = 0, average = 1;
    for (int step = 0; step < 5; ++step) {
      const float gradient = 0.5f + static_cast<float>(step);
      for (const nn::Param& param : {weight, bias})
        nn::ParamStore::part_of(store.gradients(), param).copy_from_host(std::as_bytes(std::span(&gradient, 1)));
      state.set(step, 0.01);
      optimizer.step(context);
      const auto g = static_cast<double>(gradient);
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      const double move = m / (1 - std::pow(0.9, step + 1)) / (std::sqrt(v / (1 - std::pow(0.999, step + 1))) + 1e-8);
      w = w - 0.01 * (move + 0.1 * w);
      b = b - 0.01 * move;
      average = 0.5 * average + 0.5 * w;
      CHECK(static_cast<double>(optimizer.gradient_norm().to_host<float>()[0]) == doctest::Approx(g * std::sqrt(2.0)));
      CHECK(static_cast<double>(weight.tensor().to_host<float>()[0]) == doctest::Approx(w).epsilon(1e-6));
      CHECK(static_cast<double>(bias.tensor().to_host<float>()[0]) == doctest::Approx(b).epsilon(1e-6));
      CHECK(static_cast<double>(nn::ParamStore::part_of(optimizer.ema(), weight).to_host<float>()[0]) ==
            doctest::Approx(average).epsilon(1e-6));
    }
    const auto before = store.weights().to_host<float>(), moment = optimizer.first_moment().to_host<float>();
    const float bad = INFINITY;
    nn::ParamStore::part_of(store.gradients(), bias).copy_from_host(std::as_bytes(std::span(&bad, 1)));
    optimizer.step(context);
    CHECK(!std::isfinite(optimizer.gradient_norm().to_host<float>()[0]));
    CHECK(store.weights().to_host<float>() == before);
    CHECK(optimizer.first_moment().to_host<float>() == moment);
  }

  TEST_CASE("clipping scales the gradient down to the norm, and never up") {
    Device& cpu = device(DeviceKind::cpu);
    const auto moved = [&](float gradient) {
      nn::ParamStore store;
      const nn::Param weight = nn::Scope(store).declare("weight", {.shape = {1}});
      store.materialize(cpu, 1);
      nn::Optimizer optimizer(store, {.kind = nn::OptimizerKind::sgd, .momentum = 0, .clip_norm = 1});
      const nn::StepState state(cpu);
      nn::StateUpdates updates;
      state.set(0, 1.0);
      nn::ParamStore::part_of(store.gradients(), weight).copy_from_host(std::as_bytes(std::span(&gradient, 1)));
      optimizer.step({.device = cpu, .mode = nn::Mode::train, .state = state, .updates = updates});
      return static_cast<double>(weight.tensor().to_host<float>()[0]);
    };
    CHECK(moved(100) == doctest::Approx(-1).epsilon(1e-4));
    CHECK(moved(0.25f) == doctest::Approx(-0.25).epsilon(1e-4));
  }

  TEST_CASE("batch norm moves its running statistics at the commit, and not where the step was not finite") {
    Device& cpu = device(DeviceKind::cpu);
    nn::ParamStore store;
    const nn::BatchNorm norm(nn::Scope(store) / "norm", {.channels = 2});
    store.materialize(cpu, 1);
    const nn::StepState state(cpu);
    nn::StateUpdates updates;
    const nn::Context context{.device = cpu, .mode = nn::Mode::train, .state = state, .updates = updates};
    const std::vector<float> values = {1, 10, 3, 30};  // means 2 and 20, unbiased variances 2 and 200
    const Tensor x = Tensor::from_host(std::span<const float>(values), {2, 2}, cpu);
    const auto mean = [&] { return store.named("norm.running_mean").tensor().to_host<float>(); };
    const auto commit = [&](const float gate) {
      (void)norm(context, x);
      updates.commit(Tensor::from_host(std::span(&gate, 1), {1}, cpu));
    };
    (void)norm(context, x);
    CHECK(mean() == std::vector<float>{0, 0});
    commit(NAN);
    CHECK(mean() == std::vector<float>{0, 0});
    commit(1);
    CHECK(mean()[0] == doctest::Approx(0.2));
    CHECK(mean()[1] == doctest::Approx(2.0));
    const auto variance = store.named("norm.running_var").tensor().to_host<float>();
    CHECK(variance[0] == doctest::Approx(0.9 + 0.1 * 2));
    CHECK(variance[1] == doctest::Approx(0.9 + 0.1 * 200));
  }

  TEST_CASE("dropout is the identity outside training, and the same at the same step") {
    Device& cpu = device(DeviceKind::cpu);
    nn::ParamStore store;
    const nn::Dropout dropout(nn::Scope(store) / "dropout", 0.5);
    const nn::StepState state(cpu);
    nn::StateUpdates updates;
    const std::vector<float> ones(1000, 1.0f);
    const Tensor x = Tensor::from_host(std::span<const float>(ones), {10, 100}, cpu);
    nn::Context context{.device = cpu, .mode = nn::Mode::evaluate, .state = state, .updates = updates, .seed = 4};
    CHECK(dropout(context, x).to_host<float>() == ones);
    context.mode = nn::Mode::train;
    const auto first = dropout(context, x).to_host<float>();
    CHECK(first == dropout(context, x).to_host<float>());
    state.set(1, 0);
    CHECK(first != dropout(context, x).to_host<float>());
    CHECK(std::set<float>(first.begin(), first.end()) == std::set<float>{0.0f, 2.0f});
  }
}

}  // namespace
}  // namespace gesso
