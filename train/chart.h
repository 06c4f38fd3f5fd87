// Curves as SVG, to be read at any width: the picture is as narrow as a phone's, so its letters stay letters.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gesso {

struct ChartLine {
  std::size_t colour = 0;    // number of a colour of the page's style
  std::vector<double> x, y;  // as many; x rises. What is not finite leaves a gap
};

// A dashed line at x.
struct ChartMark {
  double x = 0;
  std::string what;
  bool is_trouble = false;
};

struct ChartOptions {
  std::string x_name = "step";  // what the reader's cursor says of x
  bool logarithmic = false;     // y, where all of it is above 0
  bool from_zero = false;       // linear y starts there
  bool smoothed = false;        // a moving average in front, what it averages faintly behind
  std::vector<ChartMark> marks{};
};

// An <svg> element; its colours are the page's (kReportStyle). Empty where there is no point to draw.
std::string svg_chart(std::span<const ChartLine> lines, const ChartOptions& options);

// About four to six round values from low to high; on a logarithmic scale powers of ten, with 2 and 5 where few.
std::vector<double> chart_ticks(double low, double high, bool logarithmic);
// Up to six letters: "0.05", "1.5k", "20M", "3e-05".
std::string short_number(double value);

}  // namespace gesso
