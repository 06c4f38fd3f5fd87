// Writing protocol buffers (protobuf.dev/programming-guides/encoding): the wire types that TensorBoard's events need.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gesso {

// A message in the making; fields stand in the order of the calls.
class ProtobufMessage {
 public:
  // Whole numbers, enumerations and truth values; what is negative takes ten bytes, as int64 does.
  ProtobufMessage& whole(std::uint32_t field, std::int64_t value);
  ProtobufMessage& real(std::uint32_t field, double value);
  ProtobufMessage& single(std::uint32_t field, float value);
  ProtobufMessage& text(std::uint32_t field, std::string_view value);  // string or bytes
  ProtobufMessage& message(std::uint32_t field, const ProtobufMessage& value) { return text(field, value.bytes_); }
  ProtobufMessage& packed(std::uint32_t field, std::span<const double> values);  // repeated double

  const std::string& bytes() const { return bytes_; }

 private:
  void tag(std::uint32_t field, std::uint32_t wire_type);
  void varint(std::uint64_t value);

  std::string bytes_;
};

// The value's bytes, the lowest first.
std::string little_endian(std::uint64_t value);
std::string little_endian(std::uint32_t value);

}  // namespace gesso
