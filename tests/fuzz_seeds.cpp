#include "tests/fuzz_seeds.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tests/gzip.h"
#include "tests/handmade_jpeg.h"
#include "tests/handmade_png.h"
#include "tests/safetensors_cases.h"
#include "tests/xz.h"
#include "train/manifest.h"
#include "train/step_record.h"

namespace gesso::seeds {
namespace {

using namespace std::string_literals;
using Seeds = std::vector<std::string>;

constexpr std::size_t kMostBytes = 4096;  // of a seed: small ones are changed faster

// Bytes without a pattern, the same ones each time.
std::string noise(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : text) byte = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  return text;
}

Image noisy(std::int64_t height, std::int64_t width, std::int64_t channels) {
  Image image({height, width, channels});
  const std::string values = noise(image.pixels.size());
  std::ranges::copy(values, image.pixels.begin());
  return image;
}

std::string little_endian_word(std::int32_t value) {
  std::string word;
  for (int shift = 0; shift < 32; shift += 8) word += static_cast<char>(value >> shift);
  return word;
}

std::string idx_of(const std::vector<std::uint32_t>& dims, const std::string& values) {
  std::string file = "\0\0\x08"s + static_cast<char>(dims.size());
  for (const std::uint32_t dim : dims) file += big_endian(dim);
  return file + values;
}

std::string rows_of(std::size_t rows, std::size_t bytes) {
  std::string text;
  for (std::size_t y = 0; y < rows; ++y) text += static_cast<char>(y % 5) + noise(bytes);
  return text;
}

// Of two pictures of 8x8 as 2x2 codes below 5.
std::string codes_file(const std::string& more_metadata, const std::string& more_tensors,
                       const std::string& more_data) {
  using namespace safetensors_cases;
  std::string data;
  for (int i = 0; i < 8; ++i) data += little_endian_word(i % 5);
  std::string header =
      R"({"__metadata__":{"gesso.format":"codes","gesso.format_version":"1","gesso.tokenizer":"0123456789abcdef","gesso.codebook":"5",)"
      R"("gesso.images":"2","gesso.image_shape":"8x8x3","gesso.bits":"8","gesso.version":"1")" +
      more_metadata + "}," + tensor("codes", "I32", "2,2,2", "0,32") + more_tensors + "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return file_of(header, data + more_data);
}

}  // namespace

Seeds safetensors() {
  Seeds all;
  for (const safetensors_cases::Case& c : safetensors_cases::all_cases())
    if (c.content.size() <= kMostBytes) all.push_back(c.content);
  return all;
}

Seeds codes() {
  using namespace safetensors_cases;
  const std::string sizes =
      little_endian_word(8) + little_endian_word(7) + little_endian_word(8) + little_endian_word(8);
  return {codes_file("", "", ""), codes_file("", "," + tensor("labels", "I32", "2", "32,40"), std::string(8, '\0')),
          codes_file(R"(,"gesso.names":"cat/dog")", "," + tensor("sizes", "I32", "2,2", "32,48"), sizes)};
}

Seeds idx() {
  const std::string images = idx_of({2, 4, 4}, noise(32));
  return {images,
          idx_of({3}, "\0\1\2"s),
          idx_of({1, 2, 2, 3}, noise(12)),
          idx_of({0, 4, 4}, ""),
          idx_of({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, ""),
          gzip(images),
          xz(images),
          gzip(idx_of({16, 1000, 1000}, std::string(4096, '\0'))),
          gzip(idx_of({1 << 20}, std::string(1 << 20, '\0')))};
}

Seeds gzip_packed() {
  const std::string packed = gzip(noise(300));
  return {packed,
          gzip(""),
          gzip(std::string(100'000, 'a')),
          packed + packed,
          packed.substr(0, packed.size() - 4),
          packed + "x",
          gzip("") + gzip("") + packed + gzip("a"),
          packed + packed.substr(0, 9)};
}

Seeds xz_packed() {
  const std::string packed = xz(noise(300));
  return {packed,
          xz(""),
          xz(std::string(100'000, 'a')),
          packed + packed,
          xz("") + xz("") + packed + xz("a"),
          packed + packed.substr(0, 9),
          packed.substr(0, packed.size() - 4),
          packed + std::string(4, '\0')};
}

Seeds cifar() {
  const std::string records = "\3"s + noise(3072) + "\7"s + noise(3072), dark(2 * 3073, '\0');
  return {records, dark, gzip(dark), xz(dark), gzip(std::string(50 * 3073, '\1')), dark.substr(1)};
}

Seeds png() {
  Seeds all;
  for (const auto& [depth, colour, bytes] : {std::tuple{1, 0, 2},
                                             {2, 0, 3},
                                             {4, 0, 5},
                                             {8, 0, 9},
                                             {16, 0, 18},
                                             {8, 2, 27},
                                             {16, 2, 54},
                                             {8, 4, 18},
                                             {16, 4, 36},
                                             {8, 6, 36},
                                             {16, 6, 72}})
    all.push_back(handmade_png(
        {9, 5, static_cast<char>(depth), static_cast<char>(colour), rows_of(5, static_cast<std::size_t>(bytes))}));
  const std::string palette = png_chunk("PLTE", noise(48));
  all.push_back(handmade_png({9, 5, 4, 3, rows_of(5, 5), palette}));
  all.push_back(handmade_png({9, 5, 8, 3, rows_of(5, 9), palette + png_chunk("tRNS", noise(16))}));
  all.push_back(handmade_png({8, 8, 8, 0, rows_of(15, 8), "", 1}));  // interlaced: rows of seven passes
  all.push_back(
      handmade_png({4, 4, 8, 2, rows_of(4, 12),
                    png_chunk("gAMA", big_endian(45455)) + png_chunk("sBIT", "\5\6\5") + png_chunk("tRNS", noise(6)) +
                        png_chunk("tEXt", "Title\0words"s) + png_chunk("zTXt", "Title\0\0"s + zlib_packed("words")) +
                        png_chunk("iTXt", "Title\0\1\0\0\0"s + zlib_packed("words")) + png_chunk("eXIf", exif_block(6)),
                    0, png_chunk("tIME", "\7\xEA\1\2\3\4\5") + png_chunk("eXIf", exif_block(3, false))}));
  all.push_back(
      handmade_png({4, 4, 8, 2, rows_of(4, 12),
                    png_chunk("iCCP", "profile\0\0"s + zlib_packed(noise(200))) + png_chunk("cHRM", noise(32)) +
                        png_chunk("hIST", noise(8)) + png_chunk("sPLT", "name\0\10"s + noise(24)) +
                        png_chunk("bKGD", noise(6)) + png_chunk("pHYs", noise(9)) + png_chunk("abCd", noise(9))}));
  all.push_back(handmade_png({30000, 30000, 8, 0, ""}));
  for (const char* type : {"eXIf", "pCAL"})  // a quarter of a gigabyte, it says
    all.push_back(handmade_png({4, 4, 8, 2, rows_of(4, 12), "", 0, big_endian(0x10003B1A) + type + exif_block(3)}));
  return all;
}

Seeds jpeg() {
  return {handmade_jpeg(noisy(8, 8, 1)),
          handmade_jpeg(noisy(9, 17, 3)),
          handmade_jpeg(noisy(8, 8, 3), {.stored = JCS_RGB}),
          handmade_jpeg(noisy(16, 8, 1), {.progressive = true}),
          handmade_jpeg(noisy(8, 8, 3), {.progressive = true, .exif = exif_block(6)}),
          handmade_jpeg(noisy(8, 8, 3), {.arithmetic = true}),
          handmade_jpeg(noisy(8, 8, 4), {.stored = JCS_CMYK}),
          handmade_jpeg(noisy(8, 8, 4), {.stored = JCS_YCCK, .adobe = false}),
          handmade_jpeg(noisy(8, 8, 3), {.progressive = true, .arithmetic = true}),
          handmade_jpeg(Image({32, 32, 3}, 128), {.exif = exif_block(8, false)})};
}

Seeds exif() { return {exif_block(1), exif_block(6, false), exif_block(9), "MM\0\x2A"s, ""}; }

Seeds config() {
  return {R"({"hot": true, "name": "st\u00e9w", "size": {"weight": 2.5e3, "guests": 7, "year": -5}})",
          R"({"menu.kind": "main", "menu": {"flavour": "sweet", "tables": [1, 2, 9], "prices": [0, 1e300]}})",
          "// words\n{ /* more */ \"hot\": false }",
          "name=soup",
          "menu.tables=1,2,3",
          "size.weight=[1,{\"a\":2}]",
          R"({"size": {"guests": 1e2, "guests": 3}})",
          R"({"menu": {"tables": [[1]]}})",
          R"({"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": {"k": {"l": {"m": 1}}}}}}}}}}}}})",
          R"({"size": {"year": 18446744073709551615, "weight": 1e-400}})",
          R"({"nmae": null})",
          R"({"\u001b[31m\u009b31m": {"": 1}})"};
}

Seeds manifest() {
  const auto unsealed = [](const Manifest& manifest) {
    const std::string text = text_of(manifest);
    return text.substr(0, text.rfind("  \"xxh3\""));
  };
  const Manifest whole{.step = 42, .files = {{"weights.safetensors", 1234, 99}, {"state.safetensors", 0, 0}}};
  Manifest later = whole;
  later.version = 3;
  return {unsealed(whole),
          unsealed({}),
          unsealed(later),
          text_of(whole),
          "{\"version\": 2, \"step\": 1, \"files\": [],\n",
          "{\"version\": 2,\n",
          "{\"version\": 2, \"step\": 1e30, \"files\": [],\n",
          "{\"version\": 2, \"step\": 1, \"files\": [{\"name\": \"../a\", \"bytes\": 1,\n"};
}

Seeds history() {
  return {
      "{\"step\":1,\"split\":\"train\",\"loss\":1.5,\"usage\":\"nan\"}\n"
      "{\"step\":2,\"split\":\"train\",\"loss\":1e400}\n{\"step\":2}\n{\"step\":3,\"sp",
      "{\"step\":0,\"time\":\"2026-01-31T12:00:00Z\",\"command\":\"gesso "
      "train\",\"version\":\"1\",\"device\":\"cpu\"}\n",
      "1\n22\n-3\n99999999999999999999\n\n",
      "{\"step\":18446744073709551615}\n{\"step\":-1}\n{\"step\":1.5}\n[[[[[[[[[[{}]]]]]]]]]]\n"};
}

Seeds step_record() {
  StepRecord record{.step = 7, .values = {{"loss", 1.5}, {"grad_norm", 2}}, .samples = {3, 1}, .version = "1"};
  const std::string spike = text_of(record);
  record.decision.verdict = ops::StepVerdict::not_finite;
  record.first_bad = "conv2d in encoder";
  record.values[0].value = std::numeric_limits<double>::quiet_NaN();
  return {spike, text_of(record), "{\"step\": 1}", "[[[[[[[[[["};
}

}  // namespace gesso::seeds
