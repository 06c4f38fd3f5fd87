// What a program that is carried to another machine has in itself: the code of the formatting library, which Debian has
// as a shared library alone, and the one function of a C library later than 2.35 that libstdc++ asks for.
#include <fmt/format-inl.h>
#include <stdlib.h>
#include <sys/random.h>

template fmt::detail::thousands_sep_result<char> fmt::detail::thousands_sep_impl<char>(fmt::detail::locale_ref);
template char fmt::detail::decimal_point_impl<char>(fmt::detail::locale_ref);

extern "C" std::uint32_t arc4random() noexcept {
  std::uint32_t word = 0;
  if (getrandom(&word, sizeof word, 0) != sizeof word) abort();
  return word;
}
