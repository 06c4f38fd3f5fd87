// A sheet of pictures, each with a line of text under it.
#pragma once

#include <string>
#include <vector>

#include "train/image.h"

namespace gesso {

// Rows of up to `columns` pictures of one shape in colour, enlarged until they can be seen; a label that is wider than
// its picture is cut. Of channels that are no colours the first three are shown as such, of two the first as grey.
// Throws where there is no picture, where shapes differ, and where labels are not as many.
Image contact_sheet(const std::vector<Image>& pictures, const std::vector<std::string>& labels,
                    std::int64_t columns = 8);

}  // namespace gesso
