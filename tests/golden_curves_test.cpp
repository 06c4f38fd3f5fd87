// Training as it was known to go: curves within the band of other seeds, and the very bits of one.
//
// What is known lies in tests/data/golden_curves.json. Where a change is meant to change numbers, renew it and say in
// the commit why:
//   gesso_tests --no-skip -tc="golden curves and bits are written anew"
#include "tests/golden_curves.h"

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support.h"
#include "tests/temporary_directory.h"

namespace gesso::golden {
namespace {

using Json = nlohmann::json;

// There each run takes a minute; the bits are compared after fewer steps.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsSlow = true;
#else
constexpr bool kIsSlow = false;
#endif

// How many spreads the mean of honest seeds may lie away from that of the others. Where logarithms scatter normally,
// the distance over spread * sqrt(1 / kFreshSeeds + 1 / kSeeds) follows Student's distribution with 19 degrees of
// freedom, which leaves 8 in 2 of 10^7 cases: with 100 values looked at, a test of fresh seeds every night fails for no
// reason once in a hundred years.
constexpr double kMostSpreads = 8;

const Json& known() {
  static const Json file = Json::parse(read_text_file(file_path(), 1 << 20));
  return file;
}

struct Outlier {
  std::string name;
  double spreads = 0;  // away from the mean
};

// The value that lies farthest out, of the mean over fresh seeds.
Outlier farthest(const TemporaryDirectory& folder, const Model& model, const std::vector<std::string>& more = {}) {
  std::map<std::string, double> means;
  const auto first = static_cast<std::int64_t>(1000 + test_seed() % 1'000'000'000 * kFreshSeeds);
  for (std::int64_t seed = first; seed < first + kFreshSeeds; ++seed)
    for (const auto& [name, value] : curve_of(folder, train(folder, model, {.seed = seed, .more = more})))
      means[name] += value / static_cast<double>(kFreshSeeds);
  const double chance = std::sqrt(1.0 / static_cast<double>(kFreshSeeds) + 1.0 / static_cast<double>(kSeeds));
  Outlier found;
  for (const auto& [name, mean] : means) {
    const Json& band = known().at("bands").at(model.name).at(name);
    const double spreads = (mean - band.at(0).get<double>()) / (band.at(1).get<double>() * chance);
    if (!(std::abs(spreads) <= std::abs(found.spreads))) found = {name, spreads};
  }
  return found;
}

// What the file holds of all models; a line a value, so that a change shows which.
class NewFile {
 public:
  void add(const std::string& part, const std::string& model, const std::string& name, const Json& value) {
    parts_[part][model].push_back(fmt::format("      {}: {}", Json(name).dump(), value.dump()));
  }
  void write() const {
    std::vector<std::string> parts;
    for (const auto& [part, models] : parts_) {
      std::vector<std::string> all;
      for (const auto& [model, lines] : models)
        all.push_back(fmt::format("    \"{}\": {{\n{}\n    }}", model, fmt::join(lines, ",\n")));
      parts.push_back(fmt::format("  \"{}\": {{\n{}\n  }}", part, fmt::join(all, ",\n")));
    }
    write_file_atomically(file_path(), fmt::format("{{\n{}\n}}\n", fmt::join(parts, ",\n")));
  }

 private:
  std::map<std::string, std::map<std::string, std::vector<std::string>>> parts_;
};

double rounded(double value) { return std::stod(fmt::format("{:.4g}", value)); }

std::string bits_name(Isa isa, std::int64_t steps) { return fmt::format("{} after {} steps", name_of(isa), steps); }

TEST_SUITE("golden curves") {
  TEST_CASE("four models learn as other seeds did" * doctest::skip(kIsSlow)) {
    const TemporaryDirectory folder;
    for (const Model& model : models()) {
      const Outlier outlier = farthest(folder, model);
      MESSAGE(model.name, ": farthest out is ", outlier.name, ", by ", outlier.spreads, " spreads");
      CHECK(std::abs(outlier.spreads) < kMostSpreads);
    }
  }

  // What lies 13 spreads out and more. No clipping and no first moment lie 8 out; a commitment loss twice or half as
  // heavy, no dropout and no fall of the learning rate stay within: for these there are the bits.
  TEST_CASE("a model that learns otherwise leaves the band" * doctest::skip(kIsSlow)) {
    const TemporaryDirectory folder;
    const std::vector<std::pair<std::string_view, std::string>> faults = {
        {"ema", "schedule.rate=6e-3"},      {"ema", "model.decay=0.9"},    {"ema", "model.beta=0"},
        {"gradient", "schedule.rate=6e-4"}, {"padded", "model.decay=0.9"}, {"augmented", "schedule.rate=6e-4"}};
    for (const auto& [name, setting] : faults) {
      const Outlier outlier = farthest(folder, model(name), {setting});
      MESSAGE(std::string(name), " with ", setting, ": ", outlier.name, ", by ", outlier.spreads, " spreads");
      CHECK(std::abs(outlier.spreads) > kMostSpreads);
    }
  }

  // Kernels ask for each operation by name, threads share out work by shape, plans go by shape and instruction set, and
  // random numbers are functions of counters. So the bits are those of the instruction set alone: no compiler, level of
  // optimisation, sanitizer, number of threads or cache moves them. What of the C library enters a step are cos and pow
  // of doubles, in the learning rate and in Adam's corrections, each rounded to a float then.
  TEST_CASE("the bits of four models are those that they were, by instruction set, with any number of threads") {
    const TemporaryDirectory folder;
    const std::int64_t steps = kIsSlow ? kFewSteps : kSteps;
    for (const Model& model : models())
      for (const Isa isa : supported_isas())
        for (const int threads : {1, 3}) {
          CAPTURE(model.name);
          CAPTURE(threads);
          const std::string name = bits_name(isa, steps);
          CHECK_MESSAGE(bits_of(train(folder, model, {.steps = steps, .threads = threads, .isa = isa})) ==
                            known().at("bits").at(model.name).at(name).get<std::string>(),
                        name);
        }
  }

  TEST_CASE("golden curves and bits are written anew" * doctest::skip()) {
    REQUIRE_MESSAGE(supported_isas().size() == 3,
                    "bits of all instruction sets are wanted; take a machine with AVX-512");
    const TemporaryDirectory folder;
    NewFile file;
    for (const Model& model : models()) {
      for (const Isa isa : supported_isas())
        for (const std::int64_t steps : {kFewSteps, kSteps})
          file.add("bits", model.name, bits_name(isa, steps),
                   bits_of(train(folder, model, {.steps = steps, .isa = isa})));
      std::map<std::string, std::vector<double>> values;
      for (std::int64_t seed = 1; seed <= kSeeds; ++seed)
        for (const auto& [name, value] : curve_of(folder, train(folder, model, {.seed = seed})))
          values[name].push_back(value);
      for (const auto& [name, all] : values) {
        const Band band = band_of(all);
        file.add("bands", model.name, name, {rounded(band.mean), rounded(band.spread)});
      }
    }
    file.write();
  }
}

}  // namespace
}  // namespace gesso::golden
