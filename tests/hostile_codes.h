// Codes files that must be refused, made from a good one of a data set with classes.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gesso {

struct HostileCodes {
  std::string title, content;
  std::vector<std::string> words;  // that the error must hold
};

// A safetensors file in its parts.
struct CodesParts {
  nlohmann::ordered_json header;
  std::string data;

  explicit CodesParts(const std::string& file) {
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), 8);
    header = nlohmann::ordered_json::parse(file.substr(8, length));
    data = file.substr(8 + length);
  }
  std::string file() const {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    std::string bytes(8, '\0');
    const std::uint64_t length = text.size();
    std::memcpy(bytes.data(), &length, 8);
    return bytes + text + data;
  }
  nlohmann::ordered_json& metadata() { return header["__metadata__"]; }
  void set_code(std::size_t place, std::int32_t code) { std::memcpy(data.data() + 4 * place, &code, 4); }
  // A tensor of zeros behind the others.
  void add_tensor(const std::string& name, const std::string& dtype, const std::vector<std::int64_t>& shape,
                  std::size_t bytes) {
    header[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes}}};
    data.resize(data.size() + bytes, '\0');
  }
};

// good: [7,4,4] codes below 37 of images of 16x16x3, with labels.
inline std::vector<HostileCodes> hostile_codes(const std::string& good) {
  std::vector<HostileCodes> cases;
  const auto add = [&](const std::string& title, const std::vector<std::string>& words,
                       const std::function<void(CodesParts&)>& change) {
    CodesParts parts(good);
    change(parts);
    cases.push_back({title, parts.file(), words});
  };
  const auto metadata = [&](const std::string& key, const std::string& value, const std::vector<std::string>& words) {
    add(key + " = " + value, words, [&](CodesParts& parts) { parts.metadata()[key] = value; });
  };
  cases.push_back({"empty", "", {"0 bytes are too few"}});
  cases.push_back({"cut in the header", good.substr(0, 100), {"header is said to have"}});
  cases.push_back({"cut in the codes", good.substr(0, good.size() - 1), {}});
  cases.push_back({"bytes behind the end", good + "x", {}});
  cases.push_back({"header length of all ones", std::string(8, '\xFF') + good.substr(8), {"above the limit"}});
  cases.push_back({"a picture", "\x89PNG\r\n\x1A\n" + good.substr(8), {"above the limit", "safetensors"}});
  cases.push_back({"a broken header", good.substr(0, 20) + "\"" + good.substr(21), {"JSON"}});

  add("no metadata", {"lack gesso.format", "gesso encode"}, [](CodesParts& p) { p.header.erase("__metadata__"); });
  metadata("gesso.format", "weights", {"gesso.format is 'weights'", "'codes'"});
  metadata("gesso.format_version", "2", {"gesso.format_version is '2'", "'1'"});
  add("no tokenizer", {"lack gesso.tokenizer"}, [](CodesParts& p) { p.metadata().erase("gesso.tokenizer"); });
  metadata("gesso.tokenizer", std::string(32, '0'), {"tokenizer '00000000000000000000000000000000'", "this model's"});
  metadata("gesso.codebook", "38", {"codebook of 38", "37"});
  metadata("gesso.codebook", "37x", {"gesso.codebook is '37x'"});
  metadata("gesso.codebook", "-1", {"gesso.codebook is '-1'"});
  metadata("gesso.images", "8", {"codes is [7,4,4] I32, expected [8,4,4]"});
  metadata("gesso.images", "0", {"gesso.images is '0'"});
  metadata("gesso.images", "99999999999999999999", {"gesso.images is '9999"});
  metadata("gesso.image_shape", "16x16", {"gesso.image_shape is '16x16'", "HEIGHTxWIDTHxCHANNELS"});
  metadata("gesso.image_shape", "16x16x1", {"1 channels", "3"});
  metadata("gesso.image_shape", "20x16x3", {"20x16 has 5x4 codes", "4x4"});
  metadata("gesso.image_shape", "3x3x3", {"4x4 codes", "3x3x3"});
  metadata("gesso.image_shape", "16385x16x3", {"16x16385", "limit"});
  metadata("gesso.bits", "12", {"gesso.bits is '12'", "8 or 16"});
  metadata("gesso.names", "a/b/c/d/../e/passwd", {"'..'", "harmless"});
  metadata("gesso.names", "a/b/c/d/e/f", {"6 names for 7 images"});
  metadata("gesso.names", "a/b/c/d/e/f/a", {"'a' twice"});
  metadata("gesso.names", "a/b/c/d/e/f/g", {"no tensor 'sizes'"});
  metadata("gesso.names", "a/b/c/d/e/f/g\x1B[2J", {"g\\x1b[2J"});

  add("a code as large as the codebook", {"code 37 of picture 1", "codebook of 37"},
      [](CodesParts& p) { p.set_code(16, 37); });
  add("a negative code", {"code -1 of picture 6"}, [](CodesParts& p) { p.set_code(111, -1); });
  add("a flipped high bit", {"of picture 0 is outside the codebook"},
      [](CodesParts& p) { p.data[3] = static_cast<char>(p.data[3] | 0x40); });
  add("codes of another type", {"codes is [7,4,4] F32", "I32"},
      [](CodesParts& p) { p.header["codes"]["dtype"] = "F32"; });
  add("codes of another rank", {"codes is [7,16] I32"}, [](CodesParts& p) { p.header["codes"]["shape"] = {7, 16}; });
  add("codes of more than there are", {"codes"}, [](CodesParts& p) { p.header["codes"]["shape"] = {1 << 20, 4, 4}; });
  add("a shape that overflows", {"overflow"}, [](CodesParts& p) {
    p.header["codes"]["shape"] = {std::int64_t{1} << 62, 4, 4};
  });
  add("no codes", {"no tensor 'codes'"}, [](CodesParts& p) {
    p.header["kodes"] = p.header["codes"];
    p.header.erase("codes");
  });
  add("labels of another shape", {"labels is [7,1] I32"}, [](CodesParts& p) { p.header["labels"]["shape"] = {7, 1}; });
  add("one tensor more", {"'extra' does not belong"}, [](CodesParts& p) { p.add_tensor("extra", "F32", {2}, 8); });
  add("sizes without names", {"'sizes' does not belong"}, [](CodesParts& p) {
    p.add_tensor("sizes", "I32", {7, 2}, 56);
  });
  add("pictures of no size", {"picture 0 is said to be 0x0"}, [](CodesParts& p) {
    p.metadata()["gesso.names"] = "a/b/c/d/e/f/g";
    p.add_tensor("sizes", "I32", {7, 2}, 56);
  });
  return cases;
}

}  // namespace gesso
