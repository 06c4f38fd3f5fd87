#include "train/statistics_cache.h"

#include <xxhash.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "core/error.h"
#include "train/json_text.h"

namespace gesso {
namespace {

// Another one wherever the same identity would give other pixels.
constexpr std::string_view kFormat = "gesso pixel statistics 2\n";

std::string hash_of(const std::string& text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string name_of_set(const Dataset& dataset) { return hash_of(std::string(kFormat) + dataset.identity()); }

Path cache_folder() {
  const auto absolute = [](const char* value) { return value != nullptr && Path(value).is_absolute(); };
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); absolute(cache)) return Path(cache) / "gesso";
  if (const char* home = std::getenv("HOME"); absolute(home)) return Path(home) / ".cache" / "gesso";
  return {};
}

// Of the values bit for bit, and of the set, so that a renamed file is not believed either.
std::string checksum(const std::string& set, const PixelStatistics& statistics) {
  return hash_of(fmt::format("{} {:a} {:a}", set, statistics.mean, statistics.variance));
}

std::optional<PixelStatistics> read(const Path& path, const std::string& set) {
  constexpr std::size_t kMostBytes = 4096;
  try {
    const JsonTree tree = parse_json_tree(read_text_file(path, kMostBytes), path.string(), ErrorKind::data);
    const nlohmann::json& file = tree.value;
    const PixelStatistics statistics{file.at("mean").get<double>(), file.at("variance").get<double>()};
    if (file.at("checksum").get<std::string>() == checksum(set, statistics)) return statistics;
  } catch (const Error&) {
  } catch (const nlohmann::json::exception&) {
  }
  return std::nullopt;
}

void write(const Path& path, const std::string& set, const PixelStatistics& statistics) {
  try {
    make_directories(path.parent_path());
    JsonObjectText file;
    file.add("mean", statistics.mean);
    file.add("variance", statistics.variance);
    file.add("checksum", checksum(set, statistics));
    write_file_atomically(path, file.in_one_line() + "\n");
  } catch (const Error&) {  // measured again the next time
  }
}

}  // namespace

Path statistics_cache_path(const Dataset& dataset) {
  const Path folder = cache_folder();
  if (folder.empty() || dataset.identity().empty()) return {};
  return folder / ("pixels-" + name_of_set(dataset) + ".json");
}

PixelStatistics cached_pixel_statistics(const Dataset& dataset) {
  const Path path = statistics_cache_path(dataset);
  if (path.empty()) return pixel_statistics(dataset);
  const std::string set = name_of_set(dataset);
  if (const auto known = read(path, set)) return *known;
  const PixelStatistics measured = pixel_statistics(dataset);
  write(path, set, measured);
  return measured;
}

}  // namespace gesso
