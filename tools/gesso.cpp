// The program: one binary, several verbs.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/thread_pool.h"
#include "cuda/devices.h"
#include "tools/verbs.h"
#include "tools/version.h"
#include "train/task.h"
#include "train/text.h"

namespace gesso {

void print_json(const nlohmann::json& object) {
  fmt::print("{}\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

nlohmann::ordered_json json_of(const std::vector<Metric>& metrics) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const Metric& metric : metrics) object[metric.name] = metric.value;
  return object;
}

void add_device_option(CLI::App& verb, std::string& name) {
  verb.add_option("--device", name, "cpu, cuda, emulated or reference")->capture_default_str();
}

namespace {

int run(int argc, char** argv) {
  register_cuda_devices();
  CLI::App app("gesso trains image generators: VQ-VAE, from pixels to pictures, in one program.", "gesso");
  app.set_version_flag("--version", std::string("gesso ") + version());
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(
      "Exit codes: 0 done, 1 a check failed, 2 usage or configuration, 3 data, 4 numeric stop, 5 out of memory,\n"
      "6 input or output, 75 interrupted but saved.");
  int threads = 0;
  app.add_option("--threads", threads, "Worker threads; default: the variable GESSO_THREADS, else all processors")
      ->check(CLI::Range(1, 1024));
  app.parse_complete_callback([&threads] {
    if (threads > 0) set_threads(threads);
  });
  Outcome outcome;
  for (int i = 0; i < argc; ++i) outcome.command_line += fmt::format("{}{}", i == 0 ? "" : " ", escaped(argv[i]));
  add_train(app, outcome);
  add_reconstruct(app, outcome);
  add_encode(app, outcome);
  add_decode(app, outcome);
  add_evaluate(app, outcome);
  add_data(app, outcome);
  add_check(app, outcome);
  add_bench(app, outcome);
  add_info(app, outcome);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? kDone : static_cast<int>(ErrorKind::usage);
  }
  return outcome.exit_code;
}

}  // namespace
}  // namespace gesso

int main(int argc, char** argv) {
  try {
    return gesso::run(argc, argv);
  } catch (const gesso::Error& error) {
    fmt::print(stderr, "gesso: {}\n", error.what());
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "gesso: out of memory on the host; use a smaller train.batch or a smaller model\n");
    return static_cast<int>(gesso::ErrorKind::memory);
  } catch (const std::exception& error) {
    fmt::print(stderr, "gesso: {}\n", error.what());
    return static_cast<int>(gesso::ErrorKind::usage);
  }
}
