#include "train/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "train/json_text.h"
#include "train/text.h"

namespace gesso {
namespace {

// Follows the one form that a header has: {"name": {"dtype": "F32", "shape": [2,3], "data_offsets": [0,24]}, ...}, and
// beside the tensors at most one "__metadata__" of strings. Anything else is refused where it stands, so nothing can
// nest deeper.
class HeaderHandler final : public JsonHandler {
 public:
  HeaderHandler(std::string_view source, SafetensorsHeader& header) : source_(source), header_(header) {}

  bool start_object(std::size_t) override {
    if (place_ == Place::outside) return enter(Place::tensors);
    if (place_ != Place::tensors) refuse("an object");
    if (name_ == kSafetensorsMetadata) {
      if (seen_metadata_) fail(ErrorKind::data, "{}: header: {} is there twice", source_, kSafetensorsMetadata);
      seen_metadata_ = true;
      return enter(Place::metadata);
    }
    tensor_ = {};
    tensor_.name = name_;
    has_dtype_ = has_shape_ = has_offsets_ = false;
    return enter(Place::tensor);
  }
  bool end_object() override {
    if (place_ == Place::tensor) finish_tensor();
    return enter(place_ == Place::tensors ? Place::outside : Place::tensors);
  }
  bool key(std::string& key) override {
    (place_ == Place::tensors ? name_ : field_).swap(key);
    if (place_ == Place::tensor && field_ != "dtype" && field_ != "shape" && field_ != "data_offsets")
      fail(ErrorKind::data, "{}: tensor {}: unknown field {}; known are dtype, shape and data_offsets", source_,
           in_quotes(name_), in_quotes(field_));
    return true;
  }
  bool string(std::string& value) override {
    if (place_ == Place::metadata) {
      if (!header_.metadata.emplace(field_, value).second)
        fail(ErrorKind::data, "{}: header: metadata has the key {} twice", source_, in_quotes(field_));
      return true;
    }
    if (place_ != Place::tensor || field_ != "dtype") refuse("text");
    once(has_dtype_);
    tensor_.dtype = parse_dtype(value);
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ != Place::tensor || field_ == "dtype") refuse("a list");
    once(field_ == "shape" ? has_shape_ : has_offsets_);
    offsets_ = 0;
    return enter(field_ == "shape" ? Place::shape : Place::offsets);
  }
  bool end_array() override {
    if (place_ == Place::offsets && offsets_ != 2) refuse(offsets_ == 0 ? "an empty list" : "one number");
    return enter(Place::tensor);
  }
  bool number_unsigned(std::uint64_t value) override {
    if (place_ == Place::shape) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        fail(ErrorKind::data, "{}: tensor {}: dimension {} overflows 63 bits", source_, in_quotes(name_), value);
      tensor_.shape.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::offsets) {
      if (offsets_ == 2) refuse("a third number");
      (offsets_++ == 0 ? tensor_.begin : tensor_.end) = value;
    } else {
      refuse("a number");
    }
    return true;
  }
  bool number_integer(std::int64_t value) override { refuse(fmt::format("the negative number {}", value)); }
  bool number_float(double, const std::string& text) override { refuse("the number " + in_quotes(text)); }
  bool boolean(bool) override { refuse("a truth value"); }
  bool null() override { refuse("null"); }

 private:
  enum class Place : std::uint8_t { outside, tensors, metadata, tensor, shape, offsets };

  bool enter(Place place) {
    place_ = place;
    return true;
  }
  [[noreturn]] void refuse(std::string_view given) const {
    switch (place_) {
      case Place::outside:
        fail(ErrorKind::data, "{}: header: expected a JSON object, got {}", source_, given);
      case Place::tensors:
        fail(ErrorKind::data, "{}: header: {}: expected an object, got {}", source_, in_quotes(name_), given);
      case Place::metadata:
        fail(ErrorKind::data, "{}: header: metadata {}: expected text, got {}", source_, in_quotes(field_), given);
      default:
        break;
    }
    const std::string_view expected = field_ == "dtype"   ? "text such as \"F32\""
                                      : field_ == "shape" ? "a list of whole numbers from 0"
                                                          : "two whole numbers from 0, begin and end";
    fail(ErrorKind::data, "{}: tensor {}: {}: expected {}, got {}", source_, in_quotes(name_), field_, expected, given);
  }
  void once(bool& seen) const {
    if (seen) fail(ErrorKind::data, "{}: tensor {}: {} is there twice", source_, in_quotes(name_), field_);
    seen = true;
  }
  SafetensorsDType parse_dtype(std::string_view text) const {
    for (auto i = 0; i <= static_cast<int>(SafetensorsDType::u64); ++i)
      if (const auto dtype = static_cast<SafetensorsDType>(i); name_of(dtype) == text) return dtype;
    fail(ErrorKind::data, "{}: tensor {}: dtype {} is unknown", source_, in_quotes(name_), in_quotes(text));
  }
  void finish_tensor() {
    for (const auto& [seen, field] :
         {std::pair{has_dtype_, "dtype"}, {has_shape_, "shape"}, {has_offsets_, "data_offsets"}})
      if (!seen) fail(ErrorKind::data, "{}: tensor {}: {} is missing", source_, in_quotes(name_), field);
    header_.tensors.push_back(std::move(tensor_));
  }

  std::string source_;
  SafetensorsHeader& header_;
  Place place_ = Place::outside;
  bool seen_metadata_ = false, has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  int offsets_ = 0;           // numbers seen in data_offsets
  std::string name_, field_;  // of the tensor, and inside it or inside the metadata
  SafetensorsHeader::Tensor tensor_;
};

void check_names(SafetensorsHeader& header, std::string_view source) {
  header.by_name.resize(header.tensors.size());
  std::iota(header.by_name.begin(), header.by_name.end(), std::size_t{0});
  const auto name = [&](std::size_t i) -> const std::string& { return header.tensors[i].name; };
  std::ranges::sort(header.by_name, {}, name);
  const auto twice = std::ranges::adjacent_find(header.by_name, {}, name);
  if (twice != header.by_name.end())
    fail(ErrorKind::data, "{}: tensor {} is there twice", source, in_quotes(name(*twice)));
}

// One tensor after the other, from 0, without gaps and overlaps: a small file cannot name one region many times.
void check_tensor(const SafetensorsHeader::Tensor& tensor, std::uint64_t expected_begin, std::string_view source) {
  const auto refuse = [&](const std::string& why) {
    fail(ErrorKind::data, "{}: tensor {}: {}", source, in_quotes(tensor.name), why);
  };
  if (tensor.end < tensor.begin)
    refuse(fmt::format("data_offsets [{},{}] end before they begin", tensor.begin, tensor.end));
  if (tensor.begin != expected_begin)
    refuse(fmt::format("data_offsets [{},{}] must begin at {}, where the data before end", tensor.begin, tensor.end,
                       expected_begin));
  std::uint64_t bytes = 0;
  const SizeProblem problem = safetensors_bytes(tensor.dtype, tensor.shape, bytes);
  if (problem == SizeProblem::overflow) refuse("the size of its shape overflows 64 bits");
  if (problem == SizeProblem::partial_byte) refuse("its elements are no whole number of bytes");
  if (tensor.end - tensor.begin != bytes)
    refuse(fmt::format("{} bytes of data, but {} of {} needs {}", tensor.end - tensor.begin, shape_text(tensor.shape),
                       name_of(tensor.dtype), bytes));
}

}  // namespace

std::string shape_text(std::span<const std::int64_t> shape) {
  constexpr std::size_t kShown = 16;
  const auto shown = shape.first(std::min(kShown, shape.size()));
  if (shown.size() == shape.size()) return fmt::format("[{}]", fmt::join(shown, ","));
  return fmt::format("[{},...] of {} dimensions", fmt::join(shown, ","), shape.size());
}

SizeProblem safetensors_bytes(SafetensorsDType dtype, std::span<const std::int64_t> shape, std::uint64_t& bytes) {
  std::uint64_t bits = 1;
  for (std::int64_t dim : shape)
    if (__builtin_mul_overflow(bits, static_cast<std::uint64_t>(dim), &bits)) return SizeProblem::overflow;
  if (__builtin_mul_overflow(bits, bits_of(dtype), &bits)) return SizeProblem::overflow;
  bytes = bits / 8;
  return bits % 8 == 0 ? SizeProblem::none : SizeProblem::partial_byte;
}

SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes, std::string_view source) {
  SafetensorsHeader header;
  HeaderHandler handler(source, header);
  parse_json(json, fmt::format("{}: header", source), ErrorKind::data, JsonComments::refused, handler);
  std::ranges::sort(header.tensors, {}, [](const auto& t) { return std::tie(t.begin, t.end, t.name); });
  check_names(header, source);
  std::uint64_t end = 0;
  for (const SafetensorsHeader::Tensor& tensor : header.tensors) {
    check_tensor(tensor, end, source);
    end = tensor.end;
  }
  if (end != data_bytes)
    fail(ErrorKind::data, "{}: the tensors need {} bytes of data but the file holds {} (cut off, or more appended?)",
         source, end, data_bytes);
  return header;
}

}  // namespace gesso
