// The tokenizer, codes files, and the ways of pictures through them.
#include <doctest/doctest.h>
#include <xxhash.h>

#include <fstream>
#include <map>
#include <random>

#include "ops/conv_algorithm.h"
#include "tests/expect_error.h"
#include "tests/pattern_dataset.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/codes_file.h"
#include "train/picture.h"
#include "train/picture_output.h"
#include "train/tokenizer.h"
#include "train/transcode.h"
#include "train/vqvae_task.h"

namespace gesso {
namespace {

using models::ImagePadding;
using models::VqvaeOptions;

VqvaeOptions tiny_options(std::int64_t channels = 3, ImagePadding padding = ImagePadding::none) {
  VqvaeOptions options{.height = 16,
                       .width = 16,
                       .channels = channels,
                       .hidden = 32,
                       .residual_hidden = 32,
                       .residual_blocks = 1,
                       .padding = padding};
  options.quantizer = {.codes = 37, .width = 4};
  return options;
}

// A task whose codebook fits its untrained encoder, so that many codes occur.
std::unique_ptr<VqvaeTask> tiny_task(const VqvaeOptions& options, std::uint64_t seed = 3) {
  Device& cpu = device(DeviceKind::cpu);
  auto task = std::make_unique<VqvaeTask>(VqvaeTaskOptions{.model = options, .seed = seed}, cpu);
  std::mt19937_64 random(seed);
  const Shape shape{4, 32, 32, options.channels};
  std::vector<std::uint8_t> noise(static_cast<std::size_t>(shape.count()));
  for (std::uint8_t& value : noise) value = static_cast<std::uint8_t>(random());
  const nn::StepState state(cpu);
  nn::StateUpdates unused;
  task->start({.device = cpu, .state = state, .updates = unused},
              Tensor::from_host(std::span<const std::uint8_t>(noise), shape, cpu), /*at_once=*/shape[0]);
  return task;
}

// Noise with soft large forms, so that codes differ everywhere.
template <class T>
BasicImage<T> test_picture(const ImageShape& shape, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  BasicImage<T> picture(shape);
  for (std::size_t i = 0; i < picture.pixels.size(); ++i) {
    const double form = 0.5 + 0.4 * std::sin(static_cast<double>(i) * 0.01);
    const double noise = static_cast<double>(random() >> 11) * 0x1p-53 - 0.5;
    picture.pixels[i] = static_cast<T>(std::clamp(form + 0.3 * noise, 0.0, 1.0) * BasicImage<T>::kWhite);
  }
  return picture;
}

template <class T>
std::vector<BasicImage<T>> through(const Tokenizer& tokenizer, const BasicImage<T>& picture) {
  const PictureSize size{picture.shape.height, picture.shape.width};
  return tokenizer.decode<T>(tokenizer.encode(std::span(&picture, 1)), std::span(&size, 1));
}

std::map<std::string, std::string> files_in(const Path& folder) {
  std::map<std::string, std::string> files;
  for (const std::string& name : list_directory(folder)) files[name] = read_text_file(folder / name, 1 << 24);
  return files;
}

// The bytes that the header says, from parameters by hand.
std::string hash_by_hand(const nn::ParamStore& store) {
  std::string all;
  for (const nn::Param& param : store.params()) {
    const std::string& name = param.name();
    if (name.substr(0, 7) != "encoder" && name.substr(0, 7) != "decoder" && name != "quantizer.codebook") continue;
    const std::vector<float> values = param.tensor().to_host<float>();
    all += name + '\0' + param.spec().shape.text() + '\0';
    all.append(reinterpret_cast<const char*>(values.data()), values.size() * 4);
  }
  const XXH128_hash_t hash = XXH3_128bits(all.data(), all.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

TEST_SUITE("codes") {
  TEST_CASE("the tokenizer's hash is that of its weights: any of them changes it, counts and statistics do not") {
    const auto task = tiny_task(tiny_options());
    const nn::ParamStore& store = task->store();
    const std::string hash = tokenizer_hash(store);
    CHECK(hash == hash_by_hand(store));
    CHECK(hash == tokenizer_hash(tiny_task(tiny_options())->store()));
    CHECK(hash != tokenizer_hash(tiny_task(tiny_options(), 4)->store()));
    for (const nn::Param& param : store.params()) {
      INFO(param.name());
      float& value = param.tensor().data<float>().back();
      const float before = std::exchange(value, value + 0.5f);
      const bool counts = param.name().find("ema_") != std::string::npos || param.name() == "data.pixels";
      CHECK((tokenizer_hash(store) == hash) == counts);
      value = before;
    }
  }

  TEST_CASE("a picture in tiles of any size has the codes and the pixels of the whole picture, bit for bit") {
    for (const ImagePadding padding : {ImagePadding::none, ImagePadding::edge, ImagePadding::zero}) {
      const auto task = tiny_task(tiny_options(3, padding));
      const Image picture = test_picture<std::uint8_t>({701, 999, 3}, test_seed());
      const PictureSize size{701, 999};
      const Tokenizer whole(task->vqvae(), task->store(), 4096);
      const Codes codes = whole.encode(std::span(&picture, 1));
      CHECK(codes.height == 176);
      CHECK(codes.width == 250);
      CHECK(std::ranges::max(codes.values) > 20);  // many codes occur
      const std::vector<Image> made = whole.decode<std::uint8_t>(codes, std::span(&size, 1));
      REQUIRE(made[0].shape == picture.shape);
      for (const std::int64_t tile : {44, 100, 512}) {
        INFO(tile);
        const Tokenizer tiled(task->vqvae(), task->store(), tile);
        CHECK(tiled.encode(std::span(&picture, 1)).values == codes.values);
        CHECK(tiled.decode<std::uint8_t>(codes, std::span(&size, 1))[0].pixels == made[0].pixels);
      }
    }
  }

  TEST_CASE("so has a picture of 16 bits, of a model of deeper reach, and one picture among many") {
    VqvaeOptions options = tiny_options(2);
    options.downsamples = 3;
    options.residual_blocks = 3;
    const auto task = tiny_task(options);
    const Tokenizer whole(task->vqvae(), task->store(), 4096), tiled(task->vqvae(), task->store(), 8);
    std::vector<Image16> pictures;
    for (std::uint64_t i = 0; i < 5; ++i) pictures.push_back(test_picture<std::uint16_t>({93, 130, 2}, i));
    const std::vector<PictureSize> sizes(5, {93, 130});
    const Codes codes = whole.encode(std::span<const Image16>(pictures));
    CHECK(tiled.encode(std::span<const Image16>(pictures)).values == codes.values);
    const std::vector<Image16> made = whole.decode<std::uint16_t>(codes, sizes);
    const std::vector<Image16> again = tiled.decode<std::uint16_t>(codes, sizes);
    for (std::size_t i = 0; i < 5; ++i) {
      CHECK(made[i].pixels == again[i].pixels);
      CHECK(through(tiled, pictures[i])[0].pixels == made[i].pixels);
    }
  }

  TEST_CASE("what a tokenizer makes of images is the model's own reconstruction") {
    for (const ImagePadding padding : {ImagePadding::edge, ImagePadding::zero}) {
      const auto task = tiny_task(tiny_options(3, padding));
      const Image picture = test_picture<std::uint8_t>({15, 18, 3}, 7);
      Device& cpu = device(DeviceKind::cpu);
      const nn::StepState state(cpu);
      nn::StateUpdates unused;
      const ConvAlgorithmScope direct(ConvAlgorithm::direct);
      const Tensor images = Tensor::from_host(std::span<const std::uint8_t>(picture.pixels), {1, 15, 18, 3}, cpu);
      const std::vector<Image> want = task->reconstruct({.device = cpu, .state = state, .updates = unused}, images);
      CHECK(through(Tokenizer(task->vqvae(), task->store()), picture)[0].pixels == want[0].pixels);
    }
  }

  TEST_CASE("a codes file holds codes, labels and where they come from") {
    const TemporaryDirectory folder;
    const auto task = tiny_task(tiny_options());
    const Tokenizer tokenizer(task->vqvae(), task->store());
    const PatternDataset data({16, 16, 3}, 9);
    encode_pictures(tokenizer, {.data = &data, .count = 7}, folder / "codes", "1.2.3");
    const SafetensorsFile file(folder / "codes");
    CHECK(file.metadata() == SafetensorsMetadata{{"gesso.format", "codes"},
                                                 {"gesso.format_version", "1"},
                                                 {"gesso.tokenizer", tokenizer_hash(task->store())},
                                                 {"gesso.codebook", "37"},
                                                 {"gesso.images", "7"},
                                                 {"gesso.image_shape", "16x16x3"},
                                                 {"gesso.bits", "8"},
                                                 {"gesso.version", "1.2.3"}});
    CHECK(file.entries().size() == 2);
    CHECK(file.at("codes").spec() == Spec{{7, 4, 4}, DType::i32});
    CHECK(file.at("labels").spec() == Spec{{7}, DType::i32});
    const auto* labels = reinterpret_cast<const std::int32_t*>(file.at("labels").data.data());
    CHECK(std::vector<std::int32_t>(labels, labels + 7) == std::vector<std::int32_t>{0, 1, 0, 1, 0, 1, 0});
    const Image third = data.image(3);
    const Codes codes = tokenizer.encode(std::span(&third, 1));
    CHECK(std::memcmp(file.at("codes").data.data() + 3 * 16 * 4, codes.values.data(), 16 * 4) == 0);
    const PatternDataset without({16, 16, 3}, 2, DType::u8, false);
    encode_pictures(tokenizer, {.data = &without}, folder / "codes", "1.2.3");
    CHECK(SafetensorsFile(folder / "codes").entries().size() == 1);
  }

  TEST_CASE("encoding and then decoding gives the very files that reconstructing gives, for 8 bits and 16") {
    const TemporaryDirectory folder;
    for (const DType dtype : {DType::u8, DType::u16}) {
      const auto task = tiny_task(tiny_options(3, ImagePadding::edge));
      const Tokenizer tokenizer(task->vqvae(), task->store());
      const PatternDataset data({15, 18, 3}, 11, dtype);
      const PictureSource source{.data = &data};
      const std::string name(name_of(dtype));
      encode_pictures(tokenizer, source, folder / "codes", "");
      CHECK(decode_pictures(tokenizer, folder / "codes", folder / ("decoded-" + name), {}).images == 11);
      reconstruct_pictures(tokenizer, source, folder / ("whole-" + name), {});
      const auto decoded = files_in(folder / ("decoded-" + name)), whole = files_in(folder / ("whole-" + name));
      CHECK(decoded.size() == 11);
      CHECK(decoded == whole);
      CHECK(whole.contains("000010.png"));
    }
    const Image16 wide = read_picture<std::uint16_t>(folder / "whole-u16" / "000003.png");
    CHECK(std::ranges::any_of(wide.pixels, [](std::uint16_t value) { return value % 257 != 0; }));  // 16 bits indeed
    const Image narrow = read_picture<std::uint8_t>(folder / "whole-u8" / "000003.png");
    double difference = 0;  // the data differ by their rounding alone
    for (std::size_t i = 0; i < narrow.pixels.size(); ++i)
      difference = std::max(difference, std::abs(narrow.pixels[i] - wide.pixels[i] / 257.0));
    CHECK(difference < 8);
  }

  TEST_CASE("pictures of several sizes become files of their names, through codes too where they share a grid") {
    const TemporaryDirectory folder;
    std::filesystem::create_directory(folder / "more");
    const auto task = tiny_task(tiny_options());
    const Tokenizer tokenizer(task->vqvae(), task->store());
    write_png(folder / "cat.png", test_picture<std::uint8_t>({33, 30, 3}, 1));
    write_png(folder / "more" / "cat.png", test_picture<std::uint8_t>({36, 29, 1}, 2));
    write_png(folder / "dog.png", test_picture<std::uint8_t>({50, 7, 3}, 3));
    const PictureSource two{.files = {folder / "cat.png", folder / "more" / "cat.png"}};
    encode_pictures(tokenizer, two, folder / "codes", "");
    CHECK(SafetensorsFile(folder / "codes").metadata().at("gesso.names") == "cat/cat-2");
    CHECK(SafetensorsFile(folder / "codes").at("sizes").spec() == Spec{{2, 2}, DType::i32});
    decode_pictures(tokenizer, folder / "codes", folder / "decoded", {});
    PictureSource three = two;
    three.files.push_back(folder / "dog.png");
    CHECK(reconstruct_pictures(tokenizer, three, folder / "made", {}).images == 3);
    CHECK(list_directory(folder / "made") == std::vector<std::string>{"cat-2.png", "cat.png", "dog.png"});
    CHECK(read_picture(folder / "made" / "cat-2.png").shape == ImageShape{36, 29, 3});
    CHECK(read_picture(folder / "made" / "dog.png").shape == ImageShape{50, 7, 3});
    for (const char* name : {"cat.png", "cat-2.png"})
      CHECK(read_text_file(folder / "made" / name, 1 << 20) == read_text_file(folder / "decoded" / name, 1 << 20));

    expect_error(ErrorKind::usage, {"dog.png", "13x2", "9x8", "encode them apart", "--data FOLDER"},
                 [&] { encode_pictures(tokenizer, three, folder / "none", ""); });
    expect_error(ErrorKind::usage, {"33x30x3", "36x29x3", "--out FOLDER"},
                 [&] { reconstruct_pictures(tokenizer, three, folder / "none.png", {}); });
    expect_error(ErrorKind::io, {"exists already"},
                 [&] { reconstruct_pictures(tokenizer, three, folder / "made", {}); });
    CHECK(list_directory(folder.path()) ==
          std::vector<std::string>{"cat.png", "codes", "decoded", "dog.png", "made", "more"});
  }

  TEST_CASE("a picture whose padded shape is above the limits is read again, and larger pictures are not") {
    const TemporaryDirectory folder;
    const Path path = folder / "codes";
    const TokenizerFacts facts{.hash = "h", .codebook = 2, .factor = 64, .channels = 3};
    const auto write = [&](std::int32_t height, std::int32_t width) {
      CodesInfo info;
      info.tokenizer = "h";
      info.codebook = 2;
      info.images = 1;
      info.height = 65;
      info.width = 256;
      info.image = {65 * 64, 256 * 64, 3};
      info.names = {"a"};
      CodesWriter writer(path, info);
      writer.add({.count = 1, .height = 65, .width = 256, .values = std::vector<std::int32_t>(65 * 256)});
      const std::vector<std::int32_t> size = {height, width};
      writer.finish({}, size);
    };
    write(4097, 16379);
    const CodesFile file(path);
    file.check_belongs(facts);
    CHECK(file.size(0) == PictureSize{4097, 16379});
    write(4160, 16384);
    expect_error(ErrorKind::data, {"16384x4160", "above the limit"}, [&] { CodesFile large(path); });
  }

  TEST_CASE("more than a codes file may hold is refused before a file is begun") {
    const TemporaryDirectory folder;
    const auto begin = [&](std::int64_t images, std::int64_t side) {
      CodesInfo info;
      info.images = images;
      info.height = info.width = side;
      const CodesWriter writer(folder / "codes", info);
    };
    expect_error(ErrorKind::usage, {"4294967297 images", "--count"}, [&] { begin((std::int64_t{1} << 32) + 1, 1); });
    expect_error(ErrorKind::usage, {"2x2 codes", "68719476736 bytes"}, [&] { begin(std::int64_t{1} << 32, 2); });
    CHECK(list_directory(folder.path()).empty());
    begin(std::int64_t{1} << 20, 120);
  }

  TEST_CASE("a grid that would be too large is refused before the work, and one that fits is enlarged less") {
    const TemporaryDirectory folder;
    const auto task = tiny_task(tiny_options());
    const Tokenizer tokenizer(task->vqvae(), task->store());
    const PatternDataset small({8, 8, 3}, 1024), large({64, 64, 3}, 1024);
    reconstruct_pictures(tokenizer, {.data = &small}, folder / "grid.PNG", {});
    CHECK(read_picture(folder / "grid.PNG").shape == ImageShape{256 * (7 * 8 + 2) + 2, 8 * (7 * 8 + 2) + 2, 3});
    expect_error(ErrorKind::usage,
                 {"2048 pictures of 64x64x3", "16898x530", "take fewer pictures, or name a folder with --out FOLDER"},
                 [&] { reconstruct_pictures(tokenizer, {.data = &large}, folder / "x.png", {}); });
    PictureOutput<std::uint8_t> output(folder / "x.png", GridKind::pictures, 1024, {}, {});
    output.expect({64, 64, 3});  // half as many
    PictureOutput<std::uint8_t> one(folder / "x.png", GridKind::comparison, 1, {"photo"}, {});
    expect_error(ErrorKind::usage, {"9000x64", "in all); name a folder with --out FOLDER"}, [&] {
      one.expect({9000, 64, 3});
    });
    CHECK(list_directory(folder.path()) == std::vector<std::string>{"grid.PNG"});
  }

  TEST_CASE("names of pictures are harmless and differ") {
    const std::vector<std::string> paths = {
        "a/x.png", "b/x.jpg", "..", "", "/", "c/\x01y\x7F.png", "\xFF.png", "x-2.png", std::string(300, 'z') + ".png"};
    const std::vector<std::string> names = picture_names(paths);
    CHECK(names == std::vector<std::string>{"x", "x-2", "picture", "picture-2", "picture-3", "_y_", "picture-4",
                                            "x-2-2", std::string(192, 'z')});
    const std::vector<std::string> alike = picture_names(std::vector<std::string>(65536, "x"));  // not in n^2 steps
    CHECK(alike.back() == "x-65536");
    expect_error(ErrorKind::usage, {"65537", "65536"}, [] { picture_names(std::vector<std::string>(65537, "x")); });
  }

  TEST_CASE("what cannot be encoded or decoded is refused with what to do") {
    const auto task = tiny_task(tiny_options());
    const Tokenizer tokenizer(task->vqvae(), task->store());
    const std::vector<Image> pictures = {Image({8, 8, 3}), Image({8, 9, 3})};
    expect_error(ErrorKind::usage, {"8x8x3", "8x9x3"}, [&] { tokenizer.encode(std::span(pictures)); });
    const Image grey({8, 8, 1}), none({0, 8, 3});
    expect_error(ErrorKind::usage, {"3 channels", "8x8x1"}, [&] { tokenizer.encode(std::span(&grey, 1)); });
    expect_error(ErrorKind::usage, {"at least one pixel", "0x8x3"}, [&] { tokenizer.encode(std::span(&none, 1)); });
    const Codes codes{.count = 1, .height = 2, .width = 2, .values = {0, 1, 2, 3}};
    const PictureSize large{9, 8};
    expect_error(ErrorKind::usage, {"2x2 codes", "9x8"},
                 [&] { tokenizer.decode<std::uint8_t>(codes, std::span(&large, 1)); });
    expect_error(ErrorKind::usage, {"4 codes for 0 pictures"}, [&] { tokenizer.decode<std::uint8_t>(codes, {}); });
    const PatternDataset data({16, 16, 3}, 0);
    expect_error(ErrorKind::usage, {"no picture to encode"},
                 [&] { encode_pictures(tokenizer, {.data = &data}, "nowhere/codes", ""); });
    expect_error(ErrorKind::usage, {"no picture to reconstruct"},
                 [&] { reconstruct_pictures(tokenizer, {.data = &data}, "nowhere/x.png", {}); });
    const PatternDataset many({16, 16, 3}, 1025);
    expect_error(ErrorKind::usage, {"1025 pictures", "1024", "--out FOLDER"},
                 [&] { reconstruct_pictures(tokenizer, {.data = &many}, "nowhere/x.png", {}); });
  }
}

}  // namespace
}  // namespace gesso
