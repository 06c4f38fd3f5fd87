// tools/bench_peer: what it makes of what both programs say. They are stood in for by scripts here.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/shell.h"
#include "tests/support.h"
#include "train/files.h"

namespace gesso {
namespace {

constexpr const char* kGesso = R"(case "$*" in
  --version) echo 'gesso "test"' ;;
  'bench step bench-vqvae-28 --json')
    echo 'step 40 ms'
    echo '{"ms":{"median":50.0,"min":4e1},"ops":[{"ms":1.0,"name":"relu"}],"peak_rss_bytes":104857600}' ;;
  'bench ops --suite vqvae-28 --filter conv --json')
    echo '{"ceilings":{"gflops":9},"rows":['\
'{"ms":0.5,"ms_median":9,"name":"conv2d","pass":"forward","shape":"N2 1->8 28x28 k4 s2","times":1},'\
'{"ms":0.25,"ms_median":9,"name":"conv2d","pass":"weight gradient","shape":"N2 1->8 28x28 k4 s2","times":1},'\
'{"ms":1e-1,"ms_median":9,"name":"conv2d","pass":"forward","shape":"N2 8->8 7x7 k3 s1","times":10},'\
'{"ms":0.25,"ms_median":9,"name":"conv_transpose2d","pass":"forward","shape":"N2 8->1 14x14 k4 s2","times":2},'\
'{"ms":0.25,"ms_median":9,"name":"conv_transpose2d","pass":"input gradient","shape":"N2 8->1 14x14 k4 s2","times":2}'\
'],"sums":[{"ms":9,"ops":"all","pass":"all"}]}' ;;
  *) echo "asked for $*" >&2; exit 2 ;;
esac
)";

// PyTorch with a compiler that is slower in one type, and fails in the other, which is slow itself.
constexpr const char* kPython = R"(case "$1" in
  -c) echo 2.99 ;;
  */torch_vqvae.py)
    case "$*" in *--steps\ [0-9]*) ;; *) exit 2 ;; esac
    case "$*" in
      *bf16*--compile*) echo 'no compiler' >&2; exit 1 ;;
      *bf16*) ms=1500 ;;
      *--compile*) ms=120 ;;
      *channels_last*) ms=100 ;;
      *) ms=110 ;;
    esac
    echo "{\"mode\": \"train\", \"peak_rss_mib\": 800.5, \"ms\": {\"forward\": {\"min\": 1, \"median\": 2}," \
         "\"step\": {\"min\": $ms.0, \"median\": $((ms + 5)).0}}}" ;;
  */torch_layers.py)
    while read -r n c o h k s _; do
      echo "{\"layer\": \"N$n $c->$o ${h}x$h k$k s$s\", \"count\": 1, \"forward_ms\": 1.5," \
           "\"input_gradient_ms\": 2.0, \"weight_gradient_ms\": 4.0}"
    done <"$2"
    echo '{"total": "layers", "forward_ms": 99, "input_gradient_ms": 99, "weight_gradient_ms": 99}' ;;
esac
)";

Ended run_peer(const TemporaryDirectory& folder, const std::string& more) {
  return run_in_shell("cd '" + folder.path().string() + "' && '" + (source_directory() / "tools/bench_peer").string() +
                      "' --programs . --python '" + (folder / "python").string() + "' " + more);
}

nlohmann::json written(const std::filesystem::path& folder) {
  for (const std::string& file : list_directory(folder))
    if (file.ends_with(".json")) return nlohmann::json::parse(read_text_file(folder / file, 1 << 20));
  return {};
}

TEST_SUITE("bench peer") {
  TEST_CASE("gesso and PyTorch run in turn, by the best setting and pass by pass, into a table and a JSON file") {
    const TemporaryDirectory folder;
    write_script(folder, "gesso", kGesso);
    write_script(folder, "python", kPython);
    for (const char* script : {"torch_vqvae.py", "torch_layers.py"}) folder.write(script, "");
    const Ended ended = run_peer(folder, "--peer . --pairs 2 --only step --only vqvae-28 --threads 2 --out out");
    REQUIRE_MESSAGE(ended.status == 0, ended.text);
    CHECK_MESSAGE(ended.text.find("bf16   nchw           compile  failed") != std::string::npos, ended.text);
    CHECK(ended.text.find("| vqvae-28, convolutions, forward | ms | 2.0 | 2.0 | 7.0 | 7.0 |") == std::string::npos);
    const nlohmann::json result = written(folder / "out");
    CHECK(result.at("torch") == "2.99");
    CHECK(result.at("pairs") == 2);
    CHECK(result.at("settings").at("fp32") == "--dtype fp32 --layout channels_last --optim-impl fused --steps 30");
    CHECK(result.at("settings").at("bf16") == "--dtype bf16 --layout nchw --optim-impl fused --steps 4");
    std::map<std::string, nlohmann::json> rows;
    for (const auto& row : result.at("rows")) rows[row.at("name")] = row;
    REQUIRE(rows.size() == 10);
    const auto holds = [&](const std::string& name, double ours, double theirs) {
      const nlohmann::json& row = rows.at(name);
      for (const char* which : {"min", "median"}) {
        CHECK_MESSAGE(row.at("ours").at(which) == ours, name);
        CHECK_MESSAGE(row.at("peer").at(which) == theirs, name);
      }
      for (const char* which : {"of_minima", "least", "median"})
        CHECK_MESSAGE(row.at("times").at(which) == doctest::Approx(theirs / ours), name);
      CHECK(row.at("turns").size() == 2);
    };
    holds("bench-vqvae-28, median step, to fp32", 50, 105);
    holds("bench-vqvae-28, fastest step, to fp32", 40, 100);
    holds("bench-vqvae-28, fastest step, to bf16", 40, 1500);
    holds("bench-vqvae-28, peak memory, to fp32", 100, 800.5);
    holds("vqvae-28, convolutions, forward", 2, 1.5 + 10 * 1.5 + 2 * 2);  // a transposed one is a gradient
    holds("vqvae-28, convolutions, input gradient", 0.5, 2 * 1.5);
    holds("vqvae-28, convolutions, weight gradient", 0.25, 4);
    holds("vqvae-28, convolutions, all passes", 2.75, 27.5);
  }

  TEST_CASE("what cannot be compared is said plainly") {
    const TemporaryDirectory folder;
    const auto refused = [&](const std::string& more, const std::string& words) {
      const Ended ended = run_peer(folder, more);
      CHECK(WEXITSTATUS(ended.status) == 1);
      CHECK_MESSAGE(ended.text.find(words) != std::string::npos, ended.text);
    };
    refused("", "say with --peer where the scripts for PyTorch are");
    refused("--peer .", "/./torch_vqvae.py; --peer names the folder");
    for (const char* script : {"torch_vqvae.py", "torch_layers.py"}) folder.write(script, "");
    refused("--peer . --only unet", "--only unet: there is no such comparison");
    refused("--peer . --pairs 0", "whole numbers from 1");
    refused("--peer .", "/./gesso; build it first");
    write_script(folder, "gesso", "exit 3\n");
    refused("--peer .", "there is no PyTorch here: '" + (folder / "python").string() + "' cannot import torch");
    write_script(folder, "python", kPython);
    refused("--peer . --only vqvae-28 --out out", "gesso does not run");
    write_script(folder, "gesso", "test \"$1\" = --version\n");
    refused("--peer . --only vqvae-28 --out out", "gesso bench ops --suite vqvae-28 --filter conv failed");
  }
}

}  // namespace
}  // namespace gesso
