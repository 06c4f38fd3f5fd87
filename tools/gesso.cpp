// The program: one binary, several verbs.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "core/error.h"
#include "core/thread_pool.h"
#include "cuda/devices.h"
#include "tools/verbs.h"
#include "tools/version.h"
#include "train/standard_streams.h"
#include "train/task.h"
#include "train/text.h"

namespace gesso {

std::string json_line(const nlohmann::json& object) {
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

void print_json(const nlohmann::json& object) { fmt::print("{}", json_line(object)); }

nlohmann::ordered_json json_of(const std::vector<Metric>& metrics) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const Metric& metric : metrics) object[metric.name] = metric.value;
  return object;
}

void add_device_option(Verb verb, std::string& name) {
  verb.add("--device", name, "cpu, cuda, emulated or reference").shows_default();
}

VerbOption add_json_option(Verb verb, bool& json) {
  return verb.add("--json", json, "Last line of standard output: one JSON object");
}

namespace {

// Standard output forgets what it could not write, but not that it could not. That a run is saved counts for more.
int exit_code_of(const Outcome& outcome) {
  const int error = std::fflush(stdout) == 0 ? 0 : errno;
  if (error == 0 && std::ferror(stdout) == 0) return outcome.exit_code;
  const std::string why = error != 0 ? std::generic_category().message(error) : "some of them were refused";
  const std::string text = fmt::format("cannot write the results to standard output: {}", why);
  if (outcome.exit_code != kInterrupted) fail(ErrorKind::io, "{}", text);
  tell(fmt::format("gesso: {}\n", text));
  return kInterrupted;
}

int run(int argc, char** argv) {
  register_cuda_devices();
  CommandLine command_line("gesso", "gesso trains image generators: VQ-VAE, from pixels to pictures, in one program.",
                           std::string("gesso ") + version());
  Verb program = command_line.program();
  program.footer(
      "Exit codes: 0 done, 1 a check failed, 2 usage or configuration, 3 data, 4 numeric stop, 5 out of memory,\n"
      "6 input or output, 75 interrupted but saved.");
  int threads = 0;
  program.add("--threads", threads, "Worker threads; default: the variable GESSO_THREADS, else all processors")
      .between(1, 1024);
  command_line.runs_first([&threads] {
    if (threads > 0) set_threads(threads);
  });
  Outcome outcome;
  for (int i = 0; i < argc; ++i) outcome.command_line += fmt::format("{}{}", i == 0 ? "" : " ", in_shell(argv[i]));
  add_train(program, outcome);
  add_reconstruct(program, outcome);
  add_encode(program, outcome);
  add_decode(program, outcome);
  add_evaluate(program, outcome);
  add_report(program, outcome);
  add_replay(program, outcome);
  add_data(program, outcome);
  add_check(program, outcome);
  add_bench(program, outcome);
  add_info(program, outcome);
  if (!command_line.parse(argc, argv)) return static_cast<int>(ErrorKind::usage);
  return exit_code_of(outcome);
}

// Where one was closed, a file of a run would get its number, and what is said would be written into that file. What
// nobody can read, writing to standard output must still find out.
void open_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) < 0) (void)open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace
}  // namespace gesso

int main(int argc, char** argv) {
  gesso::open_closed_streams();
  signal(SIGXFSZ, SIG_IGN);  // what grows above `ulimit -f` cannot be written, which is told as on a full disk
  try {
    return gesso::run(argc, argv);
  } catch (const gesso::Error& error) {
    gesso::tell(fmt::format("gesso: {}\n", error.what()));
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    gesso::tell("gesso: out of memory on the host; free memory, raise ulimit -v, or give it less to do at a time\n");
    return static_cast<int>(gesso::ErrorKind::memory);
  } catch (const std::system_error& error) {  // of printing, of std::filesystem, or of starting a thread
    gesso::tell(fmt::format("gesso: {}\n", error.what()));
    const bool is_memory =
        error.code() == std::errc::not_enough_memory || error.code() == std::errc::resource_unavailable_try_again;
    return static_cast<int>(is_memory ? gesso::ErrorKind::memory : gesso::ErrorKind::io);
  } catch (const std::exception& error) {
    gesso::tell(fmt::format("gesso: {}\n", error.what()));
    return static_cast<int>(gesso::ErrorKind::usage);
  }
}
