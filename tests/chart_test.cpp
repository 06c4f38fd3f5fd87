// What curves are drawn with: numbers, ticks, and the drawing itself.
#include "train/chart.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <regex>
#include <sstream>

#include "tests/support.h"

namespace gesso {
namespace {

// The d of the only line.
std::string path_in(const std::string& chart) {
  static const std::regex line("<path class=\"line c0\" d=\"([^\"]*)\"");
  std::smatch found;
  REQUIRE(std::regex_search(chart, found, line));
  return found[1];
}

// The y of each point of a path.
std::vector<double> heights_in(const std::string& path) {
  static const std::regex point("[ML]([-0-9.]+) ([-0-9.]+)");
  std::vector<double> ys;
  for (std::sregex_iterator i(path.begin(), path.end(), point), end; i != end; ++i) ys.push_back(std::stod((*i)[2]));
  return ys;
}

// Where a value must lie, by the axis that the chart tells its reader: low, high and their places.
double place_of(const std::string& chart, double value) {
  static const std::regex axis("data-y=\"([^\"]*) 0\"");
  std::smatch found;
  REQUIRE(std::regex_search(chart, found, axis));
  double low = 0, high = 0, at_low = 0, at_high = 0;
  std::istringstream(found[1]) >> low >> high >> at_low >> at_high;
  return at_low + (at_high - at_low) * (value - low) / (high - low);
}

TEST_SUITE("chart") {
  TEST_CASE("numbers on axes are short and round") {
    CHECK(short_number(0) == "0");
    CHECK(short_number(0.05) == "0.05");
    CHECK(short_number(1500) == "1500");
    CHECK(short_number(15000) == "15k");
    CHECK(short_number(2.5e6) == "2.5M");
    CHECK(short_number(-3e9) == "-3G");
    CHECK(short_number(3e-5) == "3e-05");
    CHECK(short_number(999600) == "1M");  // the unit of what is shown, not of what it was rounded from
    CHECK(short_number(999.6e6) == "1G");
    CHECK(short_number(9999.7) == "10k");
    CHECK(short_number(-9999.4) == "-9999");
    CHECK(short_number(999.6e9) == "1e+12");
    CHECK(chart_ticks(0, 100, false) == std::vector<double>{0, 20, 40, 60, 80, 100});
    CHECK(chart_ticks(0.02, 30, true) == std::vector<double>{0.1, 1, 10});
    CHECK(chart_ticks(0.15, 65, true) == std::vector<double>{0.2, 0.5, 1, 2, 5, 10, 20, 50});
    CHECK(chart_ticks(-1, 1, false) == std::vector<double>{-1, -0.5, 0, 0.5, 1});
  }

  TEST_CASE("ticks lie within their range and are few, whatever the range") {
    std::mt19937_64 random(test_seed());
    std::uniform_real_distribution<double> exponent(-29, 29), share(1e-13, 1);
    for (int round = 0; round < 2000; ++round) {
      const double high = std::pow(10, exponent(random)), low = high * (1 - share(random));
      for (const bool logarithmic : {false, true}) {
        if (logarithmic && low <= 0) continue;
        const std::vector<double> ticks = chart_ticks(low, high, logarithmic);
        CHECK(ticks.size() <= 12);
        for (const double tick : ticks) CHECK((tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)));
      }
    }
  }

  TEST_CASE("a chart keeps peaks, leaves gaps where values are not finite, and stays small") {
    ChartLine line;
    for (int i = 0; i < 100000; ++i) {
      line.x.push_back(i);
      line.y.push_back(i == 54321 ? 1000.0 : i == 1234 ? -500.0 : 1.0);
    }
    const auto check = [&](std::ptrdiff_t strokes) {
      const std::string chart = svg_chart(std::span(&line, 1), {});
      CHECK(chart.size() < 20000);
      CHECK(chart.find("nan") == std::string::npos);
      CHECK(chart.find("inf") == std::string::npos);
      const std::string path = path_in(chart);
      const std::vector<double> ys = heights_in(path);
      CHECK(std::ranges::min(ys) == doctest::Approx(place_of(chart, 1000)).epsilon(1e-3));  // y grows downwards
      CHECK(std::ranges::max(ys) == doctest::Approx(place_of(chart, -500)).epsilon(1e-3));
      CHECK(std::ranges::count(path, 'M') == strokes);
    };
    check(1);
    line.y[10] = std::nan("");
    line.y[50000] = std::numeric_limits<double>::infinity();
    check(3);
  }

  TEST_CASE("no label of a chart leaves the picture, in a font of wide digits either") {
    constexpr double kWidth = 380, kDigit = 0.637 * 12;  // DejaVu Sans at the style's 12px; other signs are narrower
    std::mt19937_64 random(test_seed());
    std::uniform_real_distribution<double> exponent(-6, 9), share(0, 1);
    const std::regex label("<text x=\"([^\"]*)\" y=\"[^\"]*\" class=\"(end|middle)\">([^<]*)</text>");
    std::size_t labels = 0;
    for (int round = 0; round < 500; ++round) {
      const double last = std::floor(std::pow(10, std::abs(exponent(random)))), high = std::pow(10, exponent(random));
      const ChartLine line{
          .colour = 0, .x = {0, round % 2 ? std::ceil(last / 5) * 5 : last}, .y = {high * share(random), high}};
      const std::string chart = svg_chart(std::span(&line, 1), {.logarithmic = round % 3 == 0});
      for (std::sregex_iterator i(chart.begin(), chart.end(), label), end; i != end; ++i, ++labels) {
        const double x = std::stod((*i)[1]), width = kDigit * static_cast<double>((*i)[3].length());
        const double left = (*i)[2] == "end" ? x - width : x - width / 2;
        CHECK_MESSAGE(left >= 0, (*i)[0].str());
        CHECK_MESSAGE(left + width <= kWidth, (*i)[0].str());
      }
    }
    CHECK(labels > 2000);
  }

  TEST_CASE("no values make no chart, and one or equal or extreme ones make one without nonsense") {
    CHECK(svg_chart({}, {}).empty());
    const ChartLine nothing{.colour = 0, .x = {1}, .y = {std::nan("")}};
    CHECK(svg_chart(std::span(&nothing, 1), {}).empty());
    const std::vector<std::vector<double>> cases = {
        {0}, {5}, {-5, -5}, {1e-320, 1}, {1e29, -1e29}, {1e16, 1e16 + 2}, {1e-31, 1e29}, {0, 0, 0}};
    for (const std::vector<double>& values : cases)
      for (const bool logarithmic : {false, true}) {
        ChartLine line;
        for (std::size_t i = 0; i < values.size(); ++i) line.x.push_back(static_cast<double>(i) * 1e15);
        line.y = values;
        const std::string chart = svg_chart(std::span(&line, 1), {.logarithmic = logarithmic, .smoothed = true});
        CHECK(!chart.empty());
        CHECK(chart.find("nan") == std::string::npos);
        CHECK(chart.find("inf") == std::string::npos);
      }
  }
}

}  // namespace
}  // namespace gesso
