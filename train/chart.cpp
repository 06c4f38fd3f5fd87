#include "train/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "train/html.h"

namespace gesso {
namespace {

// Units of the picture; no digit of the fonts in question is wider than kLetter (DejaVu Sans: 0.636 of 12).
constexpr double kWidth = 380, kHeight = 220, kTop = 10, kRight = 14, kBottom = 24, kLetter = 7.7;

// A stretch of x or y, and where it lies in the picture.
struct Axis {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  bool logarithmic = false;
  double at_low = 0, at_high = 0;

  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return !(low <= high); }
  double place(double value) const {
    const double share = logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    return at_low + (at_high - at_low) * share;
  }
};

// A range of one value gets some room.
void widen(Axis& axis) {
  if (axis.logarithmic) {
    const double factor = std::max(1.02, std::pow(axis.high / axis.low, 0.03));
    axis.low /= factor;
    axis.high *= factor;
    return;
  }
  const double size = std::max(std::abs(axis.low), std::abs(axis.high));
  const double room = axis.high > axis.low ? 0.04 * (axis.high - axis.low) : size > 0 ? 0.05 * size : 1;
  axis.high += room;
  axis.low -= axis.low == 0 ? 0 : room;
}

// Sizes whose quotients and logarithms are numbers, too.
constexpr double kLargest = 1e30, kSmallest = 1 / kLargest;

bool can_be_drawn(double x, double y) {
  return std::isfinite(x) && std::abs(x) < kLargest && std::isfinite(y) && std::abs(y) < kLargest;
}

// The mean of what came before, recent values weighing more; gaps stay gaps.
std::vector<double> moving_average(const std::vector<double>& values) {
  const double decay = 1 - std::min(1.0, 25.0 / static_cast<double>(values.size()));
  double sum = 0, weight = 0;
  std::vector<double> result;
  for (const double value : values) {
    if (std::isfinite(value)) {
      sum = decay * sum + (1 - decay) * value;
      weight = decay * weight + (1 - decay);
    }
    result.push_back(std::isfinite(value) ? sum / weight : value);
  }
  return result;
}

// The lowest and the highest point of each of 300 columns: no peak is lost, and no file grows with the run.
std::string path_of(const std::vector<double>& xs, const std::vector<double>& ys, const Axis& x, const Axis& y) {
  constexpr double kColumns = 300;
  struct Column {
    std::size_t low, high;
  };
  std::string path;
  bool pen_down = false;
  const auto draw = [&](std::size_t i) {
    // h0: a point alone is drawn as a dot.
    path +=
        fmt::format("{}{:.1f} {:.1f}{}", pen_down ? "L" : "M", x.place(xs[i]), y.place(ys[i]), pen_down ? "" : "h0");
    pen_down = true;
  };
  const auto finish = [&](const Column& column) {
    draw(std::min(column.low, column.high));
    if (column.low != column.high) draw(std::max(column.low, column.high));
  };
  double current = -1;
  Column column{};
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const bool drawn = can_be_drawn(xs[i], ys[i]);
    const double its = drawn ? std::floor(kColumns * (xs[i] - x.low) / (x.high - x.low)) : -1;
    if (its != current && current >= 0) finish(column);
    if (!drawn) pen_down = false;
    if (its != current) column = {i, i};
    current = its;
    if (drawn && ys[i] < ys[column.low]) column.low = i;
    if (drawn && ys[i] > ys[column.high]) column.high = i;
  }
  if (current >= 0) finish(column);
  return path;
}

std::string grid(const Axis& x, const Axis& y) {
  std::string svg;
  for (const double value : chart_ticks(y.low, y.high, y.logarithmic))
    svg += fmt::format(
        "<path class=\"rule\" d=\"M{:.1f} {:.1f}H{:.1f}\"/><text x=\"{:.1f}\" y=\"{:.1f}\" class=\"end\">{}</text>",
        x.at_low, y.place(value), x.at_high, x.at_low - 6, y.place(value) + 4, short_number(value));
  for (const double value : chart_ticks(x.low, x.high, false)) {
    if (value != std::floor(value)) continue;
    const std::string label = short_number(value);
    const double half = kLetter * static_cast<double>(label.size()) / 2;
    const double middle = std::clamp(x.place(value), half, kWidth - half);  // no label leaves the picture
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"middle\">{}</text>", middle, kHeight - 6, label);
  }
  return svg;
}

struct Axes {
  Axis x, y;
};

Axes axes_of(std::span<const ChartLine> lines, const ChartOptions& options) {
  Axes axes;
  for (const ChartLine& line : lines)
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      if (!can_be_drawn(line.x[i], line.y[i])) continue;
      axes.x.include(line.x[i]);
      axes.y.include(line.y[i]);
    }
  if (axes.y.empty()) return axes;
  axes.y.logarithmic = options.logarithmic && axes.y.low > kSmallest;
  if (options.from_zero && !axes.y.logarithmic) axes.y.include(0);
  widen(axes.y);
  if (axes.x.low == axes.x.high) widen(axes.x);
  std::size_t letters = 0;
  for (const double value : chart_ticks(axes.y.low, axes.y.high, axes.y.logarithmic))
    letters = std::max(letters, short_number(value).size());
  axes.x.at_low = 10 + kLetter * static_cast<double>(letters);
  axes.x.at_high = kWidth - kRight;
  axes.y.at_low = kHeight - kBottom;
  axes.y.at_high = kTop;
  return axes;
}

}  // namespace

std::vector<double> chart_ticks(double low, double high, bool logarithmic) {
  std::vector<double> ticks;
  if (logarithmic) {
    const double decades = std::log10(high / low), every = std::max(1.0, std::ceil(decades / 6));
    for (const bool between : {decades < 2.5, true}) {
      for (double power = std::floor(std::log10(low)); power <= std::log10(high); power += every)
        for (const double digit : {1.0, 2.0, 5.0}) {
          const double value = digit * std::pow(10, power);
          if ((digit == 1 || between) && value >= low && value <= high) ticks.push_back(value);
        }
      if (ticks.size() >= 3) return ticks;
      ticks.clear();
    }  // less than a decade: round steps are more
  }
  const double rough = (high - low) / 4, power = std::pow(10, std::floor(std::log10(rough)));
  const double step = power * (rough < 1.5 * power ? 1 : rough < 3.5 * power ? 2 : rough < 7.5 * power ? 5 : 10);
  const double first = std::ceil(low / step);
  for (double i = 0; i < 8 && (first + i) * step <= high; ++i) ticks.push_back((first + i) * step + 0.0);  // no -0
  return ticks;
}

std::string short_number(double value) {
  struct Unit {
    double size;
    int digits;
    std::string_view name;
  };
  static constexpr Unit kUnits[] = {{1, 4, ""}, {1e3, 3, "k"}, {1e6, 3, "M"}, {1e9, 3, "G"}};
  const bool is_tiny = value != 0 && std::abs(value) < 1e-3;
  for (const Unit& unit : kUnits) {
    const std::string digits = fmt::format("{:.{}g}", value / unit.size, unit.digits);
    const bool fits = digits.find('e') == std::string::npos;  // rounded: 999.6 of one unit are 1 of the next
    if (fits && !is_tiny) return fmt::format("{}{}", digits, unit.name);
  }
  return fmt::format("{:.2g}", value);
}

std::string svg_chart(std::span<const ChartLine> lines, const ChartOptions& options) {
  const auto [x, y] = axes_of(lines, options);
  if (y.empty()) return {};
  std::string svg = fmt::format(
      "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" data-name=\"{}\" data-x=\"{:.17g} {:.17g} {} {}\" "
      "data-y=\"{:.17g} {:.17g} {} {} {}\">",
      kWidth, kHeight, options.x_name, x.low, x.high, x.at_low, x.at_high, y.low, y.high, y.at_low, y.at_high,
      y.logarithmic ? 1 : 0);
  svg += grid(x, y);
  for (const ChartMark& mark : options.marks)
    if (mark.x >= x.low && mark.x <= x.high)
      svg += fmt::format("<path class=\"mark{}\" d=\"M{:.1f} {}V{}\"><title>{}</title></path>",
                         mark.is_trouble ? " trouble" : "", x.place(mark.x), kTop, kHeight - kBottom, html(mark.what));
  constexpr std::size_t kFewPoints = 30;  // nothing to smooth
  for (const ChartLine& line : lines) {
    const bool smoothed = options.smoothed && line.y.size() > kFewPoints;
    if (smoothed) svg += fmt::format("<path class=\"raw c{}\" d=\"{}\"/>", line.colour, path_of(line.x, line.y, x, y));
    svg += fmt::format("<path class=\"line c{}\" d=\"{}\"/>", line.colour,
                       path_of(line.x, smoothed ? moving_average(line.y) : line.y, x, y));
  }
  return svg + "<path class=\"cursor\" d=\"\"/></svg>";
}

}  // namespace gesso
