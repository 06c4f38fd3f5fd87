// Page-locked memory of the host through which copies go: who uploads a batch does not wait for the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/device.h"
#include "cuda/runtime.h"

namespace gesso::cuda {

class Staging {
 public:
  explicit Staging(const Runtime& runtime) : runtime_(runtime) {}
  ~Staging();  // no copy may be under way
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  void upload(cu::Stream stream, void* to, const void* from, std::size_t bytes);    // `from` was read when it returns
  void download(cu::Stream stream, void* to, const void* from, std::size_t bytes);  // waits
  // Lives no longer than this.
  std::unique_ptr<HostCopy> start_download(cu::Stream stream, const void* from, std::size_t bytes);

 private:
  class Download;
  struct Buffer {
    std::byte* memory = nullptr;
    std::size_t capacity = 0;
    Event event = nullptr;  // recorded behind the last copy
  };
  struct Piece {
    Buffer buffer;
    std::uint64_t upload;  // its number
  };
  Buffer take(std::size_t bytes);
  void give_back(const Buffer& buffer);
  void drop(const Buffer& buffer);
  std::uint64_t begin_upload();

  const Runtime& runtime_;
  std::mutex mutex_;
  std::map<std::size_t, std::vector<Buffer>> free_;  // by capacity
  std::deque<Piece> uploading_;                      // oldest first
  std::uint64_t uploads_ = 0;                        // begun so far
};

}  // namespace gesso::cuda
