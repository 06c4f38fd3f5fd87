// Typed configuration: plain structs with defaults, bound to JSON. A field is declared once, with its limits and its
// meaning; loading, command-line overrides, the resolved text, documentation and every error message follow from that:
//
//   JsonConfig config;
//   config.field("train.steps", train.steps, {1, 1'000'000'000}, "step after which training stops");
//   config.field("optimizer.name", optimizer.name, {"adam", "sgd"}, "which optimiser");
//   config.load_file("recipe.json");          // {"train": {"steps": 1000}}
//   config.assign("optimizer.name=sgd");
//
// All errors are ErrorKind::usage and name source and key.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "train/files.h"

namespace gesso {

// Both ends belong to it; {1} has no upper end.
template <class T>
struct Range {
  T min = std::numeric_limits<T>::lowest();
  T max = std::numeric_limits<T>::max();
};
template <class Enum>
using Choices = std::vector<std::pair<std::string, Enum>>;

class JsonConfig {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{256} << 10;
  static constexpr std::size_t kMaxDepth = 16;

  // The values referred to must outlive this object. What they hold now is the default.
  void field(std::string key, bool& value, std::string doc);
  void field(std::string key, double& value, Range<double> range, std::string doc);
  void field(std::string key, std::string& value, std::string doc);
  void field(std::string key, std::string& value, const std::vector<std::string>& choices, std::string doc);
  void field(std::string key, std::vector<std::int64_t>& values, Range<std::int64_t> each, std::string doc);
  void field(std::string key, std::vector<double>& values, Range<double> each, std::string doc);
  template <std::integral T>
  requires(!std::same_as<T, bool>) void field(std::string key, T& value, Range<T> range, std::string doc) {
    constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
    const Range<std::int64_t> limits{
        std::in_range<std::int64_t>(range.min) ? static_cast<std::int64_t>(range.min) : kMax,
        std::in_range<std::int64_t>(range.max) ? static_cast<std::int64_t>(range.max) : kMax};
    add_whole(
        std::move(key), limits, [&value](std::int64_t given) { value = static_cast<T>(given); },
        [&value] { return static_cast<std::int64_t>(value); }, std::move(doc));
  }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void field(std::string key, Enum& value, const Choices<Enum>& choices, std::string doc) {
    std::vector<std::string> names;
    for (const auto& choice : choices) names.push_back(choice.first);
    const auto set = [&value, choices](std::size_t i) { value = choices[i].second; };
    const auto get = [&value, choices] {
      std::size_t i = 0;
      while (i < choices.size() && choices[i].second != value) ++i;
      return i;
    };
    add_choice(std::move(key), std::move(names), set, get, std::move(doc));
  }

  // These keys may also be "auto": the value stays as it is, for others to choose (train/chosen_settings.h).
  void allow_auto(std::initializer_list<std::string_view> keys);
  // Whether that is what was said last.
  bool is_auto(std::string_view key) const;

  // Sets what the text names, in its order; other fields keep what they hold. Comments are allowed; a key may be nested
  // ({"train": {"steps": 1}}) or dotted ({"train.steps": 1}), but not be there twice.
  void load(std::string_view text, std::string_view source);
  void load_file(const Path& path);
  // "train.steps=1000". Text needs no quotes, a list no brackets.
  void assign(std::string_view assignment);

  // All fields as nested JSON in the order of declaration; load() of it gives the same values. Throws on a value that
  // is not UTF-8, which JSON cannot hold.
  std::string text() const;

  struct Description {
    std::string key, expected, value, doc;  // expected: "a whole number from 1 to 64"; value: as JSON
  };
  std::vector<Description> describe() const;

 private:
  using Json = nlohmann::json;
  struct Field {
    std::string key, expected, doc;
    bool is_text, is_list;
    std::function<void(const Json& value, const std::string& source)> set;
    std::function<std::string()> get;  // as JSON
    bool may_be_auto = false, is_auto = false;

    std::string value() const;  // as text() prints it
  };
  void add(Field field);
  void add_whole(std::string key, Range<std::int64_t> range, std::function<void(std::int64_t)> set,
                 std::function<std::int64_t()> get, std::string doc);
  void add_choice(std::string key, std::vector<std::string> names, std::function<void(std::size_t)> set,
                  std::function<std::size_t()> get, std::string doc);
  void set(const std::string& key, const Json& value, const std::string& source);
  [[noreturn]] void fail_unknown(const std::string& key, const std::string& source) const;
  const Field* find(std::string_view key) const;
  Field& declared(std::string_view key);
  void print(std::string_view section, const std::string& indent, std::string& text) const;
  // The keys that start with "section.".
  std::vector<std::string> keys_in(const std::string& section) const;

  std::vector<Field> fields_;
};

}  // namespace gesso
