#include "train/png.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/handmade_png.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/picture.h"

namespace gesso {
namespace {

using namespace std::string_literals;

Image decode(const std::string& content, const PictureLimits& limits = {}) {
  return decode_png(std::as_bytes(std::span(content)), "case.png", limits);
}

using Pixels = std::vector<std::uint8_t>;

TEST_SUITE("png") {
  TEST_CASE("what is written is read back, grey and colour, whatever the size") {
    TemporaryDirectory directory;
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 20; ++round) {
      Image image({1 + static_cast<std::int64_t>(random() % 40), 1 + static_cast<std::int64_t>(random() % 40),
                   round % 2 == 0 ? 1 : 3});
      for (std::uint8_t& value : image.pixels) value = static_cast<std::uint8_t>(random());
      write_png(directory / "a.png", image);
      const Image got = read_picture(directory / "a.png");
      CHECK(got.shape == image.shape);
      CHECK(got.pixels == image.pixels);
    }
  }

  TEST_CASE("text goes into the file") {
    const std::vector<std::byte> bytes = encode_png(Image({2, 2, 1}), {{"gesso", "step 7, \u00e4"}, {"seed", "1"}});
    const std::string file(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    CHECK(file.find(png_chunk("iTXt", "gesso\0\0\0\0\0step 7, \u00e4"s)) != std::string::npos);
    CHECK(file.find(png_chunk("iTXt", "seed\0\0\0\0\0"s + "1")) != std::string::npos);
    CHECK(decode(file).shape == ImageShape{2, 2, 1});
  }

  TEST_CASE("any depth, palette and transparency becomes grey or colour over white") {
    const std::string palette = png_chunk("PLTE", "\xFF\0\0\0\xFF\0\0\0\xFF"s);
    CHECK(decode(handmade_png({4, 1, 1, 0, "\0\xA0"s})).pixels == Pixels{255, 0, 255, 0});
    CHECK(decode(handmade_png({2, 1, 4, 0, "\0\x1F"s})).pixels == Pixels{17, 255});
    CHECK(decode(handmade_png({2, 1, 16, 0, "\0\xFF\xFF\x80\x80"s})).pixels == Pixels{255, 128});
    CHECK(decode(handmade_png({1, 1, 16, 2, "\0\xFF\xFF\x80\x80\0\0"s})).pixels == Pixels{255, 128, 0});
    CHECK(decode(handmade_png({3, 1, 2, 3, "\0\x18"s, palette})).pixels == Pixels{255, 0, 0, 0, 255, 0, 0, 0, 255});
    CHECK(decode(handmade_png({2, 1, 8, 3, "\0\x00\x01"s, palette + png_chunk("tRNS", "\0\x80"s)})).pixels ==
          Pixels{255, 255, 255, 127, 255, 127});
    CHECK(decode(handmade_png({3, 1, 8, 4, "\0\0\0\0\xFF\x64\x80"s})).pixels == Pixels{255, 0, 177});
    CHECK(decode(handmade_png({1, 1, 8, 6, "\0\x0A\x14\x1E\0"s})).pixels == Pixels{255, 255, 255});
    CHECK(decode(handmade_png({2, 1, 8, 0, "\0\x05\x06"s, png_chunk("tRNS", "\0\x05"s)})).pixels == Pixels{255, 6});
    CHECK(decode(handmade_png({1, 1, 8, 4, "\0\0\0"s})).shape == ImageShape{1, 1, 1});
  }

  TEST_CASE("sixteen bits keep all of theirs, fewer become the same share of white") {
    const auto wide = [](const std::string& content) {
      return decode_png<std::uint16_t>(std::as_bytes(std::span(content)), "case.png").pixels;
    };
    using Wide = std::vector<std::uint16_t>;
    CHECK(wide(handmade_png({3, 1, 16, 0, "\0\x12\x34\0\x01\xFF\xFE"s})) == Wide{0x1234, 1, 0xFFFE});
    CHECK(wide(handmade_png({1, 1, 16, 2, "\0\x01\x02\x03\x04\x05\x06"s})) == Wide{0x102, 0x304, 0x506});
    CHECK(wide(handmade_png({2, 1, 8, 0, "\0\xAB\x01"s})) == Wide{0xABAB, 0x101});
    CHECK(wide(handmade_png({4, 1, 1, 0, "\0\xA0"s})) == Wide{65535, 0, 65535, 0});
    // Half covered: 0x8000 of black on white leaves 0x7FFF; 0x4000 * 0x8000 / 65535 more where it is no black.
    CHECK(wide(handmade_png({2, 1, 16, 4, "\0\0\0\x80\0\x40\0\x80\0"s})) == Wide{0x7FFF, 0x9FFF});
    CHECK(to_8_bits(to_16_bits(Image({2, 2, 3}, 200))).pixels == Image({2, 2, 3}, 200).pixels);
  }

  TEST_CASE("an interlaced picture is put together") {
    // Adam7 on 2x2: pass 1 has pixel (0,0), pass 6 pixel (0,1), pass 7 the second row.
    CHECK(decode(handmade_png({2, 2, 8, 0, "\0\x01\0\x02\0\x03\x04"s, "", 1})).pixels == Pixels{1, 2, 3, 4});
  }

  TEST_CASE("damaged files are refused, naming the file") {
    const std::string good = handmade_png({2, 2, 8, 0, "\0\x01\x02\0\x03\x04"s});
    REQUIRE(decode(good).pixels == Pixels{1, 2, 3, 4});
    for (std::size_t size = 0; size < good.size(); ++size)
      expect_error(ErrorKind::data, {"case.png", "not a readable PNG"}, [&] { decode(good.substr(0, size)); });
    std::string bad = good;
    bad[good.find("IDAT") + 8] ^= 0x10;
    expect_error(ErrorKind::data, {"case.png", "not a readable PNG"}, [&] { decode(bad); });
    expect_error(ErrorKind::data, {"not a readable PNG", "Not a PNG file"},
                 [&] { decode("GIF89a, not a PNG at all"); });
    expect_error(ErrorKind::data, {"not a readable PNG"}, [&] { decode(handmade_png({2, 2, 8, 0, "\0\x01\x02"s})); });
    expect_error(ErrorKind::data, {"not a readable PNG"}, [&] { decode(handmade_png({0, 2, 8, 0, ""})); });
    expect_error(ErrorKind::data, {"not a readable PNG"}, [&] {
      decode(handmade_png({2, 2, 8, 3, "\0\0\0\0\0\0"s}));
    });  // no palette
    expect_error(ErrorKind::data, {"not a readable PNG"}, [&] {
      decode(handmade_png({2, 2, 3, 0, "\0\0\0\0"s}));
    });  // depth 3
  }

  TEST_CASE("a chunk takes 8 MiB at the most, whatever length it says, and is passed over above that") {
    const auto with_exif = [](std::size_t bytes) {
      std::string block = exif_block(6);  // on its side
      block.resize(bytes);
      return handmade_png({2, 1, 8, 0, "\0\x01\x02"s, png_chunk("eXIf", block)});
    };
    constexpr std::size_t kMost = 8 << 20;
    CHECK(decode(with_exif(kMost)).shape == ImageShape{2, 1, 1});
    CHECK(decode(with_exif(kMost + 1)).shape == ImageShape{1, 2, 1});
    for (const char* type : {"eXIf", "pCAL", "sCAL", "zTXt", "iCCP", "sPLT", "abCd"})
      expect_error(ErrorKind::data, {"case.png", "not a readable PNG", "cut off"}, [&] {
        decode(handmade_png({2, 1, 8, 0, "\0\x01\x02"s, big_endian(0x10003B1A) + type + exif_block(6)}));
      });
  }

  TEST_CASE("pictures above the limits and impossible ones are refused before memory is taken") {
    const std::string small = handmade_png({5, 4, 8, 0, std::string(24, '\0')});
    CHECK_NOTHROW(decode(small, {.max_side = 5, .max_pixels = 20}));
    expect_error(ErrorKind::data, {"case.png", "5x4", "above the limit (4 a side"},
                 [&] { decode(small, {.max_side = 4}); });
    expect_error(ErrorKind::data, {"5x4", "19 in all"}, [&] { decode(small, {.max_pixels = 19}); });
    expect_error(ErrorKind::data, {"30000x30000", "16384 a side"}, [&] {
      decode(handmade_png({30000, 30000, 8, 2, ""}));
    });
    expect_error(ErrorKind::data, {"16384x16384", "67108864 in all"}, [&] {
      decode(handmade_png({16384, 16384, 8, 0, ""}));
    });
    expect_error(ErrorKind::data, {"8192x8192 pixels cannot come from"}, [&] {
      decode(handmade_png({8192, 8192, 8, 2, ""}));
    });
    expect_error(ErrorKind::data, {"case.png"}, [&] { decode(handmade_png({0x80000000u, 1, 8, 0, ""})); });
  }

  TEST_CASE("random damage never does worse than an error") {
    const std::string good =
        handmade_png({9, 9, 8, 3, std::string(90, '\0'),
                      png_chunk("PLTE", "\xFF\0\0\0\xFF\0\0\0\xFF"s) + png_chunk("tRNS", "\x7F"), 1});
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 500; ++round) {
      std::string bad = good;
      for (std::uint64_t flips = 1 + random() % 3; flips > 0; --flips)
        bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
      try {
        const Image image = decode(bad);
        CHECK(image.pixels.size() == static_cast<std::size_t>(image.shape.count()));
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::data);
      }
    }
  }

  TEST_CASE("what is written with 16 bits keeps all of them") {
    for (const std::int64_t channels : {1, 3}) {
      Image16 image({2, 3, channels});
      for (std::size_t i = 0; i < image.pixels.size(); ++i)
        image.pixels[i] = static_cast<std::uint16_t>(0x0102 + 4099 * i);
      const std::vector<std::byte> file = encode_png(image);
      CHECK(file[24] == std::byte{16});  // the header's bit depth
      const Image16 read = decode_png<std::uint16_t>(file, "case.png");
      CHECK(read.shape == image.shape);
      CHECK(read.pixels == image.pixels);
    }
  }

  TEST_CASE("the writer refuses what PNG cannot hold") {
    Image two_channels({2, 2, 2});
    expect_error(ErrorKind::usage, {"2x2x2", "2 channels"}, [&] { encode_png(two_channels); });
    expect_error(ErrorKind::usage, {"0x2x1"}, [] { encode_png(Image({0, 2, 1})); });
    Image short_of_pixels({2, 2, 1});
    short_of_pixels.pixels.pop_back();
    expect_error(ErrorKind::usage, {"from 3 values"}, [&] { encode_png(short_of_pixels); });
    expect_error(ErrorKind::usage, {"keyword"}, [] { encode_png(Image({2, 2, 1}), {{"", "x"}}); });
  }

  TEST_CASE("channels convert both ways") {
    Image colour({1, 2, 3});
    colour.pixels = {255, 0, 0, 10, 10, 10};
    CHECK(with_channels(colour, 1).pixels == Pixels{76, 10});
    CHECK(with_channels(with_channels(colour, 1), 3).pixels == Pixels{76, 76, 76, 10, 10, 10});
    CHECK(with_channels(colour, 3).pixels == colour.pixels);
    expect_error(ErrorKind::usage, {"3 channels into 2"}, [&] { with_channels(colour, 2); });
  }
}

}  // namespace
}  // namespace gesso
