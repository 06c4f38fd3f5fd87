#include "cuda/staging.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"

namespace gesso::cuda {
namespace {

constexpr std::size_t kPiece = std::size_t{8} << 20;  // a large copy goes in pieces of this many bytes
constexpr std::uint64_t kUploads = 4;                 // under way at most: then the host waits for the oldest

// Calls piece(offset, bytes) for one after the other.
template <class Piece>
void in_pieces(std::size_t bytes, Piece&& piece) {
  for (std::size_t offset = 0; offset < bytes; offset += kPiece) piece(offset, std::min(kPiece, bytes - offset));
}

}  // namespace

class Staging::Download final : public HostCopy {
 public:
  Download(Staging& staging, cu::Stream stream, const void* from, std::size_t bytes)
      : staging_(staging), buffer_(staging.take(bytes)), bytes_(bytes) {
    staging_.runtime_.copy(stream, buffer_.memory, from, bytes);
    staging_.runtime_.record(buffer_.event, stream);
  }
  ~Download() override { staging_.give_back(buffer_); }
  std::span<const std::byte> wait() override {
    staging_.runtime_.wait(buffer_.event);
    return {buffer_.memory, bytes_};
  }

 private:
  Staging& staging_;
  Buffer buffer_;
  std::size_t bytes_;
};

Staging::~Staging() {
  for (const Piece& piece : uploading_) drop(piece.buffer);
  for (const auto& [capacity, buffers] : free_)
    for (const Buffer& buffer : buffers) drop(buffer);
}

void Staging::drop(const Buffer& buffer) {
  runtime_.drop_event(buffer.event);
  runtime_.release_host(buffer.memory);
}

Staging::Buffer Staging::take(std::size_t bytes) {
  const std::size_t capacity = std::bit_ceil(std::max<std::size_t>(bytes, 4096));
  const std::lock_guard lock(mutex_);
  if (auto& buffers = free_[capacity]; !buffers.empty()) {
    const Buffer found = buffers.back();
    buffers.pop_back();
    return found;
  }
  void* memory = runtime_.allocate_host(capacity);
  if (!memory) fail(ErrorKind::memory, "out of page-locked memory: {} bytes of the host were asked for", capacity);
  return {static_cast<std::byte*>(memory), capacity, runtime_.make_event()};
}

// Who takes it next submits to the same stream, or waits for its event first.
void Staging::give_back(const Buffer& buffer) {
  const std::lock_guard lock(mutex_);
  free_[buffer.capacity].push_back(buffer);
}

void Staging::upload(cu::Stream stream, void* to, const void* from, std::size_t bytes) {
  const std::uint64_t number = begin_upload();
  in_pieces(bytes, [&](std::size_t offset, std::size_t count) {
    const Buffer buffer = take(count);
    runtime_.wait(buffer.event);
    std::memcpy(buffer.memory, static_cast<const std::byte*>(from) + offset, count);
    runtime_.copy(stream, static_cast<std::byte*>(to) + offset, buffer.memory, count);
    runtime_.record(buffer.event, stream);
    const std::lock_guard lock(mutex_);
    uploading_.push_back({buffer, number});
  });
}

// Its number; the pieces of those that are too old are for whoever waits for their events.
std::uint64_t Staging::begin_upload() {
  const std::lock_guard lock(mutex_);
  const std::uint64_t number = uploads_++;
  for (; !uploading_.empty() && uploading_.front().upload + kUploads <= number; uploading_.pop_front()) {
    const Buffer& buffer = uploading_.front().buffer;
    free_[buffer.capacity].push_back(buffer);
  }
  return number;
}

std::unique_ptr<HostCopy> Staging::start_download(cu::Stream stream, const void* from, std::size_t bytes) {
  return std::make_unique<Download>(*this, stream, from, bytes);
}

void Staging::download(cu::Stream stream, void* to, const void* from, std::size_t bytes) {
  in_pieces(bytes, [&](std::size_t offset, std::size_t count) {
    const auto copy = start_download(stream, static_cast<const std::byte*>(from) + offset, count);
    std::memcpy(static_cast<std::byte*>(to) + offset, copy->wait().data(), count);
  });
}

}  // namespace gesso::cuda
