// What a hostile file of 10 MB costs: at most the memory that its reader declares (docs/runs.md) and 64 MiB for the
// program itself, and five seconds of a processor.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <zlib.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/gzip.h"
#include "tests/handmade_jpeg.h"
#include "tests/handmade_png.h"
#include "tests/program.h"
#include "tests/temporary_directory.h"
#include "tests/xz.h"
#include "train/files.h"
#include "train/manifest.h"

namespace gesso {
namespace {

using namespace std::string_literals;

// Sanitizers slow down, and take memory of their own: they look at how large files are read, not at what that costs.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kBytes = 2'000'000;
constexpr double kMostSeconds = 120;
constexpr std::int64_t kProgramMib = 4096;
constexpr std::size_t kBytesOfBlocks = kBytes / 64;  // each takes large memory anew, of which they mark every byte
#else
constexpr std::size_t kBytes = 10'000'000;
constexpr double kMostSeconds = 5;
constexpr std::int64_t kProgramMib = 64;
constexpr std::size_t kBytesOfBlocks = kBytes;
#endif

std::string repeated(const std::string& part, std::size_t bytes) {
  std::string text;
  text.reserve(bytes + part.size());
  while (text.size() < bytes) text += part;
  return text;
}

// Zero bytes as deflate packs them, ending where a byte does: pieces may follow each other.
std::string deflated_zeros(std::size_t count) {
  std::string zeros(count, '\0'), packed(count / 500 + 1000, '\0');
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) fail("zlib: cannot pack");
  stream.next_in = reinterpret_cast<Bytef*>(zeros.data());
  stream.avail_in = static_cast<uInt>(count);
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FULL_FLUSH);
  packed.resize(packed.size() - stream.avail_out);
  deflateEnd(&stream);
  return packed;
}
// As zlib's format has them, whole.
std::string zlib_zeros(std::size_t count) {
  constexpr std::size_t kPiece = 1'000'000;
  const std::string piece = deflated_zeros(kPiece);
  std::string packed = "\x78\xDA";
  for (std::size_t i = 0; i < count / kPiece; ++i) packed += piece;
  packed += deflated_zeros(count % kPiece);
  const auto checksum = static_cast<std::uint32_t>(count % 65521 << 16 | 1);  // Adler-32
  return packed + "\x03\0"s + big_endian(checksum);
}
// `before`, and zeros without end: 10 GB.
std::string gzip_bomb(const std::string& before) {
  const std::string stored =
      "\0"s + static_cast<char>(before.size()) + "\0"s + static_cast<char>(~before.size()) + "\xFF";
  return repeated(deflated_zeros(1'000'000), kBytes).insert(0, "\x1F\x8B\x08\0\0\0\0\0\0\x03"s + stored + before);
}

// A good PNG: nothing but its size, and what it takes to unpack, is wrong with it.
std::string large_png(std::uint32_t side, char depth, char colour, std::size_t row_bytes, const std::string& chunks) {
  const std::string header = big_endian(side) + big_endian(side) + depth + colour + std::string(3, '\0');
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", header) + chunks +
         png_chunk("IDAT", zlib_zeros(side * (row_bytes + 1))) + png_chunk("IEND", "");
}
std::string text_bombs() {
  const std::string bomb = png_chunk("zTXt", "Title\0\0"s + zlib_packed(std::string(7'900'000, 'a')));
  return repeated(bomb, kBytes - 500'000);
}

// 64 million pixels.
std::string large_jpeg(int scans) {
  const std::string once = handmade_jpeg(Image({8000, 8000, 1}, 99), {.progressive = true});
  const std::string last = once.substr(once.rfind("\xFF\xC4"s), once.size() - 2 - once.rfind("\xFF\xC4"s));
  std::string file = once.substr(0, once.size() - 2);
  for (int scan = 2; scan < scans; ++scan) file += last;
  return file + "\xFF\xD9";
}

// The same in colour. An arithmetic code takes zeros where bytes are missing, so a scan, of the means of all blocks, is
// its header alone.
std::string empty_scans(int scans) {
  std::string file = handmade_jpeg(Image({16, 16, 3}, 99), {.progressive = true, .arithmetic = true});
  file.resize(file.find("\xFF\xDA"s));
  file.replace(file.find("\xFF\xCA"s) + 5, 4, "\x1F\x40\x1F\x40");  // 8000 by 8000
  for (int scan = 0; scan < scans; ++scan) file += "\xFF\xDA\x00\x0C\x03\x01\x00\x02\x00\x03\x00\x00\x00\x00"s;
  return file + "\xFF\xD9";
}
std::string many_markers() {
  return handmade_jpeg(Image({64, 64, 1}, 99)).insert(2, repeated("\xFF\xE1\0\2"s, kBytes));
}

std::string safetensors_of(std::string header) {
  std::string word(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(word.data(), &length, 8);
  return word + header;
}
std::string many_tensors() {
  std::string header = "{";
  for (int i = 0; header.size() < kBytes; ++i)
    header += fmt::format(R"({}"{:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", i > 0 ? "," : "", i);
  return safetensors_of(header + "}");
}
std::string many_pairs() {
  std::string header = R"({"__metadata__":{"gesso.format":"codes")";
  for (int i = 0; header.size() < kBytes; ++i) header += fmt::format(R"(,"{:x}":"")", i);
  return safetensors_of(header + "}}");
}
std::string many_names() {
  return safetensors_of(
      R"({"__metadata__":{"gesso.format":"codes","gesso.format_version":"1","gesso.tokenizer":"0","gesso.codebook":"8",)"
      R"("gesso.images":"1","gesso.image_shape":"8x8x3","gesso.bits":"8","gesso.version":"1","gesso.names":")" +
      repeated("a/", kBytes) + "a\"}}");
}
std::string many_dimensions() {
  return safetensors_of(R"({"codes":{"dtype":"I32","data_offsets":[0,0],"shape":[0)" + repeated(",0", kBytes) + "]}}");
}

// A line of metrics with many names, the given lines, and one more of the first kind.
std::string between_many_names(const std::string& lines) {
  const auto line = [](std::int64_t step) {
    std::string text = fmt::format(R"({{"step":{},"split":"train")", step);
    for (int i = 0; i < 60; ++i) text += fmt::format(R"(,"name{}":{})", i, step);
    return text + "}\n";
  };
  return line(1) + lines + line(1'000'000);
}
// Each is an event, marked in every curve.
std::string many_failures() {
  std::string lines;
  for (std::int64_t step = 2; lines.size() < kBytes; ++step)
    lines += fmt::format(R"({{"step":{},"split":"train","saves_failed":1}})", step) + "\n";
  return between_many_names(lines);
}
std::string long_events() {
  const std::string event = R"({"step":2,"split":"event","event":"skipped","text":"step 2: )";
  return between_many_names(repeated(event + std::string(60'000, '<') + "\"}\n", kBytes));
}

struct Hostile {
  std::string title, place, content;
  int exit_code;
  std::string words;     // of the message; of standard output where it is accepted
  std::int64_t cap_mib;  // what the reader declares
  std::vector<std::string> command;
};

constexpr int kData = static_cast<int>(ErrorKind::data), kUsage = static_cast<int>(ErrorKind::usage);

void check(const TemporaryDirectory& directory, const Hostile& hostile) {
  INFO(hostile.title);
  CHECK(hostile.content.size() < kBytes + 1'000'000);
  std::string before;
  const bool replaces = std::filesystem::exists(directory / hostile.place);
  if (replaces) before = read_text_file(directory / hostile.place, 1 << 26);
  directory.write(hostile.place, hostile.content);
  std::vector<std::string> command = {"--threads", "1"};
  command.insert(command.end(), hostile.command.begin(), hostile.command.end());
  const Program program = run_program(directory.path(), command);
  CHECK_MESSAGE(program.exit_code == hostile.exit_code, program.errors);
  const std::string& told = hostile.exit_code == 0 ? program.out : program.errors;
  CHECK_MESSAGE(told.find(hostile.words) != std::string::npos, told);
  CHECK(told.size() < 5000);
  CHECK_MESSAGE(program.peak_kib <= (hostile.cap_mib + kProgramMib) << 10, (program.peak_kib >> 10),
                " MiB, declared: ", hostile.cap_mib);
  CHECK_MESSAGE(program.cpu_seconds <= kMostSeconds, program.cpu_seconds, " s");
  std::filesystem::remove(directory / hostile.place);
  if (replaces) directory.write(hostile.place, before);
}

// A run with one checkpoint.
void make_run(const TemporaryDirectory& directory) {
  const Program made =
      run_program(directory.path(),
                  {"--threads", "1", "train", "vqvae-shapes", "--out", (directory / "run").string(), "train.steps=1",
                   "train.batch=2", "data.size=8", "data.count=8", "data.test_count=2", "model.hidden=4",
                   "model.residual_hidden=2", "model.codes=8", "model.code_width=4", "sample.count=2"});
  REQUIRE_MESSAGE(made.exit_code == 0, made.errors);
}

TEST_SUITE("hostile sizes") {
  TEST_CASE("a data set's file of 10 MB costs what its reader declares") {
    const TemporaryDirectory directory;
    for (const char* folder : {"idx", "cifar", "folder"}) std::filesystem::create_directory(directory / folder);
    for (const char* labels : {"idx/train-labels-idx1-ubyte", "idx/t10k-labels-idx1-ubyte"})
      directory.write(labels, "\0\0\x08\x01\0\0\0\x01\0"s);
    directory.write("idx/t10k-images-idx3-ubyte", "\0\0\x08\x03\0\0\0\x01\0\0\0\x01\0\0\0\x01\0"s);
    const std::string record(3073, '\0');
    for (int i = 2; i <= 5; ++i) directory.write(fmt::format("cifar/data_batch_{}.bin", i), record);
    directory.write("cifar/test_batch.bin", record);
    const auto look = [&](const std::string& folder, const std::string& more = "data.validation=0") {
      return std::vector<std::string>{"data", "info", (directory / folder).string(), "data.max_bad=0", more};
    };
    const std::string images = "idx/train-images-idx3-ubyte", batch = "cifar/data_batch_1.bin",
                      picture = "folder/a.png";
    const auto idx_header = [](std::uint32_t count) {
      return "\0\0\x08\x03"s + big_endian(count) + big_endian(1000) + big_endian(1000);
    };
    constexpr std::uint32_t kMegabytes = kBytes / 1'000'000;
    constexpr std::int64_t kIdxMib = 50 * kBytes >> 20, kCifarMib = 150, kPictureMib = 1024;
    const std::string exif = png_chunk("eXIf", exif_block(6));
    for (const Hostile& hostile : std::vector<Hostile>{
             {"IDX that unpacks to more than it says", images, gzip_bomb(idx_header(kMegabytes * 49)), kData,
              "more content than", kIdxMib, look("idx")},
             {"IDX that says it unpacks to more than is allowed", images, gzip_bomb(idx_header(kMegabytes * 60)), kData,
              "above the limit of 50 to 1", 0, look("idx")},
             {"IDX of other size than it says", images, idx_header(4000) + std::string(kBytes, 'x'), kData,
              fmt::format("{} follow", kBytes), 10, look("idx")},
             {"CIFAR that unpacks without end", batch, gzip_bomb(""), kData, "more than the 10000 records", kCifarMib,
              look("cifar")},
             {"CIFAR of half a million gzip members of nothing", batch, repeated(gzip(""), kBytes), kData,
              "holds no record", kCifarMib, look("cifar")},
             {"CIFAR of half a million gzip members of a byte", batch, repeated(gzip("\0"s), kBytes), kData,
              "ends within record", kCifarMib, look("cifar")},
             {"CIFAR of 300,000 xz streams of nothing", batch, repeated(xz(""), kBytes), kData, "holds no record",
              kCifarMib, look("cifar")},
             {"CIFAR of 100,000 xz streams of a byte", batch, repeated(xz("\0"s), kBytes), kData, "ends within record",
              kCifarMib, look("cifar")},
             {"CIFAR of xz streams whose dictionaries change their size", batch,
              repeated(xz("\0"s, 6) + xz("\0"s, 9), kBytesOfBlocks), kData, "ends within record", kCifarMib,
              look("cifar")},
             {"CIFAR of gzip members that unpack without end", batch,
              repeated(gzip(std::string(3073 * 1000, '\0')), kBytes), kData, "more than the 10000 records", kCifarMib,
              look("cifar")},
             {"CIFAR of noise", batch, std::string(kBytes, 'x'), kData, "label 120", kCifarMib, look("cifar")},
             {"PNG of 36 million pixels, which is held once", picture, large_png(6000, 8, 2, 18000, ""), 0,
              "train       1 image\n", 6000 * 18000 >> 20, look("folder")},
             {"PNG of 64 million pixels, on its side", picture, large_png(8000, 8, 6, 32000, exif), 0,
              "train       1 image\n", kPictureMib, look("folder")},
             {"PNG of 64 million deep pixels, on its side", picture, large_png(8000, 16, 6, 64000, exif), 0,
              "train       1 image\n", kPictureMib, look("folder", "data.bits=16")},
             {"PNG with a thousand texts of 8 MB", picture, large_png(64, 8, 0, 64, text_bombs()), 0,
              "train       1 image\n", 16, look("folder")},
             {"PNG with a profile of 10 MB", picture,
              large_png(64, 8, 0, 64, png_chunk("iCCP", "p\0\0"s + zlib_packed(std::string(kBytes, 'a')))), 0,
              "train       1 image\n", 16, look("folder")},
             {"PNG with ten million bytes of small chunks", picture,
              large_png(64, 8, 0, 64, repeated(png_chunk("abCd", "x"), kBytes)), 0, "train       1 image\n", 16,
              look("folder")},
             {"PNG with an Exif block of 10 MB", picture,
              large_png(64, 8, 0, 64, png_chunk("eXIf", exif_block(6) + std::string(kBytes, 'a'))), 0,
              "train       1 image\n", 16, look("folder")},
             {"JPEG of 64 million pixels in 16 scans", picture, large_jpeg(16), 0, "train       1 image\n", kPictureMib,
              look("folder")},
             {"JPEG of 64 million pixels in a hundred scans", picture, large_jpeg(100), kData, "more than 16 scans",
              kPictureMib, look("folder")},
             {"JPEG of 64 million pixels in 16 scans of no bytes", picture, empty_scans(16), 0, "train       1 image\n",
              kPictureMib, look("folder")},
             {"JPEG of 64 million pixels in a hundred scans of no bytes", picture, empty_scans(100), kData,
              "more than 16 scans", kPictureMib, look("folder")},
             {"JPEG with millions of markers", picture, many_markers(), 0, "train       1 image\n", 16, look("folder")},
             {"a picture of noise", picture, "\xFF\xD8\xFF" + std::string(kBytes, 'x'), kData, "'a.png'", 16,
              look("folder")}})
      check(directory, hostile);
  }

  TEST_CASE("a file of 10 MB in the place of a run's, or of codes or a recipe, costs what its reader declares") {
    const TemporaryDirectory directory;
    make_run(directory);
    const std::string run = (directory / "run").string(), checkpoint = "run/checkpoints/step-00000001/";
    const std::string codes = (directory / "codes.safetensors").string(), recipe = (directory / "recipe.json").string();
    const std::vector<std::string> decode = {"decode", run, codes, "--out", (directory / "out").string()};
    const std::vector<std::string> resume = {"train", "vqvae-shapes", "--out", run, "--resume", "train.steps=1"};
    const std::vector<std::string> report = {"report", run, "--out", (directory / "page.html").string()};
    const std::vector<std::string> start = {"train", recipe, "--out", (directory / "new").string()};
    const std::string sealed = repeated("[", 1'000'000);
    constexpr std::int64_t kHeaderMib = 100'000'000 >> 20;
    for (const Hostile& hostile : std::vector<Hostile>{
             {"safetensors of many tensors", "codes.safetensors", many_tensors(), kData, "lack gesso.format",
              kHeaderMib, decode},
             {"safetensors of many pairs", "codes.safetensors", many_pairs(), kData, "lack gesso.", kHeaderMib, decode},
             {"safetensors of many dimensions", "codes.safetensors", many_dimensions(), kData, "lack gesso.format",
              kHeaderMib, decode},
             {"codes of millions of names", "codes.safetensors", many_names(), kData,
              fmt::format("{} names", kBytes / 2 + 1), kHeaderMib, decode},
             {"safetensors of open brackets", "codes.safetensors", safetensors_of(repeated("[", kBytes)), kData,
              "JSON object", 10, decode},
             {"safetensors with a long name", "codes.safetensors",
              safetensors_of("{\"" + std::string(kBytes, 'n') + "\":1}"), kData, "expected an object", kHeaderMib,
              decode},
             {"recipe of 10 MB", "recipe.json", repeated("[", kBytes), kUsage, "262144", 1, start},
             {"recipe of deep objects", "recipe.json", repeated("{\"a\":", 260'000), kUsage, "nested deeper", 1, start},
             {"settings of 10 MB", "run/config.json", repeated(" ", kBytes), kUsage, "262144", 1, resume},
             {"manifest of 10 MB", checkpoint + "manifest.json", repeated("[", kBytes), kData, "at most 1048576", 1,
              resume},
             {"manifest of open brackets, sealed", checkpoint + "manifest.json",
              sealed + fmt::format("  \"xxh3\": \"{:016x}\"\n}}\n", checksum_of(std::as_bytes(std::span(sealed)))),
              kData, "manifest", 64, resume},
             {"weights of 10 MB", checkpoint + "weights.safetensors", std::string(kBytes, 'x'), kData,
              fmt::format("{} bytes", kBytes), 0, resume}})
      check(directory, hostile);
    // What looks back on a run takes what it can read.
    const std::string step = R"({"step":1,"split":"train","loss":)";
    for (const std::string& line :
         {step + repeated("[", kBytes) + "\n", repeated(step + repeated("[", 60'000) + "\n", kBytes),
          repeated(step + "[" + repeated("{},", 60'000) + "{}]}\n", kBytes), repeated("\n", kBytes), many_failures(),
          long_events()}) {
      check(directory, {"metrics of 10 MB", "run/metrics.jsonl", line, 0, "page.html", 64, report});
      check(directory, {"starts of 10 MB", "run/starts.jsonl", line, 0, "page.html", 64, report});
    }
    check(directory, {"codes of 10 MB", "run/codes.txt", repeated("7\n", kBytes), 0, "page.html", 64, report});
    check(directory, {"skipped files of 10 MB", "run/skipped.txt", repeated("x", kBytes), 0, "page.html", 64, report});
  }
}

}  // namespace
}  // namespace gesso
