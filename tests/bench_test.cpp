#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace gesso {
namespace {

struct Output {
  int status = -1;
  std::string text, last_line;
};

// Runs the program that is built beside this test.
Output run_program(const std::string& arguments) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gesso";
  Output output;
  std::FILE* pipe = popen(("'" + program + "' " + arguments + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return output;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.text.append(buffer, got);
  output.status = pclose(pipe);
  while (output.text.ends_with('\n')) output.text.pop_back();
  output.last_line = output.text.substr(output.text.rfind('\n') + 1);
  return output;
}

TEST_SUITE("bench") {
  TEST_CASE("bench ops reports each pass of an op as one JSON object on the last line") {
    const Output output = run_program("bench ops --filter straight_through --json");
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

  TEST_CASE("bench ops refuses a name that no op has, and lists the ops") {
    const Output output = run_program("bench ops --filter no_such_op");
    CHECK(output.status != 0);
    CHECK(output.text.find("there is no op 'no_such_op'; there are relu") != std::string::npos);
  }
}

}  // namespace
}  // namespace gesso
