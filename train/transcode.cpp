#include "train/transcode.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "train/picture.h"
#include "train/picture_output.h"

namespace gesso {
namespace {

// Of pictures in memory at once, before and after the model.
constexpr std::int64_t kPixelsAtOnce = std::int64_t{1} << 20;

std::int64_t pictures_at_once(std::int64_t height, std::int64_t width) {
  return std::max<std::int64_t>(1, kPixelsAtOnce / (height * width));
}

// body(T{}) for the type that pixels of `dtype` have.
template <class Body>
auto with_pixel_type(DType dtype, Body&& body) {
  return dtype == DType::u16 ? body(std::uint16_t{}) : body(std::uint8_t{});
}

DType dtype_of_source(const PictureSource& source) { return source.data ? source.data->dtype() : source.dtype; }

std::int64_t count_of(const PictureSource& source) {
  if (!source.data) return std::ssize(source.files);
  return source.count == 0 ? source.data->size() : std::min(source.count, source.data->size());
}

std::vector<std::string> names_of(const PictureSource& source) {
  return source.data ? std::vector<std::string>() : picture_names(source.files);
}

// body(pictures, labels) for all pictures, in groups of one shape.
template <class T, class Body>
void for_each_group(const PictureSource& source, std::int64_t channels, Body&& body) {
  std::vector<std::int32_t> labels;
  if (!source.data) {
    for (const std::string& file : source.files) {
      const BasicImage<T> picture = with_channels(read_picture<T>(file), channels);
      body(std::span(&picture, 1), std::span<const std::int32_t>(labels));
    }
    return;
  }
  const Dataset& data = *source.data;
  const ImageShape& shape = data.image_shape();
  const std::int64_t each = pictures_at_once(shape.height, shape.width), count = count_of(source);
  for (std::int64_t begin = 0; begin < count; begin += each) {
    const auto now = static_cast<std::size_t>(std::min(each, count - begin));
    std::vector<BasicImage<T>> pictures(now, BasicImage<T>(shape));
    labels.assign(now, 0);
    for (std::size_t i = 0; i < now; ++i)
      data.read(begin + static_cast<std::int64_t>(i),
                {reinterpret_cast<std::uint8_t*>(pictures[i].pixels.data()), data.image_bytes()}, labels[i]);
    body(std::span<const BasicImage<T>>(pictures), std::span<const std::int32_t>(labels));
  }
}

template <class T>
std::vector<PictureSize> sizes_of(std::span<const BasicImage<T>> pictures) {
  std::vector<PictureSize> sizes;
  for (const BasicImage<T>& picture : pictures) sizes.push_back({picture.shape.height, picture.shape.width});
  return sizes;
}

// What the file will say, as the first pictures tell.
CodesInfo plan(const TokenizerFacts& facts, const PictureSource& source, const Codes& first,
               const std::string& version) {
  CodesInfo info{.tokenizer = facts.hash,
                 .codebook = facts.codebook,
                 .images = count_of(source),
                 .height = first.height,
                 .width = first.width,
                 .image = {first.height * facts.factor, first.width * facts.factor, facts.channels},
                 .bits = dtype_of_source(source) == DType::u16 ? 16 : 8,
                 .made_by = version,
                 .has_labels = source.data && source.data->classes() > 0,
                 .names = names_of(source)};
  if (source.data) info.image = source.data->image_shape();
  return info;
}

template <class T>
CodesInfo encode_as(const Tokenizer& tokenizer, const PictureSource& source, const Path& out,
                    const std::string& version) {
  const TokenizerFacts facts = tokenizer.facts();
  std::optional<CodesWriter> writer;
  CodesInfo info;
  std::vector<std::int32_t> all_labels, all_sizes;
  for_each_group<T>(
      source, facts.channels, [&](std::span<const BasicImage<T>> pictures, std::span<const std::int32_t> labels) {
        const Codes codes = tokenizer.encode(pictures);
        if (!writer) {
          info = plan(facts, source, codes, version);
          writer.emplace(out, info);
        }
        if (codes.height != info.height || codes.width != info.width)
          fail(
              "{}: {} has {}x{} codes and {} has {}x{}; a codes file needs pictures of one size, so encode them apart, "
              "or, by a run that was trained on a folder, those of a folder with --data FOLDER, which brings them to "
              "one size",
              out.string(), source.files[0], info.height, info.width, source.files[all_sizes.size() / 2], codes.height,
              codes.width);
        writer->add(codes);
        if (info.has_labels) all_labels.insert(all_labels.end(), labels.begin(), labels.end());
        if (source.data) return;
        all_sizes.push_back(static_cast<std::int32_t>(pictures[0].shape.height));
        all_sizes.push_back(static_cast<std::int32_t>(pictures[0].shape.width));
      });
  if (!writer) fail("{}: there is no picture to encode; name some, or a data set that has some", out.string());
  writer->finish(all_labels, all_sizes);
  return info;
}

template <class T>
PicturesWritten decode_as(const Tokenizer& tokenizer, CodesFile& file, const Path& out, const PngText& text) {
  const CodesInfo& info = file.info();
  PictureOutput<T> output(out, GridKind::pictures, info.images, info.names, text);
  const std::int64_t each = pictures_at_once(info.image.height, info.image.width);
  for (std::int64_t begin = 0; begin < info.images; begin += each) {
    const std::int64_t count = std::min(each, info.images - begin);
    std::vector<PictureSize> sizes;
    for (std::int64_t i = 0; i < count; ++i) {
      const PictureSize size = file.size(begin + i);
      output.expect({size.height, size.width, info.image.channels});
      sizes.push_back(size);
    }
    const std::vector<BasicImage<T>> pictures = tokenizer.decode<T>(file.read(begin, count), sizes);
    output.add({}, pictures);
  }
  output.finish();
  return {info.images, names_grid(out)};
}

}  // namespace

CodesInfo encode_pictures(const Tokenizer& tokenizer, const PictureSource& source, const Path& out,
                          const std::string& version) {
  return with_pixel_type(dtype_of_source(source),
                         [&]<class T>(T) { return encode_as<T>(tokenizer, source, out, version); });
}

PicturesWritten decode_pictures(const Tokenizer& tokenizer, const Path& codes, const Path& out, const PngText& text) {
  CodesFile file(codes);
  file.check_belongs(tokenizer.facts());
  file.check_codes();
  return with_pixel_type(file.info().bits == 16 ? DType::u16 : DType::u8,
                         [&]<class T>(T) { return decode_as<T>(tokenizer, file, out, text); });
}

PicturesWritten reconstruct_pictures(const Tokenizer& tokenizer, const PictureSource& source, const Path& out,
                                     const PngText& text) {
  const std::int64_t count = count_of(source);
  if (count == 0) fail("{}: there is no picture to reconstruct; name some, or a data set that has some", out.string());
  return with_pixel_type(dtype_of_source(source), [&]<class T>(T) {
    PictureOutput<T> output(out, GridKind::comparison, count, names_of(source), text);
    for_each_group<T>(source, tokenizer.facts().channels,
                      [&](std::span<const BasicImage<T>> pictures, std::span<const std::int32_t>) {
                        output.expect(pictures.front().shape);
                        const std::vector<PictureSize> sizes = sizes_of(pictures);
                        output.add(pictures, tokenizer.decode<T>(tokenizer.encode(pictures), sizes));
                      });
    output.finish();
    return PicturesWritten{count, names_grid(out)};
  });
}

}  // namespace gesso
