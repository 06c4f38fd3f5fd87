#include "train/event_file.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <limits>
#include <random>

#include "tests/decoded_events.h"
#include "tests/expect_error.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/crc32c.h"
#include "train/png.h"

namespace gesso {
namespace {

using namespace std::string_literals;

std::string content(const Path& path) { return read_text_file(path, 1 << 24); }

Records records_of(const EventFile& file) { return read_records(content(file.path())); }

SummaryValue last_value(const EventFile& file) { return summary_values(records_of(file)).back(); }

// No file of this process grows beyond so many bytes as long as this lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limited{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST_SUITE("event file") {
  TEST_CASE("CRC-32C gives the published values, masked as record files have it") {
    CHECK(crc32c("123456789") == 0xE3069283);            // RFC 3720's own check value
    CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);  // RFC 3720, appendix B.4
    CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43);
    CHECK(crc32c("") == 0);
    CHECK(masked_crc32c("\x1a\x11"
                        "CRC test, one two") == 0x5794D08A);
    for (const char* text : {"", "a", "123456789", "gesso"})
      CHECK(masked_crc32c(text) == ((crc32c(text) >> 15) | (crc32c(text) << 17)) + 0xA282EAD8u);
  }

  TEST_CASE("CRC-32C equals its definition on random bytes") {
    std::mt19937_64 random(test_seed());
    for (std::size_t length = 0; length < 200; ++length) {
      std::string bytes;
      for (std::size_t i = 0; i < length; ++i) bytes += static_cast<char>(random());
      CHECK(crc32c(bytes) == defined_crc32c(bytes));
    }
  }

  TEST_CASE("a record of TensorFlow's own tests has these bytes") {
    const std::string record = framed_record("abc");
    CHECK(record.size() == 19);
    CHECK(record.substr(0, 8) == "\3\0\0\0\0\0\0\0"s);
    CHECK(record.substr(12, 3) == "abc");
    CHECK(read_records(record).payloads == std::vector<std::string>{"abc"});
    CHECK(read_records(framed_record("") + framed_record("x")).payloads == std::vector<std::string>{"", "x"});
  }

  TEST_CASE("messages have the bytes that the wire format's description gives") {
    CHECK(ProtobufMessage().whole(1, 150).bytes() == "\x08\x96\x01");
    CHECK(ProtobufMessage().text(2, "testing").bytes() == "\x12\x07testing");
    CHECK(ProtobufMessage().message(3, ProtobufMessage().whole(1, 150)).bytes() == "\x1a\x03\x08\x96\x01");
    CHECK(ProtobufMessage().whole(1, 0).bytes() == "\x08\0"s);
    CHECK(ProtobufMessage().whole(2, -2).bytes() == "\x10\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    CHECK(ProtobufMessage().real(1, 1).bytes() == "\x09\0\0\0\0\0\0\xf0\x3f"s);
    CHECK(ProtobufMessage().single(2, 1).bytes() == "\x15\0\0\x80\x3f"s);
    const double values[] = {0, 1};
    CHECK(ProtobufMessage().packed(6, values).bytes() == "\x32\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\x3f"s);
    CHECK(ProtobufMessage().text(16, "").bytes() == "\x82\x01\0"s);
  }

  TEST_CASE("a file starts with its version and with where readers shall go on") {
    const TemporaryDirectory folder;
    for (const std::int64_t from_step : {0, 13}) {
      const EventFile file(folder.path(), from_step);
      const Records records = records_of(file);
      REQUIRE(records.payloads.size() == 2);
      const Fields version(records.payloads[0]), start(records.payloads[1]);
      CHECK(version.text(3) == "brain.Event:2");
      CHECK(version.real(1) > 1.6e9);
      CHECK(start.message(7).whole(1) == 1);
      CHECK(start.whole(2) == (from_step == 0 ? 0 : from_step + 1));
    }
  }

  TEST_CASE("each start has a new file, later by name, whatever the clock says") {
    const TemporaryDirectory folder;
    std::vector<std::string> names;
    for (int i = 0; i < 3; ++i) names.push_back(EventFile(folder.path(), 0).path().filename());
    CHECK(std::ranges::is_sorted(names));
    CHECK(list_directory(folder.path()) == names);
    CHECK(names[0].starts_with("events.out.tfevents."));
    folder.write("events.out.tfevents.8000000000.elsewhere.1", "");
    folder.write("events.out.tfevents.80000x0000.elsewhere.1", "");
    folder.write("notes.txt", "");
    CHECK(EventFile(folder.path(), 0).path().filename().string().starts_with("events.out.tfevents.8000000001."));
    expect_error(ErrorKind::io, {"nowhere"}, [&] { EventFile(folder / "nowhere", 0); });
  }

  TEST_CASE("scalars are one event of single floats by tag, whatever the values") {
    const TemporaryDirectory folder;
    EventFile file(folder.path(), 0);
    const std::vector<Metric> metrics = {
        {"loss", 0.25}, {"grad_norm", std::numeric_limits<double>::infinity()}, {"odd", std::nan("")}, {"big", 1e300}};
    file.scalars(std::int64_t{1} << 40, "train", metrics);
    const std::vector<SummaryValue> values = summary_values(records_of(file));
    REQUIRE(values.size() == 4);
    CHECK(values[0].tag == "train/loss");
    CHECK(values[0].step == std::int64_t{1} << 40);
    CHECK(values[0].fields.single(2) == 0.25f);
    CHECK(std::isinf(values[1].fields.single(2)));
    CHECK(std::isnan(values[2].fields.single(2)));
    CHECK(std::isinf(values[3].fields.single(2)));
  }

  TEST_CASE("a picture goes in as the PNG that it is, with its size") {
    const TemporaryDirectory folder;
    EventFile file(folder.path(), 0);
    const Image picture({3, 5, 3}, 90);
    const std::vector<std::byte> png = encode_png(picture);
    file.image(8, "samples", picture.shape, png);
    const SummaryValue value = last_value(file);
    CHECK(value.tag == "samples");
    CHECK(value.step == 8);
    const Fields image = value.fields.message(4);
    CHECK(image.whole(1) == 3);
    CHECK(image.whole(2) == 5);
    CHECK(image.whole(3) == 3);
    const std::string bytes = image.text(4);
    CHECK(decode_png(std::as_bytes(std::span(bytes)), "event").pixels == picture.pixels);
  }

  TEST_CASE("a histogram counts every finite value once, between its limits") {
    std::mt19937 random(static_cast<std::mt19937::result_type>(test_seed()));
    std::normal_distribution<float> normal(1, 2);
    std::vector<float> values;
    for (int i = 0; i < 5000; ++i) values.push_back(normal(random));
    values.push_back(std::numeric_limits<float>::infinity());
    values.push_back(std::nanf(""));
    const TemporaryDirectory folder;
    EventFile file(folder.path(), 0);
    file.histogram(4, "weights/a", histogram_of(values));
    const Fields histogram = last_value(file).fields.message(5);
    const std::vector<double> limits = histogram.reals(6), counts = histogram.reals(7);
    REQUIRE(limits.size() == counts.size());
    CHECK(histogram.real(3) == 5000);
    CHECK(std::ranges::is_sorted(limits));
    CHECK(limits.back() == histogram.real(2));
    double sum = 0, squares = 0, low = histogram.real(1);
    for (std::size_t i = 0; i < 5000; ++i) {
      sum += static_cast<double>(values[i]);
      squares += std::pow(static_cast<double>(values[i]), 2);
    }
    CHECK(histogram.real(4) == doctest::Approx(sum));
    CHECK(histogram.real(5) == doctest::Approx(squares));
    for (std::size_t bucket = 0; bucket < limits.size(); ++bucket) {
      const double high = bucket + 1 == limits.size() ? std::numeric_limits<double>::infinity() : limits[bucket];
      const auto within = std::count_if(values.begin(), values.begin() + 5000, [&](float value) {
        return static_cast<double>(value) >= low && static_cast<double>(value) < high;
      });
      // A value on a border may fall on either side of it by rounding.
      CHECK(std::abs(counts[bucket] - static_cast<double>(within)) <= 1);
      low = high;
    }
  }

  TEST_CASE("histograms of nothing, of one value and of equal values are good ones") {
    CHECK(histogram_of({}).limits.empty());
    CHECK(histogram_of({}).count == 0);
    for (const std::size_t count : {1u, 7u}) {
      const std::vector<float> equal(count, -2.5f);
      const Histogram histogram = histogram_of(equal);
      CHECK(histogram.min == -2.5);
      CHECK(histogram.max == -2.5);
      CHECK(histogram.count == static_cast<double>(count));
      CHECK(histogram.limits.size() == histogram.counts.size());
      double sum = 0;
      for (const double bucket : histogram.counts) sum += bucket;
      CHECK(sum == static_cast<double>(count));
    }
  }

  TEST_CASE("code usage falls from the most frequent code to the rarest, in at most 512 buckets") {
    const Histogram small = histogram_by_rank({1, 0, 5, 2});
    CHECK(small.limits == std::vector<double>{1, 2, 3, 4});
    CHECK(small.counts == std::vector<double>{5, 2, 1, 0});
    CHECK(small.count == 8);
    CHECK(small.max == 4);
    std::vector<std::int64_t> many(1300);
    for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<std::int64_t>(i);
    const Histogram large = histogram_by_rank(many);
    CHECK(large.counts.size() == 512);
    CHECK(large.limits.back() == 1300);
    double sum = 0;
    for (const double bucket : large.counts) sum += bucket;
    CHECK(sum == 1299.0 * 1300 / 2);
    CHECK(histogram_by_rank({}).counts.empty());
  }

  TEST_CASE("text is a tensor of one string for its plugin") {
    const TemporaryDirectory folder;
    EventFile file(folder.path(), 0);
    file.text(3, "configuration", "    {\"a\": 1}\n");
    const SummaryValue value = last_value(file);
    const Fields about = value.fields.message(9), tensor = value.fields.message(8);
    CHECK(about.message(1).text(1) == "text");
    CHECK(about.whole(4) == 2);
    CHECK(tensor.whole(1) == 7);
    CHECK(tensor.message(2).message(2).whole(1) == 1);
    CHECK(tensor.text(8) == "    {\"a\": 1}\n");
  }

  TEST_CASE("settings are there by type as the HPARAMS page wants them") {
    const TemporaryDirectory folder;
    EventFile file(folder.path(), 0);
    const std::vector<EventFile::Setting> settings = {
        {"schedule.rate", "0.001"}, {"data.flip", "true"}, {"model.codebook", "\"ema\""}, {"list", "[1,2]"}};
    file.settings(settings);
    const SummaryValue value = last_value(file);
    CHECK(value.tag == "_hparams_/session_start_info");
    const Fields about = value.fields.message(9), tensor = value.fields.message(8);
    CHECK(about.message(1).text(1) == "hparams");
    CHECK(about.whole(4) == 2);
    CHECK(tensor.whole(1) == 1);
    CHECK(tensor.message(2).message(2).count(1) == 1);
    CHECK(tensor.message(2).message(2).whole(1) == 0);
    const Fields session = about.message(1).message(2).message(3);
    CHECK(session.real(5) > 1.6e9);
    std::map<std::string, Fields> found;
    for (auto [at, end] = session.texts.equal_range(1); at != end; ++at) {
      const Fields entry(at->second);
      found.emplace(entry.text(1), entry.message(2));
    }
    REQUIRE(found.size() == 4);
    CHECK(found.at("schedule.rate").real(2) == 0.001);
    CHECK(found.at("data.flip").whole(4) == 1);
    CHECK(found.at("model.codebook").text(3) == "ema");
    CHECK(found.at("list").text(3) == "[1,2]");
  }

  TEST_CASE("a file that is cut anywhere keeps the records before the cut") {
    const TemporaryDirectory folder;
    EventFile file(folder.path(), 0);
    for (std::int64_t step = 1; step <= 3; ++step) file.scalars(step, "train", std::vector<Metric>{{"loss", 1}});
    const std::string whole = content(file.path());
    const Records all = read_records(whole);
    REQUIRE(all.payloads.size() == 5);
    CHECK(!all.torn);
    std::size_t expected = 0, border = 16 + all.payloads[0].size();
    for (std::size_t length = 0; length <= whole.size(); ++length) {
      if (length == border) {
        ++expected;
        if (expected < all.payloads.size()) border += 16 + all.payloads[expected].size();
      }
      const Records cut = read_records(whole.substr(0, length));
      CHECK(!cut.damaged);
      CHECK(cut.payloads.size() == expected);
    }
  }

  TEST_CASE("every flipped bit is noticed by the decoder that the other tests trust") {
    const TemporaryDirectory folder;
    EventFile file(folder.path(), 0);
    file.scalars(1, "train", std::vector<Metric>{{"loss", 1}});
    const std::string good = content(file.path());
    for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
      std::string bad = good;
      bad[bit / 8] ^= static_cast<char>(1 << bit % 8);
      CHECK(read_records(bad).damaged);
    }
  }

  TEST_CASE("a record that the system takes only in part is taken back, and the file goes on") {
    const TemporaryDirectory folder;
    AppendFile file(folder / "a", AppendFile::Open::new_file);
    file.append("one\n");
    {
      const FileSizeLimit limit(6);
      expect_error(ErrorKind::io, {"cannot write", "/a"}, [&] { file.append("three\n"); });
      CHECK(content(folder / "a") == "one\n");
    }
    file.append("two\n");
    CHECK(content(folder / "a") == "one\ntwo\n");
    expect_error(ErrorKind::io, {"/dev/full", "No space left"},
                 [] { AppendFile("/dev/full", AppendFile::Open::at_end).append("x"); });
  }

  TEST_CASE("a file that is there is gone on with only where that is meant") {
    const TemporaryDirectory folder;
    folder.write("a", "one\n");
    expect_error(ErrorKind::io, {"/a"}, [&] { AppendFile(folder / "a", AppendFile::Open::new_file); });
    AppendFile(folder / "a", AppendFile::Open::at_end).append("two\n");
    CHECK(content(folder / "a") == "one\ntwo\n");
  }
}

}  // namespace
}  // namespace gesso
