// Words for messages: foreign text made safe to print, counts, and the name that a user probably meant.
#pragma once

#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <string_view>

namespace gesso {

// Control characters and what is not UTF-8 as \xNN: text of one line that steers no terminal.
std::string escaped(std::string_view text);
// Single quotes around `text`, escaped and cut after 80 bytes: file content never floods a terminal either.
std::string in_quotes(std::string_view text);

// What an error says; "no memory" where there is none to say it.
std::string words_of(const std::exception& error) noexcept;

// One word of a shell's command line that stands for exactly this text, in quotes where it needs them.
std::string in_shell(std::string_view word);

// "1 file", "2 files": of a noun that takes an s.
std::string counted(std::size_t count, std::string_view noun);

// Least number of inserted, removed, replaced or exchanged neighbouring characters between two words.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `word`; empty where none is near enough to be a misspelling of it.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace gesso
