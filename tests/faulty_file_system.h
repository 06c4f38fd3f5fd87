// A file system of which one call fails, or all from that one on.
#pragma once

#include <cerrno>
#include <cstdint>

#include "train/file_system.h"

namespace gesso {

struct Fault {
  int error = EIO;        // errno; 0: only half of the bytes are read or written
  std::int64_t call = 0;  // the first that fails; they are counted from 0
  bool lasts = false;     // all from that one on fail
};

class FaultyFileSystem : public FileSystem {
 public:
  FaultyFileSystem(FileSystem& below, const Fault& fault) : below_(below), fault_(fault) {}

  std::int64_t calls() const { return calls_; }
  bool has_failed() const { return calls_ > fault_.call; }
  // Whether a call failed that makes, writes, syncs or renames a file.
  bool has_failed_to_save() const { return has_failed_to_save_; }

  IoResult open_file(const Path& path) override {
    return faulty([&] { return below_.open_file(path); });
  }
  IoResult open_directory(const Path& path) override {
    return faulty([&] { return below_.open_directory(path); });
  }
  IoResult create_file(const Path& path) override {
    return faulty_save([&] { return below_.create_file(path); });
  }
  IoResult lock_file(const Path& path, std::string_view text) override {
    return faulty([&] { return below_.lock_file(path, text); });
  }
  IoResult size(int handle) override {
    return faulty([&] { return below_.size(handle); });
  }
  IoResult read(int handle, std::span<std::byte> to) override {
    if (fault_.error == 0 && strikes()) to = to.first(half(to.size()));
    return faulty([&] { return below_.read(handle, to); });
  }
  IoResult seek(int handle, std::uint64_t offset) override {
    return faulty([&] { return below_.seek(handle, offset); });
  }
  IoResult write(int handle, std::span<const std::byte> bytes) override {
    if (fault_.error == 0 && strikes()) bytes = bytes.first(half(bytes.size()));
    return faulty_save([&] { return below_.write(handle, bytes); });
  }
  IoResult sync(int handle) override {
    return faulty_save([&] { return below_.sync(handle); });
  }
  // As of a real one: the handle is gone, whatever is answered.
  IoResult close(int handle) override {
    const IoResult closed = below_.close(handle);
    return faulty([&] { return closed; });
  }
  IoResult make_directory(const Path& path) override {
    return faulty([&] { return below_.make_directory(path); });
  }
  IoResult rename(const Path& from, const Path& to) override {
    return faulty_save([&] { return below_.rename(from, to); });
  }
  IoResult remove(const Path& path) override {
    return faulty([&] { return below_.remove(path); });
  }
  IoResult list(const Path& path, std::vector<std::string>& names) override {
    return faulty([&] { return below_.list(path, names); });
  }

 private:
  static std::size_t half(std::size_t bytes) { return (bytes + 1) / 2; }
  bool strikes() const { return calls_ == fault_.call || (fault_.lasts && calls_ > fault_.call); }

  template <class Call>
  IoResult faulty(Call&& call) {
    const bool fails = strikes() && fault_.error != 0;
    ++calls_;
    return fails ? IoResult{.error = fault_.error} : call();
  }

  template <class Call>
  IoResult faulty_save(Call&& call) {
    has_failed_to_save_ = has_failed_to_save_ || (strikes() && fault_.error != 0);
    return faulty(call);
  }

  FileSystem& below_;
  Fault fault_;
  std::int64_t calls_ = 0;
  bool has_failed_to_save_ = false;
};

}  // namespace gesso
