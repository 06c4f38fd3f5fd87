// A sheet of pictures, each with a line of text under it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/image.h"

namespace gesso {

// The shape of a sheet of so many pictures of one shape. Throws ErrorKind::usage where there is none, and where the
// sheet would be above the limits of a picture.
ImageShape contact_sheet_shape(std::int64_t count, const ImageShape& shape, std::int64_t columns = 8);

// Rows of up to `columns` pictures of one shape in colour, enlarged until they can be seen; a label that is wider than
// its picture is cut. Of channels that are no colours the first three are shown as such, of two the first as grey.
// Throws where contact_sheet_shape() does, where shapes differ, and where labels are not as many.
Image contact_sheet(const std::vector<Image>& pictures, const std::vector<std::string>& labels,
                    std::int64_t columns = 8);

}  // namespace gesso
