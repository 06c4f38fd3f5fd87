// Packing for tests; gesso itself only unpacks.
#pragma once

#include <lzma.h>

#include <cstdint>
#include <string>

#include "core/error.h"

namespace gesso {

inline std::string xz(const std::string& content, std::uint32_t preset = 6) {
  std::string packed(lzma_stream_buffer_bound(content.size()), '\0');
  std::size_t size = 0;
  const lzma_ret status =
      lzma_easy_buffer_encode(preset, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const std::uint8_t*>(content.data()),
                              content.size(), reinterpret_cast<std::uint8_t*>(packed.data()), &size, packed.size());
  if (status != LZMA_OK) fail("liblzma: cannot pack");
  packed.resize(size);
  return packed;
}

}  // namespace gesso
