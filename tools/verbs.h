// The program's verbs. Each function adds one: its options, help with an example, and what runs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/device.h"
#include "tools/verb.h"

namespace gesso {

struct Metric;

// Exit codes beside those of ErrorKind.
constexpr int kDone = 0, kChecksFailed = 1, kInterrupted = 75;

// Set by a verb that ends neither well nor with an Error.
struct Outcome {
  int exit_code = kDone;
  std::string command_line;  // of this program, for the record
};

void add_bench(Verb program, Outcome& outcome);
void add_check(Verb program, Outcome& outcome);
void add_data(Verb program, Outcome& outcome);
void add_decode(Verb program, Outcome& outcome);
void add_encode(Verb program, Outcome& outcome);
void add_evaluate(Verb program, Outcome& outcome);
void add_info(Verb program, Outcome& outcome);
void add_reconstruct(Verb program, Outcome& outcome);
void add_replay(Verb program, Outcome& outcome);
void add_report(Verb program, Outcome& outcome);
void add_train(Verb program, Outcome& outcome);

// Results go to standard output, diagnostics to standard error; with --json the last line is one object.
std::string json_line(const nlohmann::json& object);
void print_json(const nlohmann::json& object);
nlohmann::ordered_json json_of(const std::vector<Metric>& metrics);

// --device, as all verbs that compute take it.
void add_device_option(Verb verb, std::string& name);
// --json, as all verbs that have results take it.
VerbOption add_json_option(Verb verb, bool& json);

}  // namespace gesso
