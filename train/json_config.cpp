#include "train/json_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/error.h"
#include "train/json_flatten.h"
#include "train/json_text.h"
#include "train/text.h"

namespace gesso {
namespace {

using Json = nlohmann::json;

constexpr const char* kAuto = "auto";

// "32" (string)
std::string shown(const Json& value) {
  constexpr std::size_t kShown = 60;
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kShown) text = text.substr(0, kShown) + "...";
  return fmt::format("{} ({})", escaped(text), value.type_name());
}

template <class T>
std::string range_text(const Range<T>& range) {
  const bool has_min = range.min > std::numeric_limits<T>::lowest(),
             has_max = range.max < std::numeric_limits<T>::max();
  if (has_min && has_max) return fmt::format(" from {} to {}", range.min, range.max);
  if (has_min) return fmt::format(", at least {}", range.min);
  if (has_max) return fmt::format(", at most {}", range.max);
  return "";
}

// 1e6 is a whole number too; above 2^53 a floating-point number no longer says which.
std::optional<std::int64_t> whole(const Json& value) {
  constexpr double kExact = 9007199254740992.0;
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
    return std::nullopt;
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (std::trunc(number) != number || std::abs(number) > kExact) return std::nullopt;
  return static_cast<std::int64_t>(number);
}
std::optional<double> number(const Json& value) {
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

// What one value, or each value of a list, must be.
template <class T>
struct Rule {
  std::string key, expected;
  std::optional<T> (*convert)(const Json&);
  Range<T> range;

  T check(const Json& value, const std::string& source) const {
    const std::optional<T> converted = convert(value);
    if (!converted) fail("{}: {}: expected {}, got {}", source, key, expected, shown(value));
    if (!(*converted >= range.min && *converted <= range.max))
      fail("{}: {}: {} is out of range; expected {}", source, key, value.dump(), expected);
    return *converted;
  }
  void check_list(const Json& value, const std::string& source, std::vector<T>& values) const {
    if (!value.is_array()) fail("{}: {}: expected a list, each {}, got {}", source, key, expected, shown(value));
    std::vector<T> checked;
    for (const Json& element : value) checked.push_back(check(element, source));
    values = std::move(checked);
  }
};
Rule<std::int64_t> whole_rule(const std::string& key, const Range<std::int64_t>& range) {
  return {key, "a whole number" + range_text(range), whole, range};
}
Rule<double> number_rule(const std::string& key, const Range<double>& range) {
  return {key, "a number" + range_text(range), number, range};
}

const std::string& text_of(const Json& value, const std::string& key, const std::string& expected,
                           const std::string& source) {
  if (!value.is_string()) fail("{}: {}: expected {}, got {}", source, key, expected, shown(value));
  return value.get_ref<const std::string&>();
}

template <class T>
std::string list_text(const std::vector<T>& values) {
  std::vector<std::string> texts;
  for (const T value : values) texts.push_back(Json(value).dump());
  return fmt::format("[{}]", fmt::join(texts, ","));
}

}  // namespace

void JsonConfig::field(std::string key, bool& value, std::string doc) {
  const auto set = [key, &value](const Json& given, const std::string& source) {
    if (!given.is_boolean()) fail("{}: {}: expected true or false, got {}", source, key, shown(given));
    value = given.get<bool>();
  };
  add({key, "true or false", std::move(doc), false, false, set, [&value] { return Json(value).dump(); }});
}

void JsonConfig::field(std::string key, double& value, Range<double> range, std::string doc) {
  const Rule<double> rule = number_rule(key, range);
  const auto set = [rule, &value](const Json& given, const std::string& source) { value = rule.check(given, source); };
  add({key, rule.expected, std::move(doc), false, false, set, [&value] { return Json(value).dump(); }});
}

void JsonConfig::field(std::string key, std::string& value, std::string doc) {
  const auto set = [key, &value](const Json& given, const std::string& source) {
    value = text_of(given, key, "text", source);
  };
  const auto get = [key, &value] {
    if (!is_utf8(value)) fail("configuration: {}: {} is no text in UTF-8", key, in_quotes(value));
    return Json(value).dump();
  };
  add({key, "text", std::move(doc), true, false, set, get});
}

void JsonConfig::field(std::string key, std::string& value, const std::vector<std::string>& choices, std::string doc) {
  const auto set = [&value, choices](std::size_t i) { value = choices[i]; };
  const auto get = [&value, choices] {
    return static_cast<std::size_t>(std::ranges::find(choices, value) - choices.begin());
  };
  add_choice(std::move(key), choices, set, get, std::move(doc));
}

void JsonConfig::field(std::string key, std::vector<std::int64_t>& values, Range<std::int64_t> each, std::string doc) {
  const Rule<std::int64_t> rule = whole_rule(key, each);
  const auto set = [rule, &values](const Json& given, const std::string& source) {
    rule.check_list(given, source, values);
  };
  add({key, "a list, each " + rule.expected, std::move(doc), false, true, set,
       [&values] { return list_text(values); }});
}

void JsonConfig::field(std::string key, std::vector<double>& values, Range<double> each, std::string doc) {
  const Rule<double> rule = number_rule(key, each);
  const auto set = [rule, &values](const Json& given, const std::string& source) {
    rule.check_list(given, source, values);
  };
  add({key, "a list, each " + rule.expected, std::move(doc), false, true, set,
       [&values] { return list_text(values); }});
}

void JsonConfig::add_whole(std::string key, Range<std::int64_t> range, std::function<void(std::int64_t)> set,
                           std::function<std::int64_t()> get, std::string doc) {
  const Rule<std::int64_t> rule = whole_rule(key, range);
  add({std::move(key), rule.expected, std::move(doc), false, false,
       [rule, set](const Json& given, const std::string& source) { set(rule.check(given, source)); },
       [get] { return Json(get()).dump(); }});
}

void JsonConfig::add_choice(std::string key, std::vector<std::string> names, std::function<void(std::size_t)> set,
                            std::function<std::size_t()> get, std::string doc) {
  if (get() >= names.size()) fail("configuration: the default of {} is none of its choices", key);
  const std::string expected = fmt::format("one of {}", fmt::join(names, ", "));
  const auto set_by_name = [key, names, expected, set](const Json& given, const std::string& source) {
    const std::string& name = text_of(given, key, expected, source);
    const auto choice = std::ranges::find(names, name);
    if (choice == names.end()) {
      const std::string near = nearest(name, names);
      fail("{}: {}: {} is not {}{}", source, key, in_quotes(name), expected,
           near.empty() ? "" : fmt::format("; did you mean {}?", in_quotes(near)));
    }
    set(static_cast<std::size_t>(choice - names.begin()));
  };
  add({key, expected, std::move(doc), true, false, set_by_name, [names, get] { return Json(names[get()]).dump(); }});
}

void JsonConfig::add(Field field) {
  for (const Field& other : fields_)
    if (field.key == other.key || field.key.starts_with(other.key + ".") || other.key.starts_with(field.key + "."))
      fail("configuration: {} is declared beside {}", field.key, other.key);
  fields_.push_back(std::move(field));
}

const JsonConfig::Field* JsonConfig::find(std::string_view key) const {
  const auto place = std::ranges::find(fields_, key, &Field::key);
  return place == fields_.end() ? nullptr : &*place;
}

// Throws on a key that field() did not declare.
JsonConfig::Field& JsonConfig::declared(std::string_view key) {
  const auto place = std::ranges::find(fields_, key, &Field::key);
  if (place == fields_.end()) fail("configuration: {} is not declared", key);
  return *place;
}

void JsonConfig::allow_auto(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    Field& field = declared(key);
    field.may_be_auto = true;
    field.expected += fmt::format(", or {}", kAuto);
  }
}

bool JsonConfig::is_auto(std::string_view key) const {
  const Field* field = find(key);
  return field != nullptr && field->is_auto;
}

std::string JsonConfig::Field::value() const { return is_auto ? Json(kAuto).dump() : get(); }

std::vector<std::string> JsonConfig::keys_in(const std::string& section) const {
  std::vector<std::string> keys;
  for (const Field& field : fields_)
    if (field.key.starts_with(section + ".")) keys.push_back(field.key);
  return keys;
}

void JsonConfig::fail_unknown(const std::string& key, const std::string& source) const {
  std::vector<std::string> known;
  for (const Field& field : fields_) known.push_back(field.key);
  // A key written without its section is meant more surely than a misspelt one.
  const auto bare = std::ranges::find_if(known, [&](const std::string& k) { return k.ends_with("." + key); });
  if (const std::string near = bare != known.end() ? *bare : nearest(key, known); !near.empty())
    fail("{}: unknown key {}; did you mean {}?", source, in_quotes(key), in_quotes(near));
  const auto dot = key.rfind('.');
  const std::vector<std::string> beside = dot == std::string::npos ? known : keys_in(key.substr(0, dot));
  fail("{}: unknown key {}; known are {}", source, in_quotes(key), fmt::join(beside.empty() ? known : beside, ", "));
}

void JsonConfig::set(const std::string& key, const Json& value, const std::string& source) {
  if (find(key) != nullptr) {
    Field& field = declared(key);
    // By its text: nlohmann's comparison makes a value of its own, and ends the program where there is no memory for
    // it.
    field.is_auto = field.may_be_auto && value.is_string() && value.get_ref<const std::string&>() == kAuto;
    return field.is_auto ? void() : field.set(value, source);
  }
  if (const std::vector<std::string> keys = keys_in(key); !keys.empty()) {
    if (value.is_object()) return;
    fail("{}: {}: expected an object with {}, got {}", source, key, fmt::join(keys, ", "), shown(value));
  }
  for (const Field& field : fields_)
    if (key.starts_with(field.key + ".")) fail("{}: {}: expected {}, got an object", source, field.key, field.expected);
  fail_unknown(key, source);
}

void JsonConfig::load(std::string_view text, std::string_view source) {
  if (text.size() > kMaxBytes) fail("{}: {} bytes are above the limit of {}", source, text.size(), kMaxBytes);
  for (const auto& [key, given] : flatten_json(text, source, ErrorKind::usage, JsonComments::allowed, kMaxDepth))
    set(key, given.value, std::string(source));
}

void JsonConfig::load_file(const Path& path) {
  std::string text;
  try {
    text = read_text_file(path, kMaxBytes);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::memory) throw;
    fail("{}", error.what());  // whatever else it was, it is the configuration that cannot be had
  }
  load(text, path.string());
}

void JsonConfig::assign(std::string_view assignment) {
  const std::string source = "command line";
  const auto equals = assignment.find('=');
  if (equals == 0 || equals == std::string_view::npos)
    fail("{}: expected key=value such as train.steps=1000, got {}", source, in_quotes(assignment));
  const std::string key(assignment.substr(0, equals)), text(assignment.substr(equals + 1));
  if (!is_utf8(assignment)) fail("{}: {}: {} is no text in UTF-8", source, in_quotes(key), in_quotes(text));
  const Field* field = find(key);
  if (field == nullptr || field->is_text) return set(key, Json(text), source);
  const std::string list = field->is_list && !text.starts_with("[") ? "[" + text + "]" : text;
  const std::optional<JsonTree> given = json_in(list);
  given ? set(key, given->value, source) : set(key, Json(text), source);
}

// The fields whose keys begin with `section`: a line a member, and in it the sections below.
void JsonConfig::print(std::string_view section, const std::string& indent, std::string& text) const {
  std::vector<std::string_view> printed;
  text += "{";
  for (const Field& field : fields_) {
    if (!field.key.starts_with(section)) continue;
    const std::string_view rest = std::string_view(field.key).substr(section.size());
    const std::string_view member = rest.substr(0, rest.find('.'));
    if (std::ranges::find(printed, member) != printed.end()) continue;
    text += fmt::format("{}\n{}  {}: ", printed.empty() ? "" : ",", indent, Json(member).dump());
    printed.push_back(member);
    if (member.size() == rest.size())
      text += field.value();
    else
      print(fmt::format("{}{}.", section, member), indent + "  ", text);
  }
  text += fmt::format("{}}}", printed.empty() ? "" : "\n" + indent);
}

std::string JsonConfig::text() const {
  std::string text;
  print("", "", text);
  return text + "\n";
}

std::vector<JsonConfig::Description> JsonConfig::describe() const {
  std::vector<Description> rows;
  for (const Field& field : fields_) rows.push_back({field.key, field.expected, field.value(), field.doc});
  return rows;
}

}  // namespace gesso
