// What was measured of a data set's pixels, kept from run to run in the user's cache folder: $XDG_CACHE_HOME/gesso, or
// ~/.cache/gesso. Each set has a small JSON file there, named by a hash of all that its pixels depend on.
#pragma once

#include "train/dataset.h"
#include "train/files.h"

namespace gesso {

// As pixel_statistics, but measured only where the cache does not hold them: of a set whose identity is not known
// (Dataset::identity) or was never seen, or where the file is damaged (a checksum tells). The cache is never needed:
// what cannot be read or written there is no error.
PixelStatistics cached_pixel_statistics(const Dataset& dataset);

// The file of this data set; empty where there is none.
Path statistics_cache_path(const Dataset& dataset);

}  // namespace gesso
