// A JSON object as a list of dotted keys with their values.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "train/json_text.h"

namespace gesso {

// In the order of the text. A value is a scalar, a list of scalars, or an object where it has no members. Throws
// ErrorKind `kind` on text that is no such object, on a key that is there twice, and on objects nested deeper than
// max_depth.
std::vector<std::pair<std::string, JsonTree>> flatten_json(std::string_view text, std::string_view source,
                                                           ErrorKind kind, JsonComments comments,
                                                           std::size_t max_depth);

}  // namespace gesso
