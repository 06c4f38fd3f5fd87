#include "train/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "core/error.h"
#include "train/crc32c.h"
#include "train/json_text.h"

namespace gesso {
namespace {

// Numbers of the fields, by message.
namespace event_field {
constexpr std::uint32_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7, kSource = 10;
}
namespace session_log_field {
constexpr std::uint32_t kStatus = 1;
constexpr std::int64_t kStart = 1;
}  // namespace session_log_field
namespace summary_field {
constexpr std::uint32_t kValue = 1;
}
namespace value_field {
constexpr std::uint32_t kTag = 1, kSimpleValue = 2, kImage = 4, kHistogram = 5, kTensor = 8, kMetadata = 9;
}
namespace metadata_field {
constexpr std::uint32_t kPlugin = 1, kDataClass = 4;
constexpr std::uint32_t kPluginName = 1, kPluginContent = 2;
constexpr std::int64_t kTensorData = 2;
}  // namespace metadata_field
namespace image_field {
constexpr std::uint32_t kHeight = 1, kWidth = 2, kColours = 3, kEncoded = 4;
}
namespace histogram_field {
constexpr std::uint32_t kMin = 1, kMax = 2, kCount = 3, kSum = 4, kSumOfSquares = 5, kLimits = 6, kCounts = 7;
}
namespace tensor_field {
constexpr std::uint32_t kType = 1, kShape = 2, kStrings = 8;
constexpr std::int64_t kFloat = 1, kString = 7;
}  // namespace tensor_field
namespace hparams_field {
constexpr std::uint32_t kSessionStart = 3;                   // of the plugin's data
constexpr std::uint32_t kSettings = 1, kStartTime = 5;       // of the session's start
constexpr std::uint32_t kKey = 1, kValue = 2;                // of an entry of a map
constexpr std::uint32_t kNumber = 2, kText = 3, kTruth = 4;  // of google.protobuf.Value
}  // namespace hparams_field

constexpr std::string_view kNamePrefix = "events.out.tfevents.";
constexpr std::size_t kTimeDigits = 10;

double wall_time() {
  using namespace std::chrono;
  return duration<double>(system_clock::now().time_since_epoch()).count();
}

// The second that an event file's name tells, -1 of another file.
std::int64_t second_of(std::string_view name) {
  if (!name.starts_with(kNamePrefix) || name.size() < kNamePrefix.size() + kTimeDigits) return -1;
  const std::string_view digits = name.substr(kNamePrefix.size(), kTimeDigits);
  std::int64_t second = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), second);
  return error == std::errc() && end == digits.data() + digits.size() ? second : -1;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "host";
  std::string host = name.data();
  std::ranges::replace(host, '/', '-');
  return host;
}

// A second after the newest file's where the clock does not tell a later one by itself.
Path next_path(const Path& run) {
  std::int64_t newest = -1;
  for (const std::string& name : list_directory(run)) newest = std::max(newest, second_of(name));
  const std::int64_t second = std::max(static_cast<std::int64_t>(wall_time()), newest + 1);
  return run / fmt::format("{}{:010}.{}.{}", kNamePrefix, second, host_name(), getpid());
}

ProtobufMessage tensor_of_strings(std::string_view text) {
  ProtobufMessage size, shape, tensor;
  shape.message(2, size.whole(1, 1));  // one dimension, of one
  return tensor.whole(tensor_field::kType, tensor_field::kString)
      .message(tensor_field::kShape, shape)
      .text(tensor_field::kStrings, text);
}

ProtobufMessage tensor_of_nothing() {
  ProtobufMessage size, shape, tensor;
  shape.message(2, size.whole(1, 0));
  return tensor.whole(tensor_field::kType, tensor_field::kFloat).message(tensor_field::kShape, shape);
}

// A value for a plugin that takes tensors.
ProtobufMessage tensor_value(std::string_view tag, std::string_view plugin, std::string_view content,
                             const ProtobufMessage& tensor) {
  ProtobufMessage data, about, made;
  data.text(metadata_field::kPluginName, plugin);
  if (!content.empty()) data.text(metadata_field::kPluginContent, content);
  about.message(metadata_field::kPlugin, data).whole(metadata_field::kDataClass, metadata_field::kTensorData);
  return made.text(value_field::kTag, tag).message(value_field::kMetadata, about).message(value_field::kTensor, tensor);
}

ProtobufMessage setting_value(const std::string& json) {
  const std::optional<JsonTree> tree = json_in(json);
  ProtobufMessage made;
  if (!tree) return made.text(hparams_field::kText, json);
  const nlohmann::json& parsed = tree->value;
  if (parsed.is_number()) return made.real(hparams_field::kNumber, parsed.get<double>());
  if (parsed.is_boolean()) return made.whole(hparams_field::kTruth, parsed.get<bool>() ? 1 : 0);
  return made.text(hparams_field::kText, parsed.is_string() ? parsed.get<std::string>() : json);
}

}  // namespace

std::string framed_record(std::string_view payload) {
  const std::string length = little_endian(std::uint64_t{payload.size()});
  return fmt::format("{}{}{}{}", length, little_endian(masked_crc32c(length)), payload,
                     little_endian(masked_crc32c(payload)));
}

EventFile::EventFile(const Path& run, std::int64_t from_step) : file_(next_path(run), AppendFile::Open::new_file) {
  ProtobufMessage head, source, session;
  head.real(event_field::kWallTime, wall_time())
      .text(event_field::kFileVersion, "brain.Event:2")
      .message(event_field::kSource, source.text(1, "gesso"));
  file_.append(framed_record(head.bytes()));
  // Makes readers drop this step and all behind it; that of the checkpoint stays.
  write(from_step == 0 ? 0 : from_step + 1, event_field::kSessionLog,
        session.whole(session_log_field::kStatus, session_log_field::kStart));
}

void EventFile::write(std::int64_t step, std::uint32_t field, const ProtobufMessage& content) {
  ProtobufMessage record;
  record.real(event_field::kWallTime, wall_time()).whole(event_field::kStep, step).message(field, content);
  file_.append(framed_record(record.bytes()));
}

void EventFile::write_value(std::int64_t step, std::string_view tag, std::uint32_t field,
                            const ProtobufMessage& content) {
  ProtobufMessage made, all;
  write(step, event_field::kSummary,
        all.message(summary_field::kValue, made.text(value_field::kTag, tag).message(field, content)));
}

void EventFile::scalars(std::int64_t step, std::string_view group, std::span<const Metric> metrics) {
  ProtobufMessage all;
  for (const Metric& metric : metrics) {
    ProtobufMessage made;
    made.text(value_field::kTag, fmt::format("{}/{}", group, metric.name))
        .single(value_field::kSimpleValue, static_cast<float>(metric.value));
    all.message(summary_field::kValue, made);
  }
  write(step, event_field::kSummary, all);
}

void EventFile::image(std::int64_t step, std::string_view tag, const ImageShape& shape,
                      std::span<const std::byte> png) {
  ProtobufMessage made;
  made.whole(image_field::kHeight, shape.height)
      .whole(image_field::kWidth, shape.width)
      .whole(image_field::kColours, shape.channels)
      .text(image_field::kEncoded, {reinterpret_cast<const char*>(png.data()), png.size()});
  write_value(step, tag, value_field::kImage, made);
}

void EventFile::histogram(std::int64_t step, std::string_view tag, const Histogram& histogram) {
  ProtobufMessage made;
  made.real(histogram_field::kMin, histogram.min)
      .real(histogram_field::kMax, histogram.max)
      .real(histogram_field::kCount, histogram.count)
      .real(histogram_field::kSum, histogram.sum)
      .real(histogram_field::kSumOfSquares, histogram.sum_of_squares)
      .packed(histogram_field::kLimits, histogram.limits)
      .packed(histogram_field::kCounts, histogram.counts);
  write_value(step, tag, value_field::kHistogram, made);
}

void EventFile::text(std::int64_t step, std::string_view tag, std::string_view markdown) {
  ProtobufMessage all;
  write(step, event_field::kSummary,
        all.message(summary_field::kValue, tensor_value(tag, "text", "", tensor_of_strings(markdown))));
}

void EventFile::settings(std::span<const Setting> settings) {
  ProtobufMessage session, plugin, all;
  for (const Setting& setting : settings) {
    ProtobufMessage entry;
    entry.text(hparams_field::kKey, setting.key).message(hparams_field::kValue, setting_value(setting.value));
    session.message(hparams_field::kSettings, entry);
  }
  session.real(hparams_field::kStartTime, wall_time());
  plugin.message(hparams_field::kSessionStart, session);
  all.message(summary_field::kValue,
              tensor_value("_hparams_/session_start_info", "hparams", plugin.bytes(), tensor_of_nothing()));
  write(0, event_field::kSummary, all);
}

}  // namespace gesso
