// Names for people: source lines and functions of instruction addresses, as addr2line (binutils) reads them from the
// debug lines. Only errors and tables of costs need them.
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {
namespace {

std::string file_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

// What addr2line prints of an address in this program or one of its libraries; empty where it cannot be had.
std::string addr2line(const void* address, std::string_view flags) {
  Dl_info image{};
  if (!dladdr(address, &image) || !image.dli_fname) return {};
  const auto offset = static_cast<const std::byte*>(address) - static_cast<const std::byte*>(image.dli_fbase);
  const std::string command = fmt::format("addr2line {} -e '{}' {:#x} 2>/dev/null", flags, image.dli_fname, offset);
  std::string text;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  if (!pipe) return text;
  for (int c = 0; (c = std::fgetc(pipe.get())) != EOF;) text += static_cast<char>(c);
  return text;
}

}  // namespace

std::string source_line(Site site) {
  if (site.line >= 0) return fmt::format("{}:{}", file_of(static_cast<const char*>(site.key)), site.line);
  // A return address: the call lies before it.
  const std::string text = addr2line(static_cast<const std::byte*>(site.key) - 1, "-s");
  return text.empty() ? fmt::format("instruction {}", site.key) : text.substr(0, text.find_first_of(" \n"));
}

std::string function_name(const void* instruction) {
  std::string text = addr2line(instruction, "-f -C");
  text.resize(std::min(text.find('\n'), text.size()));
  for (const std::string_view noise : {"gesso::", "(anonymous namespace)::"})
    for (auto found = text.find(noise); found != std::string::npos; found = text.find(noise))
      text.erase(found, noise.size());
  text.resize(std::min(text.find('('), text.size()));
  if (text.empty() || text[0] == '?') return fmt::format("{}", instruction);
  return "'" + text + "'";
}

}  // namespace gesso::emulator
