#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/program.h"
#include "tests/temporary_directory.h"

namespace gesso {
namespace {

// The program's output with its last line by itself.
struct Output {
  int status;
  std::string text, last_line;
};
Output run_bench(const std::vector<std::string>& arguments) {
  const TemporaryDirectory folder;
  Program program = run_program(folder.path(), arguments);
  std::string& text = program.out;
  while (text.ends_with('\n')) text.pop_back();
  return {program.exit_code, text + program.errors, text.substr(text.rfind('\n') + 1)};
}

TEST_SUITE("bench") {
  TEST_CASE("bench ops reports each pass of an op as one JSON object on the last line") {
    const Output output = run_bench({"bench", "ops", "--filter", "straight_through", "--json"});
    REQUIRE(output.status == 0);
    const nlohmann::json result = nlohmann::json::parse(output.last_line);
    REQUIRE(result["rows"].size() >= 2);
    for (const nlohmann::json& row : result["rows"]) {
      CHECK(row["name"] == "straight_through");
      CHECK(row["shape"].is_string());
      CHECK((row["pass"] == "forward" || row["pass"] == "backward" ||
             row["pass"].get<std::string>().starts_with("gradient")));
      CHECK(row["ms"] > 0);
      CHECK(row["ms"] <= row["ms_median"]);
      CHECK(row["gbps"] > 0);
      CHECK(row["share"] > 0);
    }
    CHECK(result["ceilings"]["gflops"] > 0);
    CHECK(result["ceilings"]["gbps"] > 0);
  }

  TEST_CASE("bench ops times a suite's calls, and sums them as often as a step makes them") {
    const Output output = run_bench({"bench", "ops", "--suite", "unet-64", "--filter", "matmul", "--json"});
    REQUIRE_MESSAGE(output.status == 0, output.text);
    const nlohmann::json result = nlohmann::json::parse(output.last_line);
    std::map<std::string, double> ms, ms_median;  // by pass
    for (const nlohmann::json& row : result["rows"]) {
      CHECK(row["name"] == "matmul");
      CHECK(row["share"] > 0);
      for (const std::string& pass : {row["pass"].get<std::string>(), std::string("all")}) {
        ms[pass] += row["times"].get<double>() * row["ms"].get<double>();
        ms_median[pass] += row["times"].get<double>() * row["ms_median"].get<double>();
      }
    }
    CHECK(result["rows"].size() == 11);  // the first layer's input is data
    CHECK(ms.size() == 4);
    REQUIRE(result["sums"].size() == 8);  // of other products than convolutions, and of all
    for (const nlohmann::json& sum : result["sums"]) {
      CHECK((sum["ops"] == "other products" || sum["ops"] == "all"));
      CHECK(sum["ms"].get<double>() == doctest::Approx(ms.at(sum["pass"])));
      CHECK(sum["ms_median"].get<double>() == doctest::Approx(ms_median.at(sum["pass"])));
      CHECK(sum["gflops"] > 0);
    }
  }

  TEST_CASE("bench ops refuses suites that there are not, ops that a suite has not, and devices that are too slow") {
    const auto refusal = [](std::vector<std::string> more) {
      more.insert(more.begin(), {"bench", "ops", "--suite"});
      const Output output = run_bench(more);
      CHECK(output.status == 2);
      CHECK(output.text.starts_with("gesso: "));  // no table is begun
      return output.text;
    };
    CHECK(refusal({"unet"}).find("no suite 'unet'; there are vqvae-28, unet-64, ddpm-cifar10") != std::string::npos);
    CHECK(refusal({"unet-64", "--filter", "relu"}).find("no op whose name holds 'relu'") != std::string::npos);
    CHECK(refusal({"unet-64", "--device", "reference"}).find("take cpu or cuda") != std::string::npos);
  }

  TEST_CASE("bench ops times the kernels of the emulated device, and counts their launches") {
    const Output output = run_bench({"bench", "ops", "--device", "emulated", "--filter", "straight_through", "--json"});
    if (output.text.find("device emulated is not part of this build") != std::string::npos) return;
    REQUIRE_MESSAGE(output.status == 0, output.text);
    const nlohmann::json result = nlohmann::json::parse(output.last_line);
    CHECK(result["device"] == "emulated");
    CHECK(result["ceilings"].is_null());
    REQUIRE(result["rows"].size() == 2);
    for (const nlohmann::json& row : result["rows"]) {
      CHECK(row["name"] == "straight_through");
      CHECK(row["launches"] == 1);
      CHECK(row["ms"] > 0);
      CHECK(row["ms"] <= row["ms_median"]);
      CHECK(row["gbps"] > 0);
      CHECK(row["share"].is_null());
    }
  }

  TEST_CASE("bench ops refuses devices that there are not, and that it cannot time") {
    const auto refusal = [](const std::string& device) {
      const Output output = run_bench({"bench", "ops", "--device", device, "--filter", "straight_through"});
      CHECK(output.status == 2);
      return output.text;
    };
    CHECK(refusal("abacus").find("unknown device 'abacus'; known are reference, cpu") != std::string::npos);
    CHECK(refusal("reference").find("the reference is not made to be fast") != std::string::npos);
  }

  TEST_CASE("bench step times a recipe's step as one JSON object on the last line") {
    const Output output = run_bench({"bench", "step", "vqvae-shapes", "data.size=8", "data.count=40", "model.hidden=8",
                                     "model.residual_hidden=4", "train.batch=4", "--json"});
    REQUIRE_MESSAGE(output.status == 0, output.text);
    const nlohmann::json result = nlohmann::json::parse(output.last_line);
    CHECK(result["ms"]["min"] > 0);
    CHECK(result["ms"]["min"] <= result["ms"]["median"]);
    CHECK(result["images_per_s"].get<double>() == doctest::Approx(4e3 / result["ms"]["median"].get<double>()));
    CHECK(result["peak_bytes"] > 0);
    CHECK(result["gflop"] > 0);
    CHECK(result["share_of_peak"] > 0);
    CHECK(result["steps"] >= 5);
    CHECK(result["device"] == "cpu");
    CHECK(result["allocations"] < 0.5);  // a thread that came late for its first chunk may want a block of its own
    CHECK(result["peak_rss_bytes"] > result["peak_bytes"]);
    CHECK(result["page_faults"] >= 0);
    double gflop = 0;
    std::map<std::string, int> calls;
    for (const nlohmann::json& op : result["ops"]) {
      CHECK(op["ms"] > 0);
      CHECK(op["floor_ms"] > 0);
      CHECK(op["operands"].get<std::string>().find(" -> ") != std::string::npos);
      gflop += op["gflop"].get<double>();
      calls[op["name"].get<std::string>() + " " + op["pass"].get<std::string>()] += op["calls"].get<int>();
    }
    CHECK(gflop == doctest::Approx(result["gflop"].get<double>()));
    CHECK(calls.at("conv2d forward") == 13);
    CHECK(calls.at("conv2d gradients 1 2") == 1);  // the first layer's input is data
    CHECK(calls.at("conv2d gradients 0 1 2") == 8);
    CHECK(calls.at("conv2d gradients 0 1 2 3") == 4);  // with what is added to the result of a residual block
    CHECK(output.text.find("all ops") != std::string::npos);
  }

  TEST_CASE("bench step times the emulated device, and tells its speed against nothing") {
    const Output output =
        run_bench({"bench", "step", "vqvae-shapes", "--device", "emulated", "data.size=8", "data.count=8",
                   "model.hidden=4", "model.residual_hidden=2", "model.codes=8", "train.batch=2", "--json"});
    if (output.text.find("device emulated is not part of this build") != std::string::npos) return;
    REQUIRE_MESSAGE(output.status == 0, output.text);
    const nlohmann::json result = nlohmann::json::parse(output.last_line);
    CHECK(result["device"] == "emulated");
    CHECK(result["conv_algorithm"] == "auto");
    CHECK(result["ms"]["min"] > 0);
    CHECK(result["peak_bytes"] > 0);
    CHECK(result["gflop"] > 0);
    CHECK(result["share_of_peak"].is_null());
    CHECK(result["ops"].empty());
  }

  TEST_CASE("bench step traces a step: what it did, by time, and a file for trace viewers") {
    const TemporaryDirectory folder;
    const Output output = run_bench({"bench", "step", "vqvae-shapes", "data.size=8", "data.count=40", "model.hidden=8",
                                     "model.residual_hidden=4", "train.batch=4", "--trace", folder / "trace.json",
                                     "--device", "emulated"});
    if (output.text.find("device emulated is not part of") != std::string::npos) return;
    REQUIRE_MESSAGE(output.status == 0, output.text);
    CHECK(output.text.find("self ms") != std::string::npos);
    const auto events = nlohmann::json::parse(read_text_file(folder / "trace.json", 1 << 24)).at("traceEvents");
    const auto count = [&](const std::string& name) {
      return std::ranges::count_if(events, [&](const auto& event) { return event.at("name") == name; });
    };
    CHECK(count("step") == 1);
    CHECK(count("conv2d") > 4);  // none if the step had been replayed
  }

  TEST_CASE("bench ops refuses a name that no op has, and lists the ops") {
    const Output output = run_bench({"bench", "ops", "--filter", "no_such_op"});
    CHECK(output.status != 0);
    CHECK(output.text.starts_with("gesso: there is no op 'no_such_op'; there are relu"));
  }

  TEST_CASE("bench emulator reports what emulation costs, or that the build has none") {
    const Output output = run_bench({"bench", "emulator", "--json"});
    if (output.text.find("not part of a build with sanitizers") != std::string::npos) return;
    REQUIRE(output.status == 0);
    const nlohmann::json result = nlohmann::json::parse(output.last_line);
    REQUIRE(result["rows"].size() == 6);
    for (const nlohmann::json& row : result["rows"]) {
      CHECK(row["name"].is_string());
      CHECK(row["ns"] > 0);
      CHECK((row["per"] == "launch" || row["per"] == "thread" || row["per"] == "warp"));
    }
  }
}

}  // namespace
}  // namespace gesso
