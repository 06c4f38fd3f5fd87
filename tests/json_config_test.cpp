#include "train/json_config.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include "train/text.h"

namespace gesso {
namespace {

enum class Update { ema, gradient };

struct Recipe {
  std::int64_t steps = 1000;
  int batch = 32;
  std::uint64_t seed = 0;
  double rate = 1e-3;
  bool flip = false;
  std::string path = "shapes", optimizer = "adam";
  Update update = Update::ema;
  std::vector<std::int64_t> widths = {64, 128};
  std::vector<double> betas = {0.9, 0.999};

  void declare(JsonConfig& config) {
    config.field("train.steps", steps, {1, 1'000'000}, "step after which training stops");
    config.field("train.batch", batch, {1, 65536}, "images a step");
    config.field("train.seed", seed, {0}, "seed of all randomness");
    config.field("optimizer.rate", rate, {0, 1}, "learning rate");
    config.field("optimizer.name", optimizer, {"adam", "sgd"}, "which optimiser");
    config.field("data.flip", flip, "whether to flip");
    config.field("data.path", path, "where the data are");
    config.field("model.quantizer.update", update, {{"ema", Update::ema}, {"gradient", Update::gradient}},
                 "how codes move");
    config.field("model.widths", widths, {1, 4096}, "channels of each level");
    config.field("optimizer.betas", betas, {0, 1}, "decay of the moments");
  }
};
struct Bound : Recipe {
  JsonConfig config;
  Bound() { declare(config); }
};

TEST_SUITE("json_config") {
  TEST_CASE("a file sets what it names and leaves the rest") {
    TemporaryDirectory directory;
    Bound r;
    r.config.load_file(directory.write("a.json", R"({
      // comments are allowed
      "train": {"steps": 5, "seed": 9007199254740993},
      "optimizer": {"rate": 1, "name": "sgd", "betas": [0, 0.5]},
      "data.flip": true, "data": {"path": "ä"},
      "model": {"widths": [], "quantizer": {"update": "gradient"}}})"));
    CHECK(r.steps == 5);
    CHECK(r.batch == 32);
    CHECK(r.seed == 9007199254740993u);
    CHECK(r.rate == 1.0);
    CHECK(r.optimizer == "sgd");
    CHECK(r.betas == std::vector<double>{0, 0.5});
    CHECK(r.flip);
    CHECK(r.path == "ä");
    CHECK(r.widths.empty());
    CHECK(r.update == Update::gradient);
  }

  TEST_CASE("the command line sets single keys, text without quotes and lists without brackets") {
    Bound r;
    for (const char* assignment :
         {"train.steps=1e3", "train.batch=7", "optimizer.rate=2.5e-4", "data.path=a=b c", "data.flip=true",
          "optimizer.name=sgd", "model.quantizer.update=gradient", "model.widths=1,2,3", "optimizer.betas=[0.5]"})
      r.config.assign(assignment);
    CHECK(r.steps == 1000);
    CHECK(r.batch == 7);
    CHECK(r.rate == 2.5e-4);
    CHECK(r.path == "a=b c");
    CHECK(r.flip);
    CHECK(r.optimizer == "sgd");
    CHECK(r.update == Update::gradient);
    CHECK(r.widths == std::vector<std::int64_t>{1, 2, 3});
    CHECK(r.betas == std::vector<double>{0.5});
    r.config.assign("data.path=");
    r.config.assign("model.widths=");
    CHECK(r.path.empty());
    CHECK(r.widths.empty());
  }

  TEST_CASE("the resolved text has all keys in order and loads to the same values") {
    Bound r;
    r.config.assign("data.path=a \"quoted\"\n path");
    r.config.assign("optimizer.rate=0.1");
    CHECK(r.config.text() == R"({
  "train": {
    "steps": 1000,
    "batch": 32,
    "seed": 0
  },
  "optimizer": {
    "rate": 0.1,
    "name": "adam",
    "betas": [0.9,0.999]
  },
  "data": {
    "flip": false,
    "path": "a \"quoted\"\n path"
  },
  "model": {
    "quantizer": {
      "update": "ema"
    },
    "widths": [64,128]
  }
}
)");
    Bound again;
    again.config.load(r.config.text(), "resolved");
    CHECK(again.config.text() == r.config.text());
    CHECK(again.rate == r.rate);
    CHECK(JsonConfig().text() == "{}\n");
  }

  TEST_CASE("the declaration describes each key: type, limits, value and meaning") {
    Bound r;
    const auto rows = r.config.describe();
    REQUIRE(rows.size() == 10);
    CHECK(rows[0].key == "train.steps");
    CHECK(rows[0].expected == "a whole number from 1 to 1000000");
    CHECK(rows[0].value == "1000");
    CHECK(rows[0].doc == "step after which training stops");
    CHECK(rows[2].expected == "a whole number, at least 0");
    CHECK(rows[3].expected == "a number from 0 to 1");
    CHECK(rows[4].expected == "one of adam, sgd");
    CHECK(rows[5].expected == "true or false");
    CHECK(rows[6].expected == "text");
    CHECK(rows[7].value == "\"ema\"");
    CHECK(rows[8].expected == "a list, each a whole number from 1 to 4096");
  }

  TEST_CASE("a key that may be auto keeps its value until it is given one, and no other key may") {
    Bound r;
    r.config.allow_auto({"train.steps", "optimizer.name"});
    CHECK(!r.config.is_auto("train.steps"));
    r.config.load(R"({"train": {"steps": "auto"}, "optimizer": {"name": "auto"}})", "file");
    CHECK(r.config.is_auto("train.steps"));
    CHECK(r.config.is_auto("optimizer.name"));
    CHECK(r.steps == 1000);
    CHECK(r.config.describe()[0].value == "\"auto\"");
    CHECK(r.config.describe()[0].expected == "a whole number from 1 to 1000000, or auto");
    Bound again;
    again.config.allow_auto({"train.steps", "optimizer.name"});
    again.config.load(r.config.text(), "resolved");
    CHECK(again.config.is_auto("train.steps"));
    r.config.assign("train.steps=7");
    CHECK(!r.config.is_auto("train.steps"));
    CHECK(r.steps == 7);
    r.config.assign("train.steps=auto");
    CHECK(r.config.is_auto("train.steps"));
    CHECK(r.steps == 7);
    expect_error(ErrorKind::usage, {"train.batch", "got \"auto\""}, [&] { r.config.assign("train.batch=auto"); });
    expect_error(ErrorKind::usage, {"nothing.here"}, [&] { r.config.allow_auto({"nothing.here"}); });
    CHECK(!r.config.is_auto("nothing.here"));
  }

  TEST_CASE("what a file says wrongly is named with file, key, value and remedy") {
    struct Case {
      const char* text;
      std::vector<std::string> words;
    };
    const std::vector<Case> cases = {
        {R"({"trian": {"steps": 1}})", {"unknown key 'trian.steps'; did you mean 'train.steps'?"}},
        {R"({"train": {"step": 1}})", {"unknown key 'train.step'; did you mean 'train.steps'?"}},
        {R"({"steps": 1})", {"unknown key 'steps'; did you mean 'train.steps'?"}},
        {R"({"train": {"photographs": 1}})",
         {"unknown key 'train.photographs'; known are train.steps, train.batch, train.seed"}},
        {R"({"photographs": {}})", {"unknown key 'photographs'; known are train.steps", "optimizer.betas"}},
        {R"({"train": {"batch": "32"}})",
         {"train.batch: expected a whole number from 1 to 65536, got \"32\" (string)"}},
        {R"({"train": {"batch": 1.5}})", {"train.batch: expected a whole number", "got 1.5 (number)"}},
        {R"({"train": {"batch": null}})", {"got null (null)"}},
        {R"({"train": {"batch": [1]}})", {"got [1] (array)"}},
        {R"({"train": {"batch": {}}})", {"train.batch", "got {} (object)"}},
        {R"({"train": {"batch": {"size": 1}}})", {"train.batch: expected a whole number", "got an object"}},
        {R"({"train": 5})", {"train: expected an object with train.steps, train.batch, train.seed, got 5 (number)"}},
        {R"({"train": {"batch": 0}})", {"train.batch: 0 is out of range; expected a whole number from 1 to 65536"}},
        {R"({"train": {"batch": 65537}})", {"train.batch: 65537 is out of range"}},
        {R"({"train": {"seed": -1}})", {"train.seed: -1 is out of range; expected a whole number, at least 0"}},
        {R"({"train": {"seed": 18446744073709551615}})",
         {"train.seed: expected a whole number", "18446744073709551615"}},
        {R"({"train": {"seed": 1e300}})", {"train.seed: expected a whole number"}},
        {R"({"optimizer": {"rate": 1.5}})", {"optimizer.rate: 1.5 is out of range; expected a number from 0 to 1"}},
        {R"({"optimizer": {"rate": true}})", {"optimizer.rate: expected a number", "got true (boolean)"}},
        {R"({"optimizer": {"name": "adm"}})", {"optimizer.name: 'adm' is not one of adam, sgd; did you mean 'adam'?"}},
        {R"({"optimizer": {"name": 1}})", {"optimizer.name: expected one of adam, sgd, got 1 (number)"}},
        {R"({"model": {"quantizer": {"update": "x"}}})", {"model.quantizer.update: 'x' is not one of ema, gradient"}},
        {R"({"data": {"flip": "yes"}})", {"data.flip: expected true or false, got \"yes\" (string)"}},
        {R"({"data": {"path": 1}})", {"data.path: expected text, got 1 (number)"}},
        {R"({"model": {"widths": 64}})",
         {"model.widths: expected a list, each a whole number from 1 to 4096, got 64 (number)"}},
        {R"({"model": {"widths": [64, "x"]}})", {"model.widths: expected a whole number", "got \"x\" (string)"}},
        {R"({"model": {"widths": [64, 0]}})", {"model.widths: 0 is out of range"}},
        {R"({"model": {"widths": [[64]]}})", {"'model.widths': lists in a list"}},
        {R"({"model": {"widths": [{"a": 1}]}})", {"'model.widths': objects in a list"}},
        {R"({"train": {"steps": 1, "steps": 2}})", {"key 'train.steps' is there twice"}},
        {R"({"train": {"steps": 1}, "train": {"batch": 2}})", {"key 'train' is there twice"}},
        {R"({"train": {"steps": 1}, "train.steps": 2})", {"key 'train.steps' is there twice"}},
        {"[1]", {"expected a JSON object, got a list"}},
        {"1", {"expected a JSON object, got number"}},
        {"", {"not JSON"}},
        {"{\"train\": {\"steps\": 1,}}", {"not JSON", "line 1"}},
        {"{\"a\": \"\xFF\"}", {"not valid UTF-8"}},
        {"{\"a\": 1e999}", {"not JSON"}},
    };
    for (const Case& c : cases) {
      INFO(c.text);
      std::vector<std::string> words = c.words;
      words.push_back("recipe.json: ");
      Bound r;
      expect_error(ErrorKind::usage, words, [&] { r.config.load(c.text, "recipe.json"); });
    }
  }

  TEST_CASE("what the command line says wrongly is named too") {
    Bound r;
    const auto refused = [&](const char* assignment, std::vector<std::string> words) {
      words.push_back("command line: ");
      expect_error(ErrorKind::usage, words, [&] { r.config.assign(assignment); });
    };
    refused("train.batch", {"expected key=value", "'train.batch'"});
    refused("=5", {"expected key=value"});
    refused("train.bach=5", {"unknown key 'train.bach'; did you mean 'train.batch'?"});
    refused("train.batch=many", {"train.batch: expected a whole number", "got \"many\" (string)"});
    refused("train.batch=", {"got \"\" (string)"});
    refused("train.batch=0", {"train.batch: 0 is out of range"});
    refused("train=5", {"train: expected an object with train.steps"});
    refused("data.flip=yes", {"data.flip: expected true or false, got \"yes\""});
    refused("optimizer.name=adamw", {"optimizer.name: 'adamw' is not one of adam, sgd; did you mean 'adam'?"});
    refused("optimizer.name=x\xFF", {"'optimizer.name': 'x\\xff' is no text in UTF-8"});
    refused("model.widths=1,x", {"model.widths: expected a list", "got \"1,x\" (string)"});
  }

  TEST_CASE("size, depth and length of keys are capped, and the caps are named") {
    Bound r;
    std::string deep;
    for (int i = 0; i < 17; ++i) deep += "{\"a\":";
    expect_error(ErrorKind::usage, {"a.a.a", "deeper than 16"}, [&] { r.config.load(deep, "x"); });
    expect_error(ErrorKind::usage, {"262145 bytes", "limit of 262144"},
                 [&] { r.config.load(std::string((256 << 10) + 1, ' '), "x"); });
    expect_error(ErrorKind::usage, {"longer than 64 bytes"},
                 [&] { r.config.load("{\"" + std::string(65, 'k') + "\":1}", "x"); });
    TemporaryDirectory directory;
    expect_error(ErrorKind::usage, {"big.json", "at most 262144"},
                 [&] { r.config.load_file(directory.write("big.json", std::string(300'000, ' '))); });
    expect_error(ErrorKind::usage, {"none.json", "No such file"}, [&] { r.config.load_file(directory / "none.json"); });
  }

  TEST_CASE("a key declared twice, or as field and section, is an error of the program") {
    JsonConfig config;
    bool value = false;
    config.field("a.b", value, "");
    for (const char* key : {"a.b", "a", "a.b.c"})
      expect_error(ErrorKind::usage, {"declared beside a.b"}, [&] { config.field(key, value, ""); });
    std::string text = "other";
    expect_error(ErrorKind::usage, {"default of c is none"}, [&] { config.field("c", text, {"x", "y"}, ""); });
  }

  TEST_CASE("a list keeps its old values when one of the new is refused") {
    Bound r;
    CHECK_THROWS_AS(r.config.assign("model.widths=1,2,0"), Error);
    CHECK(r.widths == std::vector<std::int64_t>{64, 128});
  }

  TEST_CASE("edit distance counts insertions, removals, replacements and exchanged neighbours") {
    CHECK(edit_distance("", "abc") == 3);
    CHECK(edit_distance("abc", "abc") == 0);
    CHECK(edit_distance("trian", "train") == 1);
    CHECK(edit_distance("kitten", "sitting") == 3);
    CHECK(edit_distance("ca", "abc") == 3);  // restricted: no character is moved twice
    CHECK(nearest("stesp", std::vector<std::string>{"steps", "batch"}) == "steps");
    CHECK(nearest("photograph", std::vector<std::string>{"steps", "batch"}).empty());
  }

  TEST_CASE("text of a file is shown cut and without control characters") {
    CHECK(in_quotes("a\n\x1b[31mb\x7f") == "'a\\x0a\\x1b[31mb\\x7f'");
    CHECK(in_quotes(std::string(81, 'x')) == "'" + std::string(80, 'x') + "... (81 bytes)'");
  }
}

}  // namespace
}  // namespace gesso
