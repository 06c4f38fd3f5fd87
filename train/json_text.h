// The door for all JSON that gesso reads. nlohmann's parser alone accepts what a strict reader must not: it stops at a
// NUL byte, skips a byte order mark, and checks UTF-8 only inside strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.h"

namespace gesso {

// What a parse is reported to; no document tree is built, so the handler alone decides what is kept. Whole numbers
// above 2^64-1 arrive as number_float. A handler that refuses throws.
class JsonHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool binary(nlohmann::json::binary_t&) final { return true; }  // not in JSON text
  bool parse_error(std::size_t position, const std::string& last_token,
                   const nlohmann::json::exception& error) override;
};

// A handler to which scalars of all kinds are alike.
class JsonScalarHandler : public JsonHandler {
 public:
  bool null() final { return scalar(nullptr); }
  bool boolean(bool value) final { return scalar(value); }
  bool number_integer(std::int64_t value) final { return scalar(value); }
  bool number_unsigned(std::uint64_t value) final { return scalar(value); }
  bool number_float(double value, const std::string&) final { return scalar(value); }
  bool string(std::string& value) final { return scalar(std::move(value)); }

 private:
  virtual bool scalar(nlohmann::json&& value) = 0;
};

enum class JsonComments : bool { refused, allowed };

// Parses one JSON value that fills the text. Throws ErrorKind `kind`, its text starting with `source`.
void parse_json(std::string_view text, std::string_view source, ErrorKind kind, JsonComments comments,
                JsonHandler& handler);

// A value that ends without taking memory. nlohmann's destructor lays what a list or an object holds into a list of its
// own, and ends the program where there is no memory for that; this one empties them first, from the innermost out.
class JsonTree {
 public:
  explicit JsonTree(nlohmann::json given = nullptr) noexcept : value(std::move(given)) {}
  JsonTree(JsonTree&& other) noexcept : value(std::move(other.value)) {}
  JsonTree& operator=(JsonTree&& other) noexcept {
    std::swap(value, other.value);
    return *this;
  }
  ~JsonTree();

  nlohmann::json value;
};
// The value that fills the text. Throws as parse_json(), and on what nests deeper than max_depth.
JsonTree parse_json_tree(std::string_view text, std::string_view source, ErrorKind kind, std::size_t max_depth = 16);
// The same, and nothing where it would throw for the text's sake.
std::optional<JsonTree> json_in(std::string_view text);

// A whole number that T holds. Throws ErrorKind::data, naming `what` it should be: value.get<T>() would make anything
// of 1e30.
template <class T>
T whole_of(const nlohmann::json& value, std::string_view what) {
  const bool fits = value.is_number_unsigned()
                        ? std::in_range<T>(value.get<std::uint64_t>())
                        : value.is_number_integer() && std::in_range<T>(value.get<std::int64_t>());
  if (!fits)
    fail(ErrorKind::data, "{} is {}; expected a whole number{}", what,
         value.is_number() ? value.dump() : value.type_name(), std::is_unsigned_v<T> ? ", not below 0" : "");
  return value.get<T>();
}

// An object as text, member by member, without a tree of them.
class JsonObjectText {
 public:
  void add(std::string_view key, const nlohmann::json& scalar) { add_json(key, scalar.dump()); }
  void add_json(std::string_view key, std::string_view json);

  std::string in_one_line() const;  // {"step":1,"loss":2}
  std::string in_lines() const;     // a line a member

 private:
  std::vector<std::string> members_;
};

// Whether the bytes are UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

}  // namespace gesso
