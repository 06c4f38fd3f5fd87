// The shapes that bench ops --suite times, against the steps that they stand for.
#include "tools/bench_suites.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <string>

#include "core/profiler.h"
#include "ops/op_list.h"
#include "train/comparison.h"
#include "train/open_dataset.h"
#include "train/recipe_task.h"
#include "train/step.h"

namespace gesso {
namespace {

// How often each product of a step is computed, in each of its passes.
using Products = std::map<std::string, int>;

Specs specs_of(const SuiteCall& call) {
  Specs specs;
  for (const Operand& operand : call.of.in)
    specs.push_back(operand.domain == Domain::absent ? Spec{} : Spec{operand.shape, DType::f32});
  return specs;
}

Products of_suite(const Suite& suite, std::int64_t batch) {
  Products products;
  for (const SuiteCall& call : suite.calls(batch)) {
    const Specs in = specs_of(call);
    std::string what = fmt::format("{} {}", call.op, in[0].text());
    if (in.size() > 1) what += ", " + in[1].text();
    what += " ->";
    for (const Spec& out : row_named(call.op).infer(call.of.attrs, in)) what += " " + out.text();
    products[what + ", forward"] += call.times;
    for (std::size_t i : {0u, 1u})
      if (has(call.gradients, i)) products[fmt::format("{}, gradient {}", what, i)] += call.times;
  }
  return products;
}

// What a range of the profiler says, as above: without the operands that are no factors.
void add(const ProfileEvent& event, Products& products) {
  if (event.kind != RangeKind::op) return;
  const auto is = [&](std::string_view op) { return event.name == op; };
  if (!is("conv2d") && !is("conv_transpose2d") && !is("matmul") && !is("attention") && !is("nearest_code")) return;
  const std::size_t arrow = event.operands.find(" -> ");
  REQUIRE(arrow != std::string::npos);
  std::string factors = event.operands.substr(0, arrow), results = event.operands.substr(arrow);
  if (const std::size_t second = factors.find(", "); second != std::string::npos)
    factors = factors.substr(0, factors.find(", ", second + 2));
  for (std::size_t comma = 0; (comma = results.find(", ", comma)) != std::string::npos;) results.erase(comma, 1);
  const std::string what = fmt::format("{} {}{}", event.name, factors, results);
  if (event.pass == "forward") ++products[what + ", forward"];
  for (const char* i : {"0", "1"})
    if (event.pass.starts_with("gradients") && event.pass.find(i) != std::string::npos)
      ++products[fmt::format("{}, gradient {}", what, i)];
}

// Of the second step of a recipe; the first one starts the codebook.
Products of_step(Recipe& recipe) {
  Device& cpu = device(DeviceKind::cpu);
  const auto data = open_dataset(recipe.data, Split::train, 1);
  resolve_image_shape(recipe, data->image_shape());
  const auto task = make_task(recipe, cpu);
  CHECK(task->store().count(nn::ParamKind::trained) == 690'753);
  task->measure(*data);
  const Tensor images = read_images(*data, 0, recipe.train.batch, cpu);
  nn::Optimizer optimizer(task->store(), recipe.optimizer);
  TrainStep step(*task, optimizer, images, {});
  (void)step.run(0, 0).read();
  Profiler& profiler = Profiler::instance();
  profiler.clear();
  profiler.start();
  (void)step.run(1, 0).read();
  profiler.stop();
  Products products;
  for (const ProfileEvent& event : profiler.events()) add(event, products);
  profiler.clear();
  return products;
}

// Operations of a forward pass of one image, by op and kernel.
std::map<std::string, double> operations(const Suite& suite) {
  std::map<std::string, double> sums;
  for (const SuiteCall& call : suite.calls(1)) {
    const Specs in = specs_of(call);
    const Shape& x = in[0].shape;
    std::string key(call.op);
    if (call.op == "conv2d") key = call.of.name.substr(call.of.name.find(" k") + 1);
    // Those of attention's two products; the row counts the softmax too.
    const double each = call.op == "attention" ? 4 * static_cast<double>(x[0] * x[1] * x[1] * x[2] / 3)
                                               : row_named(call.op).flops(call.of.attrs, in);
    sums[key] += call.times * each;
  }
  return sums;
}

TEST_SUITE("bench suites") {
  TEST_CASE("suite vqvae-28 is what a step of recipe bench-vqvae-28 multiplies") {
    const Suite& suite = suite_named("vqvae-28");
    RecipeFile file;
    file.config().load_file(recipe_path("bench-vqvae-28"));
    CHECK(file.recipe().train.batch == suite.batch);
    for (const char* small : {"train.batch=2", "data.count=2"}) file.config().assign(small);
    const Products expected = of_step(file.recipe()), found = of_suite(suite, 2);
    REQUIRE(expected.size() > 20);
    for (const auto& [what, times] : expected) {
      CAPTURE(what);
      CHECK((found.contains(what) ? found.at(what) : 0) == times);
    }
    for (const auto& [what, times] : found) CHECK_MESSAGE(expected.contains(what), what);
  }

  // Counted in PyTorch, by hooks on the modules of the same U-Net, which has 8,952,067 and 35,746,307 parameters.
  TEST_CASE("the suites of U-Nets have the operations of these networks") {
    CHECK(operations(suite_named("unet-64")) == std::map<std::string, double>{{"k3 s1", 2691956736},
                                                                              {"k3 s2", 42467328},
                                                                              {"k1 s1", 294649856},
                                                                              {"matmul", 1441792},
                                                                              {"attention", 167903232}});
    CHECK(operations(suite_named("ddpm-cifar10")) == std::map<std::string, double>{{"k3 s1", 10753671168},
                                                                                   {"k3 s2", 169869312},
                                                                                   {"k1 s1", 1178599424},
                                                                                   {"matmul", 5767168},
                                                                                   {"attention", 335806464}});
  }
}

}  // namespace
}  // namespace gesso
