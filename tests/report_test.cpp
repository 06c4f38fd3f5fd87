#include "train/report.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/expect_error.h"
#include "tests/program.h"
#include "tests/small_run.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/chart.h"
#include "train/html.h"
#include "train/png.h"
#include "train/text.h"

namespace gesso {
namespace {

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++found;
  return found;
}

// A run as read_history() gives it, made by hand.
RunHistory history(const std::string& name, std::size_t lines) {
  RunHistory run;
  RecipeFile file;
  run.directory = "runs/" + name;
  run.recipe = file.recipe();
  run.settings = file.config().describe();
  Series loss{"loss", {}, {}}, seconds{"seconds", {}, {}}, share{"data_share", {}, {}};
  for (std::size_t i = 1; i <= lines; ++i) {
    for (Series* series : {&loss, &seconds, &share}) series->steps.push_back(static_cast<double>(i * 10));
    loss.values.push_back(1.0 / static_cast<double>(i));
    seconds.values.push_back(2);
    share.values.push_back(i == 1 ? 1 : 0);
  }
  run.metrics = {loss, seconds, share};
  run.step = static_cast<std::int64_t>(lines) * 10;
  return run;
}

std::string page_of(const std::vector<RunHistory>& runs) { return report_page(runs); }

// All names and texts of a run that come from outside, set to one that would break out of where it is put.
const std::string kEvil = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&\x01\xFF";

TEST_SUITE("report") {
  TEST_CASE("text becomes HTML that is read as that text and nothing else") {
    CHECK(html("a<b>&\"c'\n") == "a&lt;b&gt;&amp;&quot;c&#39;\n");
    CHECK(html("\n\na") == "\n\na");
    CHECK(html("") == "");
    CHECK(html(std::string("x\0y", 3)) == "x\\x00y");
    CHECK(html("\x1b[2J") == "\\x1b[2J");
    CHECK(html("caf\xc3\xa9") == "caf\xc3\xa9");
    CHECK(html("caf\xe9") == "caf\\xe9");
  }

  TEST_CASE("base64 is that of RFC 4648") {
    const auto encoded = [](std::string_view text) {
      return png_address(std::as_bytes(std::span(text))).substr(std::string_view("data:image/png;base64,").size());
    };
    CHECK(encoded("") == "");
    CHECK(encoded("f") == "Zg==");
    CHECK(encoded("fo") == "Zm8=");
    CHECK(encoded("foo") == "Zm9v");
    CHECK(encoded("foobar") == "Zm9vYmFy");
    CHECK(encoded("\xFF\xFE\xFD") == "//79");
  }

  TEST_CASE("a word for the shell comes out of the shell as it went in") {
    CHECK(in_shell("train.steps=100") == "train.steps=100");
    CHECK(in_shell("my photos") == "'my photos'");
    CHECK(in_shell("it's") == "'it'\\''s'");
    CHECK(in_shell("") == "''");
    CHECK(in_shell("$(rm -rf x)") == "'$(rm -rf x)'");
    CHECK(in_shell("a\n'\xFF") == "$'a\\x0a\\'\\xff'");
    const TemporaryDirectory folder;
    for (const std::string& word :
         {std::string("a b"), std::string("it's $HOME `x` \\ \"q\""), std::string("~*?[x]{1,2}!#")}) {
      const std::string command = fmt::format("printf %s {} > {}", in_shell(word), (folder / "out").string());
      REQUIRE(std::system(command.c_str()) == 0);
      CHECK(read_text_file(folder / "out", 1 << 10) == word);
    }
  }

  TEST_CASE("a page says how far a run came, what it cost, and how to make it again") {
    RunHistory run = history("first", 40);
    run.recipe.train.steps = 400;
    run.recipe.about.recipe = "vqvae-shapes";
    run.knows_recipe = true;
    run.changed = {{"data.path", "\"my photos\""}, {"train.steps", "400"}};
    run.starts = {{0, "2026-01-01T00:00:00Z", "gesso train x", "1.2", "cpu"},
                  {100, "2026-01-02T00:00:00Z", "gesso train x --resume", "1.2", "cuda"}};
    run.code_counts = {5, 0, 3, 1};
    run.skipped = {"bad.png: cut off"};
    run.skipped_count = 1;
    const std::string page = page_of({run});
    CHECK(holds(page, "Finished: 400 steps. Time: 1m20s. Resumed 1 time."));
    CHECK(holds(page, "waiting for data, % of the time</th><td class=\"number\">2.5<"));
    CHECK(holds(page,
                "gesso train vqvae-shapes --out again --device cuda &#39;data.path=my photos&#39; train.steps=400"));
    CHECK(holds(page, "bad.png: cut off"));
    CHECK(holds(page, "gesso train x --resume"));
    CHECK(holds(page, "class=\"mark\""));
    CHECK(holds(page, "how often each code occurs"));
    run.knows_recipe = false;
    CHECK(holds(page_of({run}), "gesso train runs/first/config.json --out again"));
  }

  TEST_CASE("at a glance a short run is its last line, a long one the mean of the last ten") {
    const auto last_loss = [](std::size_t lines) {
      const std::string page = page_of({history("x", lines)});
      const std::size_t at = page.find("loss</th><td class=\"number\">");
      return page.substr(at + 28, page.find('<', at + 28) - at - 28);
    };
    CHECK(last_loss(4) == "0.25");
    CHECK(last_loss(10) == "0.1");
    CHECK(last_loss(20) == short_number((1.0 / 19 + 1.0 / 20) / 2));
    double sum = 0;
    for (int i = 491; i <= 500; ++i) sum += 1.0 / i;
    CHECK(last_loss(500) == short_number(sum / 10));
  }

  TEST_CASE("the slowest steps stand with what they waited for, the slowest first") {
    RunHistory run = history("x", 12);
    run.recipe.train.batch = 8;
    const auto series = [&](const char* name, const std::vector<double>& values) {
      run.metrics.push_back({name, {20, 30, 40}, values});
    };
    series("slowest_step", {13, 21, 40});
    series("slowest_seconds", {0.5, 20, 0.25});
    series("slowest_data", {0.4, 0, 0});
    series("slowest_save", {0, 15, 0});
    series("slowest_pictures", {0, 0, 0.2});
    series("images_per_second", {100, 100, 80});
    const std::string page = page_of({run});
    const auto row = [](const std::string& step, const std::string& took, const std::string& most) {
      const std::string between = "</td><td class=\"number\">";
      return step + between + took + between + most;
    };
    const std::size_t first = page.find(row("21", "20.0s", "saving 15.0s, computing 5.0s")),
                      second = page.find(row("13", "500 ms", "waiting for data 400 ms, computing 100 ms")),
                      third = page.find(row("40", "250 ms", "pictures 200 ms, computing 50 ms"));
    CHECK(first < second);
    CHECK(second < third);
    CHECK(third != std::string::npos);
    CHECK(holds(page, "A usual one took 100 ms."));
    CHECK(!holds(page, "<h3>slowest"));
    CHECK(!holds(page_of({history("x", 3)}), "Slowest steps"));
  }

  TEST_CASE("of several runs each has its slowest steps, and what a usual one of it took") {
    RunHistory run = history("x", 12), fast = history("y", 12);
    for (RunHistory* of : {&run, &fast}) {
      const double scale = of == &run ? 1 : 0.001;
      Series step{"slowest_step", {}, {}}, seconds{"slowest_seconds", {}, {}}, rate{"images_per_second", {}, {}};
      for (int line = 1; line <= 12; ++line) {
        for (Series* series : {&step, &seconds, &rate}) series->steps.push_back(10 * line);
        step.values.push_back(10 * line - 5);
        seconds.values.push_back(scale * line);
        rate.values.push_back(32 / scale);
      }
      of->metrics.insert(of->metrics.end(), {step, seconds, rate});
    }
    const std::string page = page_of({run, fast});
    CHECK(count(page, "</span><bdi>x</bdi></td>") == 4);
    CHECK(count(page, "</span><bdi>y</bdi></td>") == 4);
    CHECK(holds(page, "</span><bdi>x</bdi></td><td class=\"number\">115</td><td class=\"number\">12.0s"));
    CHECK(holds(page,
                "slowest is known. A usual one took 1.0s in <span class=\"dot b0\"></span><bdi>x</bdi>, 1 ms in <span "
                "class=\"dot b1\"></span><bdi>y</bdi>.</p>"));
    const std::string unknown = page_of({history("z", 12), run});
    CHECK(holds(unknown, "A usual one took 1.0s in <span class=\"dot b1\"></span><bdi>x</bdi>.</p>"));
    CHECK(holds(page, "<title>gesso: x, y</title>"));
  }

  TEST_CASE("a run that could not go on says so first") {
    RunHistory run = history("x", 12);
    run.events = {{30, "skipped", "step 30: a spike"}, {121, "not finite", "step 121: not all of it is finite"}};
    CHECK(holds(page_of({run}), "120 of 10000 steps so far. Stopped at step 121: not finite."));
    run.step = 125;  // went on
    CHECK(!holds(page_of({run}), "Stopped"));
    run.events.pop_back();
    run.step = 20;
    CHECK(!holds(page_of({run}), "Stopped"));
  }

  TEST_CASE("what gesso chose is a table of settings, values and reasons") {
    RunHistory run = history("x", 3);
    run.recipe.about.chosen = "data.size=64: so many, say: all\ndata.flip=true: <why>\nodd\n";
    const auto set = [&](const std::string& key, const std::string& value) {
      std::ranges::find(run.settings, key, &JsonConfig::Description::key)->value = value;
    };
    set("data.size", "64");
    set("data.flip", "true");
    const std::string page = page_of({run});
    CHECK(holds(page,
                "<tr><th>data.size</th><td class=\"number\">64</td><td class=\"note\">so many, say: all</td></tr>"));
    CHECK(holds(page, "<tr><th>data.flip</th><td class=\"number\">true</td><td class=\"note\">&lt;why&gt;</td></tr>"));
    CHECK(holds(page, "<tr><th>odd</th><td class=\"number\"></td><td class=\"note\"></td></tr>"));
    CHECK(holds(page, "<details open><summary>What gesso chose, and why"));
    run.changed = {{"data.size", "64"}};  // which the table has already
    CHECK(holds(page_of({run}), "All else is as in the recipe."));
    run.changed = {{"data.path", "\"photos\""}};
    CHECK(holds(page_of({run}), "What else is not as in the recipe:"));
    // What changed on a resume is told with its last value, and is not what was chosen.
    run.changed = {{"data.size", "48"}, {"data.flip", "true"}};
    set("data.size", "48");
    const std::string resumed = page_of({run});
    CHECK(holds(resumed, "<td class=\"number\">64</td><td class=\"note\">so many, say: all; since a resume 48</td>"));
    CHECK(holds(resumed, "<td class=\"number\">true</td><td class=\"note\">&lt;why&gt;</td>"));
    CHECK(holds(resumed, "What else is not as in the recipe:</p><table class=\"one\"><tr><th>data.size</th>"));
    CHECK(holds(page_of({run, history("y", 3)}), "<details><summary>What gesso chose for "));
  }

  TEST_CASE("the data report says what was made of the files, and names those that could not be used") {
    RunHistory run = history("x", 3);
    run.recipe.data = {.kind = "folder", .path = "photos", .size = 64, .crop = Crop::random, .flip = true};
    run.starts = {{0, "", "", "", "cpu", "avx2, 3 threads", 20}};
    run.skipped = {"'a.jpg': cut off"};
    run.skipped_count = 1;
    const std::string page = page_of({run});
    CHECK(holds(page, "tested on</th><td class=\"number\">20 images<"));
    CHECK(holds(page,
                "shorter side brought to 64, any part of the longer one; colour, 8 bits; mirrored half of the time"));
    CHECK(holds(page, "<details open><summary>Files that could not be used: 1</summary>"));
    CHECK(holds(page, "device</th><td class=\"number\">cpu (avx2, 3 threads)<"));
    run.skipped_count = 300;
    CHECK(holds(page_of({run}), "<details><summary>Files that could not be used: 300, of which the first</summary>"));
    run.starts = {{0, "", "", "", "cpu"}};
    CHECK(holds(page_of({run}), "device</th><td class=\"number\">cpu<"));
    CHECK(!holds(page_of({run}), "tested on"));
  }

  TEST_CASE("what happened on the way is listed, and marked in every curve") {
    RunHistory run = history("x", 12);
    run.starts = {{0, "", "", "", "cpu"}, {60, "", "", "", "cpu"}, {90, "", "", "", "cpu"}};
    run.metrics.push_back({kSavesFailed, {80}, {2}});
    const std::string page = page_of({run});
    CHECK(count(page, "class=\"mark\"") == 2 * 2);  // of loss and data_share
    CHECK(count(page, "class=\"mark trouble\"") == 2);
    CHECK(holds(page, "<title>step 80: 2 saves failed since the line before</title>"));
    CHECK(page.find("60</td><td class=\"number\">resumed") < page.find("80</td><td class=\"number\">2 saves failed"));
    CHECK(!holds(page, ">saves_failed<"));
    CHECK(!holds(page_of({history("x", 12)}), "Events"));
    const RunHistory other = history("y", 12);
    CHECK(holds(page_of({run, other}), "<title>x, step 60: resumed</title>"));
  }

  TEST_CASE("the worst and best pictures stand beside each other, with their numbers") {
    const TemporaryDirectory folder;
    RunHistory run = history("x", 3);
    run.directory = folder.path();
    for (const char* name : {"worst.png", "best.png"}) write_png(folder / name, Image({4, 4, 3}, 90));
    run.extremes = Extremes{.step = 30, .looked_at = 77, .worst = {{5, 0.1}, {2, 0.01}}, .best = {{9, 0.001}, {1, 0}}};
    const std::string page = page_of({run});
    CHECK(count(page, "<img src=\"data:image/png;base64,") == 2);
    CHECK(holds(page, "Pictures 5 (10.0 dB), 2 (20.0 dB)"));
    CHECK(holds(page, "Pictures 9 (30.0 dB), 1 (inf dB)"));
    CHECK(holds(page, "Of the first 77 test pictures, after step 30."));
    std::filesystem::remove(folder / "best.png");
    CHECK(holds(page_of({run}), "best.png"));
  }

  TEST_CASE("several runs share their charts, by colour and name") {
    RunHistory first = history("a/one", 40), second = history("b/one", 20), third = history("three", 5);
    third.settings[10].value = "\"other\"";
    const std::string page = page_of({first, second, third});
    CHECK(holds(page, "3 runs side by side"));
    CHECK(holds(page, "runs/a/one"));  // names are equal: paths tell them apart
    CHECK(holds(page, "line c0"));
    CHECK(holds(page, "line c2"));
    CHECK(holds(page, "<td class=\"number\">other</td>"));
    CHECK(count(page, "class=\"chart\"") == 2);
    expect_error(ErrorKind::usage, {"0 runs"}, [] { page_of({}); });
    expect_error(ErrorKind::usage, {"9 runs"}, [&] { page_of(std::vector<RunHistory>(9, first)); });
  }

  TEST_CASE("nothing that a run brings along becomes part of the page but as text") {
    RunHistory run = history(kEvil, 3);
    const std::string clean = page_of({history("x", 3)});
    run.recipe.about = {kEvil, kEvil, kEvil, kEvil, kEvil};
    run.recipe.data.kind = run.recipe.data.path = kEvil;
    for (auto& setting : run.settings) setting.value = kEvil;
    run.changed = {{"data.path", kEvil}, {kEvil, kEvil}};
    run.metrics.push_back({kEvil, {1, 2}, {1, 2}});
    run.starts = {{1, kEvil, kEvil, kEvil, kEvil, kEvil}};
    run.skipped = {kEvil};
    run.skipped_count = 1;
    run.pictures = {{1, kEvil}};
    run.events = {{20, kEvil, "step 20: " + kEvil}, {30, kEvil, kEvil}};
    const RunHistory other = history(kEvil + "2", 2);
    const std::string page = page_of({run, other});
    CHECK(!holds(page, "<script>alert"));
    CHECK(!holds(page, "<img"));
    CHECK(count(page, "<script") == count(clean, "<script"));
    CHECK(holds(page, "&lt;/script&gt;&lt;script&gt;alert(1)"));
    CHECK(!holds(page, "\x01"));
    CHECK(!holds(page, "\xFF"));
  }

  TEST_CASE("a page loads nothing from anywhere") {
    const TemporaryDirectory folder;
    write_png(folder / "step-00000001.png", Image({4, 4, 3}, 90));
    folder.write("step-00000002.png", "no picture");
    RunHistory run = history("x", 3);
    run.pictures = {{1, folder / "step-00000001.png"}, {2, folder / "step-00000002.png"}, {3, folder / "gone.png"}};
    const std::string page = page_of({run});
    CHECK(count(page, "<img src=\"data:image/png;base64,") == 1);
    CHECK(count(page, "src=") == 1);
    for (const char* word : {"http:", "https:", "href=", "url(", "@import"}) CHECK_MESSAGE(!holds(page, word), word);
    CHECK(holds(page, "step-00000002.png"));
    CHECK(holds(page, "gone.png"));
    CHECK(holds(page, "type=\"range\" min=\"0\" max=\"2\""));
  }

  TEST_CASE("a film of many pictures is thinned out, from the first to the last") {
    const TemporaryDirectory folder;
    write_png(folder / "a.png", Image({4, 4, 1}, 90));
    RunHistory run = history("x", 3);
    for (std::int64_t step = 1; step <= 100; ++step) run.pictures.push_back({step, folder / "a.png"});
    const std::string page = page_of({run});
    CHECK(count(page, "<img") == 24);
    CHECK(holds(page, "step 1<"));
    CHECK(holds(page, "step 100<"));
  }
}

TEST_SUITE("run history") {
  TEST_CASE("a real run is read back as it was written, and its page is written into it") {
    const TemporaryDirectory folder;
    train_small({"train.steps=9"}, {.directory = folder / "run"});
    const RunHistory run = read_history(folder / "run");
    CHECK(run.step == 9);
    CHECK(run.recipe.train.batch == 5);
    CHECK(run.unreadable_lines == 0);
    CHECK(run.knows_recipe);
    REQUIRE(run.series("loss") != nullptr);
    CHECK(run.series("loss")->steps == std::vector<double>{4, 8, 9});
    CHECK(run.series("nothing") == nullptr);
    const std::pair<std::string, std::string> hidden("model.hidden", "8");
    CHECK(std::ranges::count(run.changed, hidden) == 1);
    for (const auto& [key, value] : run.changed) CHECK(key != "model.height");  // the data say it
    CHECK(run.pictures.size() == 5);

    const Program program = run_program(folder.path(), {"report", folder / "run"});
    REQUIRE_MESSAGE(program.exit_code == 0, program.errors);
    // Those and the worst and the best.
    CHECK(count(read_text_file(folder / "run" / "report.html", 1 << 24), "<img") == 5 + 2);
    const Program two = run_program(folder.path(), {"report", folder / "run", folder / "run"});
    CHECK(two.exit_code == static_cast<int>(ErrorKind::usage));
    CHECK(holds(two.errors, "--out"));
    const Program none = run_program(folder.path(), {"report", folder / "none"});
    CHECK(none.exit_code == static_cast<int>(ErrorKind::data));
    CHECK(holds(none.errors, "no such folder"));
    CHECK(run_program(folder.path(), {"report", folder.path()}).errors.find("no config.json") != std::string::npos);
  }

  TEST_CASE("files of a run that are damaged or foreign cost lines, never the page") {
    const TemporaryDirectory folder;
    folder.write("config.json", "{}");
    folder.write("metrics.jsonl",
                 "{\"step\":1,\"split\":\"train\",\"loss\":2,\"odd\":\"nan\"}\n"
                 "{\"step\":2,\"split\":\"validation\",\"loss\":7}\n"
                 "not JSON\n"
                 "[1,2]\n"
                 "{\"step\":\"3\",\"split\":\"train\"}\n"
                 "{\"step\":-3,\"split\":\"train\"}\n"
                 "{\"step\":1e300,\"split\":\"train\"}\n"
                 "{\"step\":18446744073709551615,\"split\":\"train\"}\n"
                 "{\"step\":1,\"split\":\"train\",\"loss\":3}\n" +
                     std::string(1 << 17, '[') + "\n{\"step\":5,\"split\":\"train\",\"loss\":4}\n{\"step\":6,\"spl");
    folder.write("starts.jsonl", "{\"step\":4,\"command\":7,\"device\":\"cpu\"}\n{\"step\":-1}\nx\n");
    folder.write("codes.txt", "3\n-7\nx\n99999999999999999999\n");
    folder.write("skipped.txt", "a.png: no\n");
    std::filesystem::create_directory(folder / "samples");
    for (const char* name : {"step-00000008.png", "step-7.png", "step-x.png", "step-.png", "step--1.png", "other.png"})
      folder.write(std::string("samples/") + name, "x");
    const RunHistory run = read_history(folder.path());
    REQUIRE(run.series("loss") != nullptr);
    CHECK(run.series("loss")->values == std::vector<double>{2, 4});
    CHECK(std::isnan(run.series("odd")->values.at(0)));
    CHECK(run.step == 5);
    CHECK(run.unreadable_lines == 9);
    REQUIRE(run.starts.size() == 1);
    CHECK(run.starts[0].step == 4);
    CHECK(run.starts[0].command.empty());
    CHECK(run.code_counts.size() == 4);
    CHECK(run.code_counts[0] == 3);
    CHECK(run.code_counts[1] == 0);
    CHECK(run.skipped_count == 1);
    REQUIRE(run.pictures.size() == 1);
    CHECK(run.pictures[0].step == 8);
    CHECK(!page_of({run}).empty());
    folder.write("config.json", "{\"train\": 7}");
    expect_error(ErrorKind::usage, {"config.json"}, [&] { read_history(folder.path()); });
  }

  TEST_CASE("a file of extremes is read back as it was written, and anything else is none") {
    const Extremes written{.step = 7, .looked_at = 20, .worst = {{3, 0.25}}, .best = {{0, 1e-9}}};
    const auto read = extremes_of(text_of(written));
    REQUIRE(read);
    CHECK(text_of(*read) == text_of(written));
    for (const char* text :
         {"", "{}", "[]", "7", "{\"step\":1}", "{\"step\":1,\"looked_at\":2,\"worst\":[7],\"best\":[]}",
          "{\"step\":\"x\",\"looked_at\":2,\"worst\":[],\"best\":[]}",
          "{\"step\":1e30,\"looked_at\":2,\"worst\":[],\"best\":[]}",
          "{\"step\":1,\"looked_at\":2,\"worst\":[{\"index\":0.5,\"mse\":1}],\"best\":[]}"})
      CHECK_MESSAGE(!extremes_of(text), text);
    std::string many = "{\"step\":1,\"looked_at\":2,\"best\":[],\"worst\":[";
    for (int i = 0; i < 100; ++i) many += "{\"index\":1,\"mse\":2},";
    many.back() = ']';
    CHECK(extremes_of(many + "}")->worst.size() == 4);
    const TemporaryDirectory folder;
    folder.write("config.json", "{}");
    folder.write("extremes.json", std::string(1 << 20, '['));
    CHECK(!read_history(folder.path()).extremes);
  }

  TEST_CASE("many names of values and random bytes in a run's files are survived") {
    const TemporaryDirectory folder;
    folder.write("config.json", "{}");
    std::string line = "{\"step\":1,\"split\":\"train\"";
    for (int i = 0; i < 1000; ++i) line += fmt::format(",\"name{}\":{}", i, i);
    folder.write("metrics.jsonl", line + "}\n");
    CHECK(read_history(folder.path()).metrics.size() == 64);
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 50; ++round) {
      for (const char* name : {"metrics.jsonl", "starts.jsonl", "codes.txt", "skipped.txt", "extremes.json"}) {
        std::string bytes;
        for (std::uint64_t i = random() % 300; i > 0; --i)
          bytes += static_cast<char>(random() % 5 == 0 ? '\n' : random());
        folder.write(name, bytes);
      }
      CHECK(!page_of({read_history(folder.path())}).empty());
    }
  }
}

}  // namespace
}  // namespace gesso
