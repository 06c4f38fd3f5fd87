// Expecting an Error of a kind, with words that its text must hold.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace gesso {

template <class Body>
void expect_error(ErrorKind kind, const std::vector<std::string>& words, Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    const std::string_view text = error.what();
    CHECK_MESSAGE(error.kind() == kind, text);
    for (const std::string& word : words)
      CHECK_MESSAGE(text.find(word) != std::string_view::npos, "no \"", word, "\" in: ", text);
    return;
  }
  FAIL_CHECK("nothing was thrown; expected an error with \"", words.empty() ? "" : words[0], "\"");
}

}  // namespace gesso
