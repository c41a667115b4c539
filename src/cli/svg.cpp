#include "cli/svg.h"

#include <fmt/format.h>

#include <array>

namespace wallaby::cli {
namespace {

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '&': out += "&amp;"; break;
            case '"': out += "&quot;"; break;
            default: out += (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) ? ' ' : c;
        }
    }
    return out;
}

}  // namespace

Axis axis_of(double least, double most) {
    constexpr std::array steps{1.0, 2.0, 5.0};
    const auto power = [](double v) { return std::pow(10, std::floor(std::log10(v))); };
    Axis axis{power(least), 10 * power(most)};
    for (const double step : steps) {
        if (step * power(least) < 0.9 * least) { axis.low = step * power(least); }
    }
    for (const double step : {5.0, 2.0}) {
        if (step * power(most) > 1.1 * most) { axis.high = step * power(most); }
    }
    return axis;
}

std::vector<double> lines_of(const Axis& axis) {
    std::vector<double> lines;
    for (double power = std::pow(10, std::floor(std::log10(axis.low))); power <= axis.high; power *= 10) {
        for (const double step : {1.0, 2.0, 5.0}) {
            if (step * power > 0.99 * axis.low && step * power < 1.01 * axis.high) { lines.push_back(step * power); }
        }
    }
    return lines;
}

void Svg::text(double x, double y, std::string_view anchor, std::string_view what, std::string_view colour) {
    body_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\">{}</text>\n", x, y, anchor,
                         colour, escaped(what));
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view colour, double stroke) {
    body_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"{}\"/>\n", x1, y1,
        x2, y2, colour, stroke);
}

void Svg::circle(double x, double y, std::string_view colour, bool is_filled) {
    body_ +=
        fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\" stroke=\"{}\" stroke-width=\"1.5\"/>\n", x,
                    y, is_filled ? colour : "none", colour);
}

void Svg::square(double x, double y, std::string_view colour) {
    body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"9\" height=\"9\" fill=\"{}\"/>\n", x - 4.5, y - 4.5,
                         colour);
}

std::string Svg::document(double width, double height) const {
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1:.0f}\" viewBox=\"0 0 {0} {1:.0f}\" "
        "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
        "fill=\"#fff\"/>\n{2}</svg>\n",
        width, height, body_);
}

}  // namespace wallaby::cli
