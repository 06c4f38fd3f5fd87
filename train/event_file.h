// TensorBoard's event files (docs/runs.md says what a run writes into them): records of TensorFlow's framing around
// Event messages (tensorboard/compat/proto: event, summary, tensor). No library of theirs is needed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/append_file.h"
#include "train/histogram.h"
#include "train/image.h"
#include "train/protobuf.h"
#include "train/task.h"

namespace gesso {

// One file a process: what a killed one left ends where it was torn, which readers take for the end, and would spoil
// what is appended.
class EventFile {
 public:
  // A new file events.out.tfevents.SECONDS.HOST.PID in the run directory, later by name than all that are there, for
  // readers take them in that order. Readers then forget what other files say of steps behind `from_step`: after a
  // resume no step is there twice. Throws ErrorKind::io.
  EventFile(const Path& run, std::int64_t from_step);

  const Path& path() const { return file_.path(); }

  // Each is one record. Tags are names with slashes; what stands before the first one makes a group. Throw
  // ErrorKind::io, as AppendFile does.
  void scalars(std::int64_t step, std::string_view group, std::span<const Metric> metrics);
  void image(std::int64_t step, std::string_view tag, const ImageShape& shape, std::span<const std::byte> png);
  void histogram(std::int64_t step, std::string_view tag, const Histogram& histogram);
  void text(std::int64_t step, std::string_view tag, std::string_view markdown);
  // For the page HPARAMS. Values are texts of JSON: numbers, truth values, else text.
  struct Setting {
    std::string key, value;
  };
  void settings(std::span<const Setting> settings);

 private:
  void write(std::int64_t step, std::uint32_t field, const ProtobufMessage& content);
  void write_value(std::int64_t step, std::string_view tag, std::uint32_t field, const ProtobufMessage& content);

  AppendFile file_;
};

// A record: the length of the payload, its checksum, the payload, its checksum.
std::string framed_record(std::string_view payload);

}  // namespace gesso
