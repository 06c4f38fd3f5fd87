// Picture files told apart by content: JPEG, and which way up they are.
#include "train/picture.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include <random>
#include <string>
#include <vector>

#include "tests/address_limit.h"
#include "tests/expect_error.h"
#include "tests/handmade_jpeg.h"
#include "tests/handmade_png.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/exif.h"
#include "train/png.h"

namespace gesso {
namespace {

using namespace std::string_literals;
using Pixels = std::vector<std::uint8_t>;

Image decode(const std::string& content, const PictureLimits& limits = {}) {
  return decode_picture(std::as_bytes(std::span(content)), "case", limits);
}
Orientation orientation_of(const std::string& block) { return exif_orientation(std::as_bytes(std::span(block))); }

// Smooth in both directions, so that a JPEG of best quality keeps it nearly.
Image gradient(std::int64_t height, std::int64_t width, std::int64_t channels) {
  Image image({height, width, channels});
  std::size_t at = 0;
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      for (std::int64_t c = 0; c < channels; ++c)
        image.pixels[at++] = static_cast<std::uint8_t>(20 + 4 * y + 3 * x + 30 * c);
  return image;
}

void check_near(const Image& got, const Image& wanted, int tolerance) {
  REQUIRE(got.shape == wanted.shape);
  for (std::size_t i = 0; i < got.pixels.size(); ++i) {
    INFO("value ", i);
    REQUIRE(std::abs(got.pixels[i] - wanted.pixels[i]) <= tolerance);
  }
}

TEST_SUITE("picture") {
  TEST_CASE("JPEG is read, baseline and progressive, grey and colour, also stored as RGB") {
    for (const bool progressive : {false, true})
      for (const std::int64_t channels : {1, 3}) {
        const Image image = gradient(13, 21, channels);
        check_near(decode(handmade_jpeg(image, {.progressive = progressive})), image, 3);
      }
    check_near(decode(handmade_jpeg(gradient(9, 8, 3), {.stored = JCS_RGB})), gradient(9, 8, 3), 2);
  }

  TEST_CASE("CMYK becomes the colour that the inks leave of white, stored either way round") {
    Image inks({8, 8, 4});
    for (std::size_t i = 0; i < inks.pixels.size(); i += 4) {
      inks.pixels[i] = 255;      // as Adobe stores it: no cyan,
      inks.pixels[i + 1] = 100;  // much magenta,
      inks.pixels[i + 2] = 0;    // all yellow,
      inks.pixels[i + 3] = 200;  // little key
    }
    Image colour({8, 8, 3});
    for (std::size_t i = 0; i < colour.pixels.size(); i += 3) {
      colour.pixels[i] = 200;
      colour.pixels[i + 1] = 78;  // 100 * 200 / 255
    }
    check_near(decode(handmade_jpeg(inks, {.stored = JCS_CMYK})), colour, 3);
    check_near(decode(handmade_jpeg(inks, {.stored = JCS_YCCK})), colour, 3);
    for (std::uint8_t& ink : inks.pixels) ink = static_cast<std::uint8_t>(255 - ink);
    check_near(decode(handmade_jpeg(inks, {.stored = JCS_CMYK, .adobe = false})), colour, 3);
  }

  TEST_CASE("a file is what its first bytes say, in 8 and in 16 bits") {
    TemporaryDirectory directory;
    const Image image = gradient(8, 8, 1);
    const Path jpeg = directory.write("a.png", handmade_jpeg(image));
    const Path png = directory / "b.jpg";
    write_png(png, image);
    check_near(read_picture(jpeg), image, 2);
    CHECK(read_picture(png).pixels == image.pixels);
    CHECK(read_picture<std::uint16_t>(png).pixels == to_16_bits(image).pixels);
    CHECK(read_picture<std::uint16_t>(jpeg).pixels == to_16_bits(read_picture(jpeg)).pixels);
    expect_error(ErrorKind::data, {"case", "neither PNG nor JPEG", "47 49 46 38"}, [] { decode("GIF89a.."); });
    expect_error(ErrorKind::data, {"case", "empty"}, [] { decode(""); });
    expect_error(ErrorKind::data, {"starts with the bytes ff d8"}, [] { decode("\xFF\xD8"); });
  }

  TEST_CASE("all eight orientations of Exif turn a picture upright, in JPEG and in PNG, either byte order") {
    // Seen: 1 2 3 over 4 5 6. Stored: as the orientation has it.
    const Pixels seen = {1, 2, 3, 4, 5, 6};
    struct Case {
      char orientation;
      std::uint32_t height, width;
      Pixels stored;
    };
    const std::vector<Case> cases = {{1, 2, 3, {1, 2, 3, 4, 5, 6}}, {2, 2, 3, {3, 2, 1, 6, 5, 4}},
                                     {3, 2, 3, {6, 5, 4, 3, 2, 1}}, {4, 2, 3, {4, 5, 6, 1, 2, 3}},
                                     {5, 3, 2, {1, 4, 2, 5, 3, 6}}, {6, 3, 2, {3, 6, 2, 5, 1, 4}},
                                     {7, 3, 2, {6, 3, 5, 2, 4, 1}}, {8, 3, 2, {4, 1, 5, 2, 6, 3}}};
    for (const Case& c : cases) {
      INFO(int{c.orientation});
      const bool big = c.orientation % 2 == 0;
      const std::string exif = exif_block(c.orientation, big);
      CHECK(static_cast<int>(orientation_of(exif)) == c.orientation);
      std::string rows;
      Image blocks({8 * c.height, 8 * c.width, 1}), seen_blocks({16, 24, 1});  // a JPEG keeps blocks of 8x8 apart
      for (std::uint32_t y = 0; y < c.height; ++y) {
        rows += '\0';
        for (std::uint32_t x = 0; x < c.width; ++x) rows += static_cast<char>(c.stored[y * c.width + x]);
      }
      const std::string chunk = png_chunk("eXIf", exif);
      for (const HandmadePng& png : {HandmadePng{c.width, c.height, 8, 0, rows, chunk},
                                     HandmadePng{c.width, c.height, 8, 0, rows, "", 0, chunk}}) {
        const Image image = decode(handmade_png(png));
        CHECK(image.shape == ImageShape{2, 3, 1});
        CHECK(image.pixels == seen);
      }
      for (std::size_t i = 0; i < blocks.pixels.size(); ++i)
        blocks.pixels[i] =
            static_cast<std::uint8_t>(40 * c.stored[i / (64 * c.width) * c.width + i % (8 * c.width) / 8]);
      for (std::size_t i = 0; i < seen_blocks.pixels.size(); ++i)
        seen_blocks.pixels[i] = static_cast<std::uint8_t>(40 * seen[i / (64 * 3) * 3 + i % 24 / 8]);
      check_near(decode(handmade_jpeg(blocks, {.exif = exif})), seen_blocks, 2);
    }
    Image colour({1, 2, 3});
    colour.pixels = {1, 2, 3, 4, 5, 6};
    CHECK(upright(colour, Orientation::top_right).pixels == Pixels{4, 5, 6, 1, 2, 3});
  }

  TEST_CASE("Exif that makes no sense leaves the picture as it is stored, and is never read beyond its end") {
    const std::string good = exif_block(6);
    for (std::size_t size = 0; size < good.size(); ++size) {
      // From the value's last byte on nothing is missing.
      const Orientation found = orientation_of(good.substr(0, size));
      CHECK(found == (size < 20 ? Orientation::top_left : Orientation::right_top));
    }
    const auto changed = [&](std::size_t at, const std::string& bytes) {
      std::string block = good;
      block.replace(at, bytes.size(), bytes);
      return orientation_of(block);
    };
    CHECK(changed(0, "XX") == Orientation::top_left);
    CHECK(changed(2, "\0\x2B"s) == Orientation::top_left);
    CHECK(changed(4, "\xFF\xFF\xFF\xFF") == Orientation::top_left);  // the directory far outside
    CHECK(changed(8, "\xFF\xFF") == Orientation::right_top);         // says it has 65535 entries; the first is there
    CHECK(changed(8, "\xFF\xFF\0\0"s) == Orientation::top_left);
    CHECK(changed(12, "\0\x04"s) == Orientation::top_left);  // another type
    CHECK(changed(14, "\0\0\0\x02"s) == Orientation::top_left);
    CHECK(changed(18, "\0\x09"s) == Orientation::top_left);
    CHECK(changed(18, "\0\0"s) == Orientation::top_left);
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 2000; ++round) {
      std::string block = good;
      for (char& byte : block)
        if (random() % 8 == 0) byte = static_cast<char>(random());
      CHECK_NOTHROW(orientation_of(block));
    }
  }

  TEST_CASE("of markers that could hold Exif the first that does is taken, and odd lengths are damage") {
    const auto marker = [](const std::string& data) {
      return "\xFF\xE1"s + static_cast<char>((data.size() + 2) >> 8) + static_cast<char>(data.size() + 2) + data;
    };
    const Image image = gradient(8, 16, 1);
    const std::string good = handmade_jpeg(image), side = marker("Exif\0\0"s + exif_block(6));
    const auto with = [&](const std::string& markers) { return good.substr(0, 2) + markers + good.substr(2); };
    check_near(decode(with(marker("") + marker("Exif\0\0"s) + marker("http://ns.adobe.com/xap/1.0/\0<x/>"s))), image,
               3);
    CHECK(decode(with(marker("") + side)).shape == ImageShape{16, 8, 1});
    CHECK(decode(with(side + marker("Exif\0\0"s + exif_block(1)))).shape == ImageShape{16, 8, 1});
    CHECK(decode(with(marker("Exif\0\0"s + exif_block(1)) + side)).shape == image.shape);
    for (const std::string& length : {"\0\0"s, "\0\1"s, "\xFF\xFF"s})
      expect_error(ErrorKind::data, {"not a readable JPEG"}, [&] { decode(with("\xFF\xE1" + length)); });
    expect_error(ErrorKind::data, {"not a readable JPEG"}, [&] { decode("\xFF\xD8\xFF\xE1"s); });
  }

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which need addresses without end
  TEST_CASE("a JPEG for which there is no memory is no bad file") {
    // 36 MiB of pixels, 72 MiB of coefficients: more than any thread's heap has set aside (64 MiB).
    const std::string file = handmade_jpeg(Image({6144, 6144, 1}, 99), {.progressive = true});
    malloc_trim(0);  // nor is there as much left of what was freed
    const AddressLimit limit(std::size_t{64} << 20);
    expect_error(ErrorKind::memory, {"case", "no memory for reading a JPEG"}, [&] { decode(file); });
  }
#endif

  TEST_CASE("a JPEG cut off anywhere is refused, naming the file") {
    for (const bool progressive : {false, true}) {
      const std::string good = handmade_jpeg(gradient(24, 24, 3), {.progressive = progressive});
      for (std::size_t size = 3; size < good.size(); ++size)
        expect_error(ErrorKind::data, {"case", "not a readable JPEG"}, [&] { decode(good.substr(0, size)); });
    }
  }

  TEST_CASE("JPEGs above the limits and impossible ones are refused before memory is taken") {
    const std::string good = handmade_jpeg(gradient(5, 6, 1));
    CHECK_NOTHROW(decode(good, {.max_side = 6, .max_pixels = 30}));
    expect_error(ErrorKind::data, {"case", "6x5", "above the limit (5 a side"}, [&] { decode(good, {.max_side = 5}); });
    expect_error(ErrorKind::data, {"6x5", "29 in all"}, [&] { decode(good, {.max_pixels = 29}); });
    const auto resized = [&](const std::string& size) {
      std::string file = good;
      file.replace(file.find("\xFF\xC0"s) + 5, 4, size);  // height, width
      return file;
    };
    expect_error(ErrorKind::data, {"65500x65500", "16384 a side"}, [&] { decode(resized("\xFF\xDC\xFF\xDC")); });
    expect_error(ErrorKind::data, {"8192x8192 pixels cannot come from"}, [&] { decode(resized("\x20\x00\x20\x00"s)); });
    expect_error(ErrorKind::data, {"not a readable JPEG"}, [&] { decode(resized("\x40\x00\x00\x10"s)); });  // too short
    expect_error(ErrorKind::data, {"not a readable JPEG"}, [&] { decode(resized(std::string(4, '\0'))); });
  }

  TEST_CASE("an arithmetic code, of which a flat block takes less than a bit, is read") {
    const Image flat({2048, 2048, 1}, 77);
    const std::string file = handmade_jpeg(flat, {.arithmetic = true});
    CHECK(file.size() < flat.pixels.size() / 1024);  // fewer bytes than the blocks of a Huffman code could have
    check_near(decode(file), flat, 1);
  }

  TEST_CASE("a progressive JPEG of more scans than the limit is refused") {
    const std::string good = handmade_jpeg(gradient(8, 8, 1), {.progressive = true});
    // The last scan, again and again. It begins with its tables.
    const std::size_t scan = good.rfind("\xFF\xC4"s), end = good.size() - 2;
    std::string bomb = good.substr(0, end);
    for (int i = 0; i < 200; ++i) bomb += good.substr(scan, end - scan);
    expect_error(ErrorKind::data, {"case", "more than 100 scans"}, [&] { decode(bomb + "\xFF\xD9"); });
  }

  TEST_CASE("random damage to a JPEG never does worse than an error") {
    std::mt19937_64 random(test_seed());
    for (const bool progressive : {false, true}) {
      const std::string good =
          handmade_jpeg(gradient(17, 19, 3), {.progressive = progressive, .exif = exif_block(6, false)});
      for (int round = 0; round < 300; ++round) {
        std::string bad = good;
        for (std::uint64_t flips = 1 + random() % 3; flips > 0; --flips)
          bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
        try {
          const Image image = decode(bad, {.max_side = 4096});
          CHECK(image.pixels.size() == static_cast<std::size_t>(image.shape.count()));
        } catch (const Error& error) {
          CHECK(error.kind() == ErrorKind::data);
        }
      }
    }
  }
}

}  // namespace
}  // namespace gesso
