#include "train/json_flatten.h"

#include <fmt/format.h>

#include <set>

#include "core/error.h"
#include "train/json_text.h"
#include "train/text.h"

namespace gesso {
namespace {

using Json = nlohmann::json;

class Flattener final : public JsonScalarHandler {
 public:
  Flattener(std::string_view source, ErrorKind kind, std::size_t max_depth)
      : source_(source), kind_(kind), max_depth_(max_depth) {}

  std::vector<std::pair<std::string, JsonTree>> leaves;

  bool start_object(std::size_t) override {
    if (in_list_) fail(kind_, "{}: {}: objects in a list are not known", source_, in_quotes(path()));
    if (levels_.size() == max_depth_)
      fail(kind_, "{}: {}: nested deeper than {} objects", source_, in_quotes(path()), max_depth_);
    levels_.emplace_back();
    return true;
  }
  bool end_object() override {
    const bool had_members = !levels_.back().empty();
    levels_.pop_back();
    return had_members || levels_.empty() ? true : add(JsonTree(Json::object()));
  }
  bool key(std::string& key) override {
    constexpr std::size_t kMaxKeyBytes = 64;  // else a long key above many short ones takes memory by the product
    if (key.size() > kMaxKeyBytes)
      fail(kind_, "{}: key {} is longer than {} bytes", source_, in_quotes(key), kMaxKeyBytes);
    levels_.back() = std::move(key);
    return seen(path());
  }
  bool start_array(std::size_t) override {
    check_inside("a list");
    if (in_list_) fail(kind_, "{}: {}: lists in a list are not known", source_, in_quotes(path()));
    in_list_ = true;
    list_ = JsonTree(Json::array());
    return true;
  }
  bool end_array() override {
    in_list_ = false;
    return add(std::move(list_));
  }

 private:
  void check_inside(std::string_view given) const {
    if (levels_.empty()) fail(kind_, "{}: expected a JSON object, got {}", source_, given);
  }
  bool scalar(Json&& value) override { return add(JsonTree(std::move(value))); }
  bool add(JsonTree given) {
    check_inside(given.value.type_name());
    if (in_list_)
      list_.value.push_back(std::move(given.value));
    else
      leaves.emplace_back(path(), std::move(given));
    return true;
  }
  bool seen(const std::string& path) {
    if (!paths_.insert(path).second) fail(kind_, "{}: key {} is there twice", source_, in_quotes(path));
    return true;
  }
  std::string path() const { return fmt::format("{}", fmt::join(levels_, ".")); }

  std::string source_;
  ErrorKind kind_;
  std::size_t max_depth_;
  std::vector<std::string> levels_;  // the current key of each open object; empty before its first
  std::set<std::string> paths_;
  bool in_list_ = false;
  JsonTree list_;
};

}  // namespace

std::vector<std::pair<std::string, JsonTree>> flatten_json(std::string_view text, std::string_view source,
                                                           ErrorKind kind, JsonComments comments,
                                                           std::size_t max_depth) {
  Flattener flattener(source, kind, max_depth);
  parse_json(text, source, kind, comments, flattener);
  return std::move(flattener.leaves);
}

}  // namespace gesso
