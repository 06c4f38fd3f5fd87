// The program's verbs. Each function adds one: its options, help with an example, and what runs.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/device.h"

namespace gesso {

struct Metric;

// Exit codes beside those of ErrorKind.
constexpr int kDone = 0, kChecksFailed = 1, kInterrupted = 75;

// Set by a verb that ends neither well nor with an Error.
struct Outcome {
  int exit_code = kDone;
  std::string command_line;  // of this program, for the record
};

void add_bench(CLI::App& app, Outcome& outcome);
void add_check(CLI::App& app, Outcome& outcome);
void add_data(CLI::App& app, Outcome& outcome);
void add_decode(CLI::App& app, Outcome& outcome);
void add_encode(CLI::App& app, Outcome& outcome);
void add_evaluate(CLI::App& app, Outcome& outcome);
void add_info(CLI::App& app, Outcome& outcome);
void add_reconstruct(CLI::App& app, Outcome& outcome);
void add_train(CLI::App& app, Outcome& outcome);

// Results go to standard output, diagnostics to standard error; with --json the last line is one object.
void print_json(const nlohmann::json& object);
nlohmann::ordered_json json_of(const std::vector<Metric>& metrics);

// --device, as all verbs that compute take it.
void add_device_option(CLI::App& verb, std::string& name);

}  // namespace gesso
