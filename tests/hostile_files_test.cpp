// Files that nobody should have to trust, given to the program itself: each is refused by the right error, in words,
// with little memory, and the run that stands there stays as it was, byte for byte. One row a file.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/gzip.h"
#include "tests/handmade_jpeg.h"
#include "tests/handmade_png.h"
#include "tests/hostile_codes.h"
#include "tests/program.h"
#include "tests/temporary_directory.h"
#include "tests/xz.h"

namespace gesso {
namespace {

using namespace std::string_literals;

// A program that refuses needs what it needs to start; the largest file here says that it holds 4 GiB. Sanitizers take
// their own memory.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::int64_t kMostKib = std::int64_t{1} << 20;
#else
constexpr std::int64_t kMostKib = 96 << 10;
#endif

struct HostileFile {
  std::string title;
  std::string name;     // of the file that is put in the place of a good one; a content of kAbsent removes it
  std::string content;  // of that file
  std::vector<std::string> words;  // of the message
};
const std::string kAbsent = "\0absent"s;

// A data set, or another place of hostile files, with a run that was made from good ones.
struct Scene {
  std::string name;
  std::map<std::string, std::string> good;  // the files of the set
  std::vector<std::string> settings;        // of its run
  std::vector<HostileFile> files;
};

std::string with(std::string text, std::size_t at, const std::string& bytes) {
  return text.replace(at, bytes.size(), bytes);
}
std::string flipped(std::string text, std::size_t at, int bit = 4) {
  text[at] = static_cast<char>(text[at] ^ 1 << bit);
  return text;
}
std::string cut(const std::string& text, std::size_t bytes = 1) { return text.substr(0, text.size() - bytes); }
// Bytes without a pattern, the same ones each time.
std::string noise(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : text) byte = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  return text;
}

std::string idx(const std::vector<std::uint32_t>& dims, const std::string& values) {
  std::string file = "\0\0\x08"s + static_cast<char>(dims.size());
  for (const std::uint32_t dim : dims) file += big_endian(dim);
  return file + values;
}

Scene idx_scene() {
  const std::string pixels = noise(12 * 64), labels = idx({12}, std::string(12, '\x01')),
                    images = idx({12, 8, 8}, pixels);
  const std::string test_images = idx({4, 8, 8}, noise(4 * 64)), packed = gzip(images);
  const char* const train = "train-images-idx3-ubyte";
  const std::string packed_bomb = gzip(idx({1000, 1000, 1000}, std::string(1 << 16, '\0')));
  return {
      "idx",
      {{train, images},
       {"train-labels-idx1-ubyte", labels},
       {"t10k-images-idx3-ubyte", test_images},
       {"t10k-labels-idx1-ubyte", idx({4}, std::string(4, '\0'))}},
      {"data.kind=idx"},
      {{"a byte short", train, cut(images), {train, "768 bytes but 767 follow"}},
       {"a byte more", train, images + "x", {"768 bytes but 769 follow"}},
       {"empty", train, "", {train, "ends after 0 bytes"}},
       {"cut in the header", train, images.substr(0, 9), {"ends after 9 bytes"}},
       {"another format", train, "GIF89a......", {"not an IDX file", "0x47494638"}},
       {"elements of floats", train, with(images, 2, "\x0D"), {"type 0x0d", "unsigned bytes"}},
       {"five dimensions", train, with(images, 3, "\x05"), {"5 dimensions"}},
       {"one dimension", train, idx({768}, pixels), {"[768] holds no pictures"}},
       {"no pictures", train, idx({0, 8, 8}, ""), {"holds no pictures"}},
       {"one picture more than there are", train, with(images, 4, big_endian(13)), {"13x8x8", "but 768 follow"}},
       {"a flipped bit in the count", train, flipped(images, 4), {"above the limit"}},
       {"a count that overflows", train, idx({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, ""), {"above the limit"}},
       {"packed, cut off", train, cut(packed, 9), {"cut off"}},
       {"packed, a flipped bit in the checksum", train, flipped(packed, packed.size() - 6), {"damaged"}},
       {"packed, a flipped bit in the content", train, flipped(packed, packed.size() / 2), {"gzip"}},
       {"packed, bytes behind", train, packed + "xyz", {"3 bytes behind the end"}},
       {"packed, says it holds a gigabyte", train, packed_bomb, {"to 1000000000, above the limit of 50 to 1"}},
       {"a label short", "train-labels-idx1-ubyte", idx({11}, std::string(11, '\0')), {"12 pictures but 11 labels"}},
       {"labels of two dimensions",
        "train-labels-idx1-ubyte",
        idx({12, 1}, std::string(12, '\0')),
        {"no list of labels"}},
       {"labels cut off", "train-labels-idx1-ubyte", cut(labels, 5), {"12 bytes but 7 follow"}},
       {"no labels to test with", "t10k-labels-idx1-ubyte", kAbsent, {"has no t10k-labels-idx1-ubyte"}},
       {"test images of another size",
        "t10k-images-idx3-ubyte",
        idx({4, 4, 16}, noise(256)),
        {"4x16x1", "8x8x1", "of one shape"}}}};
}

std::string cifar_records(std::size_t count, char label = 3) {
  std::string content;
  for (std::size_t i = 0; i < count; ++i) content += label + noise(3072);
  return content;
}

Scene cifar_scene() {
  const std::string good = cifar_records(3), packed = xz(good), zipped = gzip(good);
  const char* const batch = "data_batch_2.bin";
  Scene scene{"cifar10", {{"test_batch.bin", cifar_records(4)}}, {"data.kind=cifar10"}, {}};
  for (int i = 1; i <= 5; ++i) scene.good[fmt::format("data_batch_{}.bin", i)] = good;
  scene.files = {{"a byte short", batch, cut(good), {batch, "record 2, 3072 of 3073 bytes"}},
                 {"a byte more", batch, good + "x", {"record 3, 1 of 3073 bytes"}},
                 {"empty", batch, "", {batch, "holds no record"}},
                 {"a label above 9", batch, with(good, 3073, "\x0A"), {"record 1 has label 10", "0 to 9"}},
                 {"a flipped bit in a label", batch, flipped(good, 0), {"record 0 has label 19"}},
                 {"text", batch, std::string(4000, 'a'), {"record 0 has label 97"}},
                 {"a record more than the original has", batch, std::string(10'001 * 3073, '\0'), {"at most 30730000"}},
                 {"packed, a record more than the original has",
                  batch,
                  gzip(std::string(10'001 * 3073, '\0')),
                  {"more than the 10000 records"}},
                 {"packed by xz, cut off", batch, cut(packed, 30), {batch, "cut off"}},
                 {"packed by xz, a flipped bit in the content", batch, flipped(packed, packed.size() / 2), {"damaged"}},
                 {"packed by xz, a flipped bit in the checksum", batch, flipped(packed, packed.size() - 50), {batch}},
                 {"packed by xz, a flipped bit in the magic", batch, flipped(packed, 1), {batch}},
                 {"packed by xz, bytes behind", batch, packed + "xyz", {batch}},
                 {"packed by gzip, cut off", batch, cut(zipped, 5), {"cut off"}},
                 {"packed by gzip, a flipped bit", batch, flipped(zipped, zipped.size() / 2), {"gzip"}},
                 {"a file that is missing", "data_batch_3.bin", kAbsent, {"has no data_batch_3.bin"}},
                 {"a test file that is missing", "test_batch.bin", kAbsent, {"has no test_batch.bin"}},
                 {"a test file with a label above 9", "test_batch.bin", cifar_records(4, '\xFF'), {"label 255"}}};
  return scene;
}

std::string png_of(std::uint32_t width, std::uint32_t height, const std::string& rows, char depth = 8,
                   char colour = 0) {
  return handmade_png({width, height, depth, colour, rows});
}

std::vector<HostileFile> png_files(const char* name) {
  std::string rows;
  for (int y = 0; y < 8; ++y) rows += '\0' + noise(8);
  const std::string good = png_of(8, 8, rows);
  const std::size_t data = good.find("IDAT") + 4;
  return {{"cut in the header", name, good.substr(0, 20), {name, "not a readable PNG"}},
          {"cut in the pixels", name, good.substr(0, data + 10), {"not a readable PNG"}},
          {"cut before its end", name, cut(good, 12), {"not a readable PNG"}},
          {"a flipped bit in the magic", name, flipped(good, 2), {"neither PNG nor JPEG"}},
          {"a flipped bit in the header", name, flipped(good, 19, 0), {"not a readable PNG"}},
          {"a flipped bit in the pixels", name, flipped(good, data + 20), {"not a readable PNG"}},
          {"a flipped bit in the checksum", name, flipped(good, good.find("IEND") - 6), {"not a readable PNG"}},
          {"a side above the limit", name, png_of(30000, 30000, ""), {"30000x30000", "16384 a side"}},
          {"pixels above the limit", name, png_of(16384, 16384, ""), {"67108864 in all"}},
          {"more pixels than its bytes can hold",
           name,
           png_of(8192, 8192, "", 16, 6),
           {"8192x8192 pixels cannot come from"}},
          {"no width", name, png_of(0, 8, rows), {"not a readable PNG"}},
          {"a depth that does not exist", name, png_of(8, 8, rows, 3), {"not a readable PNG"}},
          {"no palette", name, png_of(8, 8, rows, 8, 3), {"not a readable PNG"}},
          {"rows that are missing", name, png_of(8, 9, rows), {"not a readable PNG"}},
          {"empty", name, "", {name, "empty"}},
          {"text", name, "hello", {"neither PNG nor JPEG", "68 65 6c 6c 6f"}},
          {"a strip",
           name,
           png_of(80, 8,
                  [] {
                    std::string all;
                    for (int y = 0; y < 8; ++y) all += '\0' + noise(80);
                    return all;
                  }()),
           {"8 times as long"}}};
}

std::vector<HostileFile> jpeg_files(const char* name) {
  Image image({16, 16, 3});
  const std::string values = noise(image.pixels.size());
  for (std::size_t i = 0; i < values.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(values[i]);
  const std::string good = handmade_jpeg(image);
  const auto at = [&](char marker) { return good.find("\xFF"s + marker); };
  const std::size_t frame = at('\xC0'), tables = at('\xDB'), huffman = at('\xC4'), scan = at('\xDA');
  Image grey({8, 8, 1});
  const std::string progressive = handmade_jpeg(grey, {.progressive = true});
  const std::size_t last = progressive.rfind("\xFF\xC4"s);
  std::string bomb = cut(progressive, 2);
  for (int i = 0; i < 300; ++i) bomb += cut(progressive, 2).substr(last);
  return {
      {"cut in the header", name, good.substr(0, frame), {name, "not a readable JPEG"}},
      {"cut in the pixels", name, good.substr(0, scan + 100), {"not a readable JPEG"}},
      {"cut before its end", name, cut(good, 2), {"not a readable JPEG"}},
      {"a flipped bit in the magic", name, flipped(good, 1, 0), {"neither PNG nor JPEG"}},
      {"a side above the limit", name, with(good, frame + 5, "\xFF\xDC\xFF\xDC"), {"65500x65500", "16384 a side"}},
      {"more pixels than its bytes can hold",
       name,
       with(good, frame + 5, "\x1F\xFF\x1F\xFF"),
       {"8191x8191 pixels cannot come from"}},
      {"no height", name, with(good, frame + 5, "\0\0"s), {"not a readable JPEG"}},
      {"no components", name, with(good, frame + 9, "\0"s), {"not a readable JPEG"}},
      {"a flipped bit in the number of components", name, flipped(good, frame + 9, 0), {"not a readable JPEG"}},
      {"twelve bits", name, with(good, frame + 4, "\x0C"), {"not a readable JPEG"}},
      {"a quantization table of the wrong length", name, with(good, tables + 2, "\0\x03"s), {"not a readable JPEG"}},
      {"a Huffman table of too many codes", name, with(good, huffman + 5, "\xFF\xFF"), {"not a readable JPEG"}},
      {"no scan", name, good.substr(0, scan) + "\xFF\xD9", {"not a readable JPEG"}},
      {"scans without end", name, bomb + "\xFF\xD9", {"more than 100 scans"}},
      {"noise behind the magic", name, "\xFF\xD8\xFF" + noise(500), {"not a readable JPEG"}}};
}

Scene folder_scene() {
  Scene scene{"folder", {}, {"data.kind=folder", "data.size=8", "data.validation=0.3", "data.max_bad=0.001"}, {}};
  for (int i = 0; i < 24; ++i) {
    std::string rows;
    for (int y = 0; y < 8; ++y)
      rows += '\0' + noise(static_cast<std::size_t>(8 + i)).substr(static_cast<std::size_t>(i));
    scene.good[fmt::format("{:02}.png", i)] = png_of(8, 8, rows);
  }
  scene.files = png_files("07.png");
  for (const HostileFile& file : jpeg_files("08.png")) scene.files.push_back(file);
  return scene;
}

// Rows of a run's own config.json. `good` is that file's text.
std::vector<HostileFile> config_files(const std::string& good) {
  const char* const name = "config.json";
  const auto instead = [&](const std::string& old, const std::string& other) {
    std::string text = good;
    return text.replace(text.find(old), old.size(), other);
  };
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "{\"a\":";
  return {{"cut off", name, cut(good, 20), {name}},
          {"empty", name, "", {name}},
          {"no JSON", name, "steps: 4", {name}},
          {"no object", name, "[1, 2]", {name}},
          {"an unknown key", name, instead("\"steps\"", "\"stepz\""), {name, "train.stepz", "train.steps"}},
          {"a flipped bit in a key", name, instead("\"train\"", "\"vrain\""), {name, "vrain"}},
          {"text for a number", name, instead("\"batch\": 4", "\"batch\": \"4\""), {"train.batch", "whole number"}},
          {"a number out of its range", name, instead("\"batch\": 4", "\"batch\": -4"), {"train.batch", "-4"}},
          {"a number that is no number", name, instead("\"batch\": 4", "\"batch\": 4e999"), {name}},
          {"a key twice", name, instead("\"batch\": 4", "\"batch\": 4, \"batch\": 4"), {"train.batch"}},
          {"too deep", name, deep, {name, "16"}},
          {"too large", name, good + std::string(300'000, ' '), {name, "262144"}},
          {"no UTF-8", name, instead("vqvae-shapes", "vqvae-\xFF"), {name}},
          {"a NUL byte", name, instead("vqvae-shapes", "vqvae\0shapes"s), {name}}};
}

// But for the lock, which names whoever looked last.
std::map<std::string, std::string> files_below(const Path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    files[entry.path().lexically_relative(folder).string()] =
        entry.is_regular_file() ? read_text_file(entry.path(), 1 << 26) : "(folder)";
  files.erase("lock");
  return files;
}

std::vector<std::string> train_command(const Path& run, const std::vector<std::string>& more) {
  std::vector<std::string> words = {"--threads", "1", "train", "vqvae-shapes", "--out", run.string()};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// A run of two steps.
void make_run(const TemporaryDirectory& directory, const Path& run, const std::vector<std::string>& settings) {
  std::vector<std::string> words = {"train.steps=2", "train.batch=4",      "model.hidden=4", "model.residual_hidden=2",
                                    "model.codes=8", "model.code_width=4", "sample.count=2", "log.every=1"};
  words.insert(words.end(), settings.begin(), settings.end());
  const Program made = run_program(directory.path(), train_command(run, words));
  REQUIRE_MESSAGE(made.exit_code == 0, made.errors);
}

void check_refused(const Program& program, ErrorKind kind, const std::vector<std::string>& words) {
  CHECK_MESSAGE(program.exit_code == static_cast<int>(kind), program.errors);
  CHECK(program.errors.starts_with("gesso: "));
  CHECK(std::ranges::count(program.errors, '\n') <= 6);
  for (const std::string& word : words)
    CHECK_MESSAGE(program.errors.find(word) != std::string::npos, "no \"", word, "\" in: ", program.errors);
  CHECK_MESSAGE(program.peak_kib <= kMostKib, program.peak_kib, " KiB");
}

// Puts each file in its place, lets the run go on, and expects that it does not.
void check_scene(const TemporaryDirectory& directory, const Scene& scene) {
  const std::string data = scene.name;
  std::filesystem::create_directory(directory / data);
  for (const auto& [name, content] : scene.good) directory.write(data + "/" + name, content);
  const Path run = directory / (scene.name + "-run");
  std::vector<std::string> settings = scene.settings;
  settings.push_back("data.path=" + (directory / data).string());
  make_run(directory, run, settings);
  const auto before = files_below(run);
  for (const HostileFile& file : scene.files) {
    INFO(scene.name, ": ", file.title);
    const std::string place = data + "/" + file.name;
    if (file.content == kAbsent)
      std::filesystem::remove(directory / place);
    else
      directory.write(place, file.content);
    check_refused(run_program(directory.path(), train_command(run, {"--resume", "train.steps=4"})), ErrorKind::data,
                  file.words);
    CHECK(files_below(run) == before);
    directory.write(place, scene.good.at(file.name));
  }
  // The same with the good files goes on: what was refused was the file.
  CHECK(run_program(directory.path(), train_command(run, {"--resume", "train.steps=4"})).exit_code == 0);
}

TEST_SUITE("hostile files") {
  TEST_CASE("hostile data are refused, and the run that wanted to go on stays as it was") {
    const TemporaryDirectory directory;
    for (const Scene& scene : {idx_scene(), cifar_scene(), folder_scene()}) check_scene(directory, scene);
  }

  TEST_CASE("hostile configurations are refused, in a run directory and as recipes") {
    const TemporaryDirectory directory;
    const Path run = directory / "run";
    make_run(directory, run, {"data.size=8", "data.count=20", "data.test_count=4"});
    const std::string good = read_text_file(run / "config.json", 1 << 20);
    for (const HostileFile& file : config_files(good)) {
      INFO(file.title);
      directory.write("run/config.json", file.content);
      const auto before = files_below(run);
      check_refused(run_program(directory.path(), train_command(run, {"--resume", "train.steps=4"})), ErrorKind::usage,
                    file.words);
      CHECK(files_below(run) == before);
      const Path recipe = directory.write("config.json", file.content), fresh = directory / "fresh";
      check_refused(run_program(directory.path(), {"train", recipe.string(), "--out", fresh.string()}),
                    ErrorKind::usage, file.words);
      CHECK_FALSE(std::filesystem::exists(fresh));
    }
    directory.write("run/config.json", good);
    CHECK(run_program(directory.path(), train_command(run, {"--resume", "train.steps=4"})).exit_code == 0);
  }

  TEST_CASE("hostile codes are refused by the model that they are not of, and nothing is written") {
    const TemporaryDirectory directory;
    const Path run = directory / "run", codes = directory / "codes.safetensors", out = directory / "out";
    make_run(directory, run, {"data.size=16", "data.count=20", "data.test_count=7", "model.codes=37"});
    const Program encoded = run_program(directory.path(), {"encode", run.string(), "--out", codes.string(), "--json"});
    REQUIRE_MESSAGE(encoded.exit_code == 0, encoded.errors);
    CHECK(encoded.out.find("\"codes\":[7,4,4]") != std::string::npos);
    const std::string good = read_text_file(codes, 1 << 20);
    const auto before = files_below(run);
    const std::vector<std::string> decode = {"decode", run.string(), codes.string(), "--out", out.string()};
    for (const HostileCodes& hostile : hostile_codes(good)) {
      INFO(hostile.title);
      directory.write("codes.safetensors", hostile.content);
      check_refused(run_program(directory.path(), decode), ErrorKind::data, hostile.words);
      CHECK_FALSE(std::filesystem::exists(out));
      CHECK(files_below(run) == before);
    }
    directory.write("codes.safetensors", good);
    CHECK(run_program(directory.path(), decode).exit_code == 0);
    CHECK(list_directory(out).size() == 7);
  }
}

}  // namespace
}  // namespace gesso
