#include "train/manifest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "train/json_text.h"
#include "train/text.h"

namespace gesso {
namespace {

std::string hexadecimal(std::uint64_t value) { return fmt::format("{:016x}", value); }

// How the text ends.
std::string seal(std::string_view before) {
  return fmt::format("  \"xxh3\": \"{}\"\n}}\n", hexadecimal(checksum_of(std::as_bytes(std::span(before)))));
}

// A name becomes part of a path, so it may be nothing but a name.
bool is_plain_name(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_'; };
  return !name.empty() && name.front() != '.' && std::ranges::all_of(name, plain);
}

std::uint64_t from_hexadecimal(const std::string& text) {
  const std::uint64_t value = std::strtoull(text.c_str(), nullptr, 16);
  if (hexadecimal(value) != text) fail(ErrorKind::data, "the manifest has {} for a checksum", in_quotes(text));
  return value;
}

Manifest manifest_of(const nlohmann::json& object) {
  Manifest manifest{.version = whole_of<std::int64_t>(object.at("version"), "the manifest's version")};
  if (manifest.version != Manifest::kVersion) return manifest;
  manifest.step = whole_of<std::int64_t>(object.at("step"), "the manifest's step");
  for (const nlohmann::json& file : object.at("files")) {
    manifest.files.push_back({file.at("name").get<std::string>(),
                              whole_of<std::uint64_t>(file.at("bytes"), "the manifest's number of bytes"),
                              from_hexadecimal(file.at("xxh3").get<std::string>())});
    if (!is_plain_name(manifest.files.back().name))
      fail(ErrorKind::data, "the manifest has {} for a file's name", in_quotes(manifest.files.back().name));
  }
  return manifest;
}

}  // namespace

Checksum::Checksum() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  XXH3_64bits_reset(state_);
}
Checksum::~Checksum() { XXH3_freeState(state_); }
void Checksum::add(std::span<const std::byte> bytes) { XXH3_64bits_update(state_, bytes.data(), bytes.size()); }
std::uint64_t Checksum::value() const { return XXH3_64bits_digest(state_); }

std::uint64_t checksum_of(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::string text_of(const Manifest& manifest) {
  std::vector<std::string> files;
  for (const Manifest::File& file : manifest.files)
    files.push_back(fmt::format(R"(    {{"name": "{}", "bytes": {}, "xxh3": "{}"}})", file.name, file.bytes,
                                hexadecimal(file.checksum)));
  const std::string text = fmt::format(
      "{{\n  \"format\": \"gesso checkpoint\",\n  \"version\": {},\n  \"step\": {},\n  \"files\": [\n{}\n  ],\n",
      manifest.version, manifest.step, fmt::join(files, ",\n"));
  return text + seal(text);
}

Manifest parse_manifest(std::string_view text) {
  const std::size_t tail = seal("").size();
  if (text.size() < tail || text.substr(text.size() - tail) != seal(text.substr(0, text.size() - tail)))
    fail(ErrorKind::data, "the manifest does not have the checksum that it ends with");
  Manifest manifest;
  try {
    const JsonTree tree = parse_json_tree(text, "the manifest", ErrorKind::data);
    manifest = manifest_of(tree.value);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::data, "the manifest cannot be read: {}", in_quotes(error.what()));
  }
  if (manifest.version == Manifest::kVersion && text_of(manifest) != text)
    fail(ErrorKind::data, "the manifest is not as gesso writes it");
  return manifest;
}

}  // namespace gesso
