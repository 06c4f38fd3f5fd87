// JPEG files for tests; gesso itself only reads them.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

// libjpeg's header needs size_t and FILE from before it.
#include <jpeglib.h>

#include "train/image.h"

namespace gesso {

struct HandmadeJpeg {
  J_COLOR_SPACE stored = JCS_YCbCr;  // of three channels; one is grey, and CMYK or YCCK takes four
  bool progressive = false;
  bool arithmetic = false;  // instead of a Huffman code
  std::string exif = {};    // an Exif block without its "Exif\0\0"; empty: none
  bool adobe = true;        // CMYK: with Adobe's marker
};

// pixels: [H,W,C].
inline std::string handmade_jpeg(Image image, const HandmadeJpeg& how = {}) {
  using namespace std::string_literals;
  const std::int64_t C = image.shape.channels;
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);  // ends the program where a test asks for nonsense
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = static_cast<JDIMENSION>(image.shape.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.shape.height);
  jpeg.input_components = static_cast<int>(C);
  jpeg.in_color_space = C == 1 ? JCS_GRAYSCALE : C == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_colorspace(&jpeg, C == 1 ? JCS_GRAYSCALE : how.stored);
  jpeg_set_quality(&jpeg, 100, TRUE);
  for (int i = 0; i < jpeg.num_components; ++i) jpeg.comp_info[i].h_samp_factor = jpeg.comp_info[i].v_samp_factor = 1;
  // Grey in two whole scans, none of which refines another; colour in the usual ten.
  static constexpr jpeg_scan_info kWholeScans[] = {{1, {0}, 0, 0, 0, 0}, {1, {0}, 1, 63, 0, 0}};
  if (how.progressive && C > 1) jpeg_simple_progression(&jpeg);
  if (how.progressive && C == 1) {
    jpeg.scan_info = kWholeScans;
    jpeg.num_scans = 2;
  }
  if (how.arithmetic) jpeg.arith_code = TRUE;
  if (!how.adobe) jpeg.write_Adobe_marker = FALSE;
  jpeg_start_compress(&jpeg, TRUE);
  if (!how.exif.empty()) {
    const std::string marker = "Exif\0\0"s + how.exif;
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(marker.data()),
                      static_cast<unsigned>(marker.size()));
  }
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = image.pixels.data() + jpeg.next_scanline * static_cast<std::size_t>(image.shape.width * C);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::string file(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  return file;
}

}  // namespace gesso
