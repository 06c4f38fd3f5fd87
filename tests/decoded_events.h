// Reads event files with none of gesso's code: framing, checksums and the wire format, each from its definition.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gesso {

// From the polynomial 0x1EDC6F41, bit by bit.
inline std::uint32_t defined_crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFF;  // bits in the order of sending: the lowest bit of a byte is the highest power
  for (const char byte : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const bool in = ((static_cast<unsigned char>(byte) >> bit) & 1) != 0, out = (crc >> 31) != 0;
      crc <<= 1;
      if (in != out) crc ^= 0x1EDC6F41;
    }
  std::uint32_t reflected = 0;
  for (int bit = 0; bit < 32; ++bit) reflected |= ((crc >> bit) & 1) << (31 - bit);
  return ~reflected;
}
inline std::uint32_t defined_mask(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u; }

template <class T>
T read_number(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// The payloads of whole records, as TensorBoard takes them: a file that ends within a record ends before it.
struct Records {
  std::vector<std::string> payloads;
  bool torn = false;     // something less than a record follows
  bool damaged = false;  // a checksum does not fit; nothing behind it is read
};
inline Records read_records(std::string_view file) {
  Records records;
  while (!file.empty() && !records.damaged && !records.torn) {
    const std::uint64_t length = file.size() < 12 ? 0 : read_number<std::uint64_t>(file);
    if (file.size() < 12) {
      records.torn = true;
    } else if (defined_mask(defined_crc32c(file.substr(0, 8))) != read_number<std::uint32_t>(file.substr(8))) {
      records.damaged = true;
    } else if (file.size() < 16 || length > file.size() - 16) {
      records.torn = true;
    } else {
      const std::string_view payload = file.substr(12, length);
      records.damaged = defined_mask(defined_crc32c(payload)) != read_number<std::uint32_t>(file.substr(12 + length));
      if (!records.damaged) records.payloads.emplace_back(payload);
      file.remove_prefix(16 + length);
    }
  }
  return records;
}

// The fields of a message, by number: whole numbers and the bits of others, texts and messages as bytes.
struct Fields {
  std::multimap<std::uint32_t, std::uint64_t> numbers;
  std::multimap<std::uint32_t, std::string> texts;
  bool valid = true;

  explicit Fields(std::string_view bytes) {
    while (!bytes.empty() && valid) {
      const std::uint64_t tag = varint(bytes);
      const auto field = static_cast<std::uint32_t>(tag >> 3);
      const std::size_t width = (tag & 7) == 1 ? 8 : (tag & 7) == 5 ? 4 : 0;
      if ((tag & 7) == 0) {
        numbers.emplace(field, varint(bytes));
      } else if ((tag & 7) == 2) {
        const std::uint64_t length = varint(bytes);
        valid = valid && length <= bytes.size();
        if (!valid) return;
        texts.emplace(field, bytes.substr(0, length));
        bytes.remove_prefix(length);
      } else {
        valid = valid && width > 0 && bytes.size() >= width;
        if (!valid) return;
        numbers.emplace(field, width == 8 ? read_number<std::uint64_t>(bytes) : read_number<std::uint32_t>(bytes));
        bytes.remove_prefix(width);
      }
    }
  }

  std::size_t count(std::uint32_t field) const { return numbers.count(field) + texts.count(field); }
  std::int64_t whole(std::uint32_t field) const { return static_cast<std::int64_t>(number(field)); }
  double real(std::uint32_t field) const {
    const std::uint64_t bits = number(field);
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  float single(std::uint32_t field) const {
    const auto bits = static_cast<std::uint32_t>(number(field));
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  std::string text(std::uint32_t field) const {
    const auto found = texts.find(field);
    return found == texts.end() ? std::string() : found->second;
  }
  Fields message(std::uint32_t field) const { return Fields(text(field)); }
  std::vector<double> reals(std::uint32_t field) const {
    const std::string bytes = text(field);
    std::vector<double> values(bytes.size() / sizeof(double));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(double));
    return values;
  }

 private:
  std::uint64_t number(std::uint32_t field) const {
    const auto found = numbers.find(field);
    return found == numbers.end() ? 0 : found->second;
  }
  std::uint64_t varint(std::string_view& bytes) {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (bytes.empty()) break;
      const auto byte = static_cast<unsigned char>(bytes.front());
      bytes.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    valid = false;
    return 0;
  }
};

// An event's summary value of a tag, where it has one.
struct SummaryValue {
  std::int64_t step = 0;
  std::string tag;
  Fields fields;
};
inline std::vector<SummaryValue> summary_values(const Records& records) {
  std::vector<SummaryValue> values;
  for (const std::string& payload : records.payloads) {
    const Fields event(payload), summary = event.message(5);
    for (auto [at, end] = summary.texts.equal_range(1); at != end; ++at) {
      const Fields value(at->second);
      values.push_back({event.whole(2), value.text(1), value});
    }
  }
  return values;
}

}  // namespace gesso
