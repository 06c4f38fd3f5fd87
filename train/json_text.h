// The door for all JSON that gesso reads. nlohmann's parser alone accepts what a strict reader must not: it stops at a
// NUL byte, skips a byte order mark, and checks UTF-8 only inside strings.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/error.h"

namespace gesso {

// What a parse is reported to; no document tree is built, so the handler alone decides what is kept. Whole numbers
// above 2^64-1 arrive as number_float. A handler that refuses throws.
class JsonHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool binary(nlohmann::json::binary_t&) final { return true; }  // not in JSON text
  bool parse_error(std::size_t position, const std::string& last_token, const nlohmann::json::exception& error) final;
};

enum class JsonComments : bool { refused, allowed };

// Parses one JSON value that fills the text. Throws ErrorKind `kind`, its text starting with `source`.
void parse_json(std::string_view text, std::string_view source, ErrorKind kind, JsonComments comments,
                JsonHandler& handler);

// Whether the bytes are UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

}  // namespace gesso
