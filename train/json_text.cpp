#include "train/json_text.h"

#include <fmt/format.h>

#include "train/text.h"

namespace gesso {
namespace {

// Thrown through the parser with the bare words; parse_json adds the source.
struct NotJson {
  std::string words;
};

// The length of the character that starts `text`, 0 if it is none (Unicode standard, table 3-7).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && second < 0xA0, surrogate = first == 0xED && second > 0x9F;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && second < 0x90, too_large = first == 0xF4 && second > 0x8F;
    return follows(1) && follows(2) && follows(3) && !overlong && !too_large ? 4 : 0;
  }
  return 0;
}

// Recursive: JsonTree comes from parsers that bound the depth.
void empty(nlohmann::json& value) noexcept {
  if (!value.is_structured()) return;
  for (nlohmann::json& member : value) empty(member);
  value.clear();
}

class TreeBuilder final : public JsonScalarHandler {
 public:
  TreeBuilder(std::string_view source, ErrorKind kind, std::size_t max_depth)
      : source_(source), kind_(kind), max_depth_(max_depth) {}

  JsonTree tree;

  bool start_object(std::size_t) override { return open(nlohmann::json::object()); }
  bool start_array(std::size_t) override { return open(nlohmann::json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& key) override {
    key_ = std::move(key);
    return true;
  }

 private:
  nlohmann::json& place() {
    if (open_.empty()) return tree.value;
    nlohmann::json& around = *open_.back();
    return around.is_array() ? around.emplace_back() : around[key_];
  }
  bool scalar(nlohmann::json&& value) override {
    place() = std::move(value);
    return true;
  }
  bool open(nlohmann::json&& none) {
    if (open_.size() == max_depth_) fail(kind_, "{}: nested deeper than {}", source_, max_depth_);
    nlohmann::json& here = place();
    here = std::move(none);
    open_.push_back(&here);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string source_;
  ErrorKind kind_;
  std::size_t max_depth_;
  std::vector<nlohmann::json*> open_;  // lists and objects, from the outermost in
  std::string key_;                    // the current one of the innermost object
};

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool JsonHandler::parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) {
  constexpr std::size_t kShown = 300;  // the words repeat the last token, which may be as long as the file
  std::string words = error.what();
  if (const auto bracket = words.find("] "); bracket != std::string::npos) words.erase(0, bracket + 2);
  if (words.size() > kShown) words = words.substr(0, kShown) + "...";
  throw NotJson{escaped(words)};
}

void parse_json(std::string_view text, std::string_view source, ErrorKind kind, JsonComments comments,
                JsonHandler& handler) {
  if (!is_utf8(text)) fail(kind, "{}: not valid UTF-8", source);
  if (text.find('\0') != std::string_view::npos) fail(kind, "{}: not JSON: holds a NUL byte", source);
  if (text.starts_with("\xEF\xBB\xBF")) fail(kind, "{}: not JSON: starts with a byte order mark", source);
  try {
    nlohmann::json::sax_parse(text.begin(), text.end(), &handler, nlohmann::json::input_format_t::json, true,
                              comments == JsonComments::allowed);
  } catch (const NotJson& error) {
    fail(kind, "{}: not JSON: {}", source, error.words);
  }
}

JsonTree::~JsonTree() { empty(value); }

JsonTree parse_json_tree(std::string_view text, std::string_view source, ErrorKind kind, std::size_t max_depth) {
  TreeBuilder builder(source, kind, max_depth);
  parse_json(text, source, kind, JsonComments::refused, builder);
  return std::move(builder.tree);
}

std::optional<JsonTree> json_in(std::string_view text) {
  try {
    return parse_json_tree(text, "text", ErrorKind::usage);
  } catch (const Error&) {
    return std::nullopt;
  }
}

void JsonObjectText::add_json(std::string_view key, std::string_view json) {
  members_.push_back(fmt::format("{}:{}", nlohmann::json(key).dump(), json));
}
std::string JsonObjectText::in_one_line() const { return fmt::format("{{{}}}", fmt::join(members_, ",")); }
std::string JsonObjectText::in_lines() const { return fmt::format("{{\n  {}\n}}", fmt::join(members_, ",\n  ")); }

}  // namespace gesso
