#include "train/protobuf.h"

#include <bit>

namespace gesso {
namespace {

constexpr std::uint32_t kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5;

template <class T>
std::string bytes_of(T value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFF);
  return bytes;
}

}  // namespace

std::string little_endian(std::uint64_t value) { return bytes_of(value); }
std::string little_endian(std::uint32_t value) { return bytes_of(value); }

void ProtobufMessage::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>((value & 0x7F) | 0x80);
  bytes_ += static_cast<char>(value);
}

void ProtobufMessage::tag(std::uint32_t field, std::uint32_t wire_type) { varint((field << 3) | wire_type); }

ProtobufMessage& ProtobufMessage::whole(std::uint32_t field, std::int64_t value) {
  tag(field, kVarint);
  varint(static_cast<std::uint64_t>(value));
  return *this;
}

ProtobufMessage& ProtobufMessage::real(std::uint32_t field, double value) {
  tag(field, kFixed64);
  bytes_ += little_endian(std::bit_cast<std::uint64_t>(value));
  return *this;
}

ProtobufMessage& ProtobufMessage::single(std::uint32_t field, float value) {
  tag(field, kFixed32);
  bytes_ += little_endian(std::bit_cast<std::uint32_t>(value));
  return *this;
}

ProtobufMessage& ProtobufMessage::text(std::uint32_t field, std::string_view value) {
  tag(field, kLengthDelimited);
  varint(value.size());
  bytes_ += value;
  return *this;
}

ProtobufMessage& ProtobufMessage::packed(std::uint32_t field, std::span<const double> values) {
  tag(field, kLengthDelimited);
  varint(values.size() * sizeof(double));
  for (const double value : values) bytes_ += little_endian(std::bit_cast<std::uint64_t>(value));
  return *this;
}

}  // namespace gesso
