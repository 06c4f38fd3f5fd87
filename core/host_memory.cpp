#include "core/host_memory.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>

namespace gesso {
namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// Of a small file of the system; empty where it cannot be read.
std::string text_of(const std::string& path) {
  std::string text;
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return text;
  std::array<char, 4096> part;
  for (std::size_t got = 0; (got = std::fread(part.data(), 1, part.size(), file)) > 0;) text.append(part.data(), got);
  std::fclose(file);
  return text;
}

std::optional<std::size_t> number_at(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} ? std::optional(number) : std::nullopt;
}

// What follows `key` at the beginning of a line.
std::optional<std::size_t> number_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    if (text.starts_with(key)) return number_at(text.substr(key.size()));
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  return std::nullopt;
}

std::size_t rest(std::size_t limit, std::size_t used) { return limit > used ? limit - used : 0; }

// Version 2 of control groups: "0::/path" names ours, and all above it limit us too.
std::size_t left_in_groups() {
  const std::string groups = text_of("/proc/self/cgroup");
  const std::size_t begin = groups.find("0::/");
  if (begin == std::string::npos) return kNoLimit;
  std::string path = groups.substr(begin + 3, groups.find('\n', begin) - begin - 3);
  std::size_t left = kNoLimit;
  while (true) {
    const std::string folder = "/sys/fs/cgroup" + (path == "/" ? "" : path);
    left = std::min(left, left_in_group(text_of(folder + "/memory.max"), text_of(folder + "/memory.current"),
                                        text_of(folder + "/memory.stat")));
    if (path.size() <= 1) return left;
    path.resize(std::max<std::size_t>(path.rfind('/'), 1));
  }
}

// Version 1, as a container sees it.
std::size_t left_in_old_group() {
  const std::string folder = "/sys/fs/cgroup/memory/memory.";
  const std::string stat = text_of(folder + "stat");
  const std::size_t files = number_of(stat, "total_inactive_file ").value_or(0);
  const std::string used = std::to_string(rest(number_at(text_of(folder + "usage_in_bytes")).value_or(0), files));
  return left_in_group(text_of(folder + "limit_in_bytes"), used, "");
}

// What a limit of this process leaves; pages: its use, the number at this place of /proc/self/statm.
std::size_t left_of_limit(__rlimit_resource resource, std::size_t place) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kNoLimit;
  std::string_view pages;
  const std::string statm = text_of("/proc/self/statm");
  pages = statm;
  for (std::size_t i = 0; i < place; ++i) pages.remove_prefix(std::min(pages.find(' ') + 1, pages.size()));
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return rest(limit.rlim_cur, number_at(pages).value_or(0) * page);
}

}  // namespace

void* map_large(std::size_t bytes) {
  const auto map = [](std::size_t length) {
    return mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE)), length = (bytes + page - 1) / page * page;
  void* mapped = map(length + kLargePage);
  if (mapped == MAP_FAILED) {  // where address space is short
    mapped = map(length);
    return mapped == MAP_FAILED ? nullptr : mapped;
  }
  auto* const begin = static_cast<std::byte*>(mapped);
  const std::size_t before = (kLargePage - reinterpret_cast<std::uintptr_t>(begin) % kLargePage) % kLargePage;
  if (before != 0) (void)munmap(begin, before);
  (void)munmap(begin + before + length, kLargePage - before);
  // First touch costs 1-3 GB/s in small pages, up to 7 in large ones; a refusal costs nothing but that speed.
  (void)madvise(begin + before, length, MADV_HUGEPAGE);
  return begin + before;
}

void unmap_large(void* memory, std::size_t bytes) noexcept { (void)munmap(memory, bytes); }

void fault_in(void* memory, std::size_t bytes) noexcept {
  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  // madvise wants the beginning of a page, which may lie before.
  const std::size_t inside = reinterpret_cast<std::uintptr_t>(memory) % page;
  (void)madvise(static_cast<std::byte*>(memory) - inside, inside + bytes, MADV_POPULATE_WRITE);
}

std::size_t available_of_meminfo(std::string_view meminfo) {
  const std::optional<std::size_t> kib = number_of(meminfo, "MemAvailable:");
  return kib ? *kib << 10 : kNoLimit;
}

std::size_t left_in_group(std::string_view max, std::string_view current, std::string_view stat) {
  const std::optional<std::size_t> limit = number_at(max), used = number_at(current);
  if (!limit || !used) return kNoLimit;
  return rest(*limit, rest(*used, number_of(stat, "inactive_file ").value_or(0)));
}

std::size_t available_host_bytes() {
  constexpr std::size_t kAddressSpace = 0, kData = 5;  // places in /proc/self/statm
  return std::min({available_of_meminfo(text_of("/proc/meminfo")), left_in_groups(), left_in_old_group(),
                   left_of_limit(RLIMIT_AS, kAddressSpace), left_of_limit(RLIMIT_DATA, kData)});
}

}  // namespace gesso
