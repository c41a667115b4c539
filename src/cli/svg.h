// What plots are drawn with: axes by logarithms, and SVG 1.1.
#pragma once
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace wallaby::cli {

// From a value to a place between 0 and 1, by its logarithm.
struct Axis {
    double low = 1, high = 10;

    double at(double value) const {
        return (std::log10(value) - std::log10(low)) / (std::log10(high) - std::log10(low));
    }
};

// From 1, 2 or 5 times a power of ten to another that is at least twice as high, and not right at the least or the
// most.
Axis axis_of(double least, double most);
// Where lines help to read it: 1, 2 and 5 times powers of ten.
std::vector<double> lines_of(const Axis& axis);

class Svg {
  public:
    // `what` may come from a file: markup and control characters in it are none here.
    void text(double x, double y, std::string_view anchor, std::string_view what, std::string_view colour);
    void line(double x1, double y1, double x2, double y2, std::string_view colour, double stroke);
    // Marks around a place.
    void circle(double x, double y, std::string_view colour, bool is_filled);
    void square(double x, double y, std::string_view colour);

    std::string document(double width, double height) const;

  private:
    std::string body_;
};

}  // namespace wallaby::cli
