// The roofline plots of wallaby plan: SVG 1.1, and as text.
#include <algorithm>
#include <cmath>

#include "cli/plan.h"
#include "cli/svg.h"

namespace wallaby::cli {
namespace {

using planner::RooflinePoint;

// Something to see: an op kind of a phase, or what is predicted of all of it.
struct Mark {
    char letter = 'a';  // of ops: lower case in decode, upper case in prompts
    bool is_prompt = false, is_predicted = false;
    double x = 0, y = 0;  // operations a byte, operations a second
    std::string text;
};

struct Roof {
    std::string name;
    double ops_per_s = 0;
};

struct Plot {
    std::string title;
    double bandwidth = 0;
    std::vector<Roof> roofs;  // the highest first
    std::vector<Mark> marks;
    Axis x, y;
};

constexpr size_t most_kinds = 8;       // of a phase: the ones that take longest
constexpr double least_share = 0.001;  // of its time

void add_marks(std::vector<Mark>& marks, const std::vector<RooflinePoint>& points, bool is_prompt,
               const Result<planner::Estimate>& predicted) {
    if (points.empty()) { return; }
    const RooflinePoint& all = points.front();
    const std::string_view phase = is_prompt ? "prompt" : "decode";
    const size_t n = std::min(points.size(), most_kinds + 1);
    for (size_t i = 1; i < n; i++) {
        const RooflinePoint& p = points[i];
        if (p.seconds < least_share * all.seconds) { break; }
        const char letter = char((is_prompt ? 'A' : 'a') + int(i) - 1);
        marks.push_back({letter, is_prompt, false, p.intensity, p.ops_per_s,
                         fmt::format("{} {}: {:.4g} operations a byte, {:.1f} % of the least time", phase, p.name,
                                     p.intensity, 100 * p.seconds / all.seconds)});
    }
    if (!predicted.ok()) { return; }
    const double share = std::min(1.0, all.seconds / predicted->seconds);
    marks.push_back({is_prompt ? 'P' : 'd', is_prompt, true, all.intensity, all.ops_per_s * share,
                     fmt::format("{}, all of it as predicted: {:.1f} % of what the roofs allow", phase, 100 * share)});
}

// Nothing of a machine of which no bandwidth or no rate is known.
std::optional<Plot> plot_of(const PlanReport& report, const MachinePlan& m) {
    const planner::Rates& rates = m.roofline.rates;
    Plot plot;
    plot.title = fmt::format("{}{} on {}", report.model, report.type.empty() ? "" : " " + report.type, m.name);
    plot.bandwidth = rates.read_bytes_per_s;
    for (const auto& [name, rate] : {std::pair("int8", rates.int8_ops_per_s), std::pair("bf16", rates.bf16_ops_per_s),
                                     std::pair("f32", rates.f32_ops_per_s)}) {
        if (rate <= 0) { continue; }
        const auto same = std::ranges::find(plot.roofs, rate, &Roof::ops_per_s);
        if (same != plot.roofs.end()) {
            same->name += fmt::format(", {}", name);
        } else {
            plot.roofs.push_back({name, rate});
        }
    }
    std::ranges::stable_sort(plot.roofs, std::greater(), &Roof::ops_per_s);
    add_marks(plot.marks, m.roofline.decode, false, m.decode);
    add_marks(plot.marks, m.roofline.prompt, true, m.prompt);
    if (plot.bandwidth <= 0 || plot.roofs.empty() || plot.marks.empty()) { return std::nullopt; }
    double least_x = plot.roofs.back().ops_per_s / plot.bandwidth,
           most_x = plot.roofs.front().ops_per_s / plot.bandwidth;
    double least_y = plot.roofs.back().ops_per_s;
    for (const Mark& mark : plot.marks) {
        least_x = std::min(least_x, mark.x);
        most_x = std::max(most_x, mark.x);
        least_y = std::min(least_y, mark.y);
    }
    plot.x = axis_of(least_x, most_x);
    plot.y = axis_of(least_y, plot.roofs.front().ops_per_s);
    return plot;
}

std::string no_plot(const MachinePlan& m) {
    return fmt::format("{}: its bandwidth or its rates are not known, so that there is no plot", m.id);
}

std::string text_plot(const Plot& plot) {
    constexpr int width = 70, height = 22;
    std::vector<std::string> grid(height, std::string(width, ' '));
    const auto put = [&](double x, double y, char c) {
        const double column = plot.x.at(x) * (width - 1), row = (1 - plot.y.at(y)) * (height - 1);
        if (column < -0.5 || row < -0.5 || column > width - 0.5 || row > height - 0.5) { return; }
        grid[size_t(std::lround(row))][size_t(std::lround(column))] = c;
    };
    const double ratio = plot.x.high / plot.x.low;
    for (const Roof& roof : plot.roofs) {
        for (int i = 0; i < width; i++) {
            const double x = plot.x.low * std::pow(ratio, double(i) / (width - 1));
            const double slope = plot.bandwidth * x;
            put(x, std::min(slope, roof.ops_per_s), slope < roof.ops_per_s ? '/' : '-');
        }
    }
    for (const bool is_predicted : {false, true}) {
        for (const Mark& mark : plot.marks) {
            if (mark.is_predicted == is_predicted) {
                put(mark.x, mark.y, is_predicted ? (mark.is_prompt ? '#' : '*') : mark.letter);
            }
        }
    }
    std::string text = plot.title + "\n";
    for (int row = 0; row < height; row++) {
        const std::string label = row == 0            ? fmt::format("{:.0e}", plot.y.high)
                                  : row == height - 1 ? fmt::format("{:.0e}", plot.y.low)
                                                      : "";
        const std::string& line = grid[size_t(row)];
        text += fmt::format("{:>6} |{}\n", label, line.substr(0, line.find_last_not_of(' ') + 1));
    }
    text += fmt::format("{:>6} +{}\n{:>8}{:<{}}{:>8}\n", "", std::string(width, '-'), "",
                        fmt::format("{:g}", plot.x.low), width - 8, fmt::format("{:g}", plot.x.high));
    text += "  operations a second over operations a byte of weights and states\n";
    text += fmt::format("  / {:.4g} GB/s", plot.bandwidth / 1e9);
    for (const Roof& roof : plot.roofs) {
        text += fmt::format("   - {}: {:.4g} GOP/s", roof.name, roof.ops_per_s / 1e9);
    }
    text += "\n";
    for (const Mark& mark : plot.marks) {
        text += fmt::format("  {} {}\n", mark.is_predicted ? (mark.is_prompt ? '#' : '*') : mark.letter, mark.text);
    }
    return text;
}

constexpr double svg_width = 760, plot_height = 380, left = 70, top = 40, plot_width = 660, line_height = 16;

// One plot, `offset` below the image's top; its height is added to that.
void svg_plot(Svg& svg, const Plot& plot, double& offset) {
    const auto x_of = [&](double x) { return left + plot.x.at(x) * plot_width; };
    const auto y_of = [&](double y) { return offset + top + (1 - plot.y.at(y)) * plot_height; };
    svg.text(left, offset + 24, "start", plot.title, "#000");
    for (const double x : lines_of(plot.x)) {
        svg.line(x_of(x), y_of(plot.y.low), x_of(x), y_of(plot.y.high), "#ddd", 1);
        svg.text(x_of(x), y_of(plot.y.low) + 16, "middle", fmt::format("{:g}", x), "#555");
    }
    for (const double y : lines_of(plot.y)) {
        svg.line(x_of(plot.x.low), y_of(y), x_of(plot.x.high), y_of(y), "#ddd", 1);
        svg.text(left - 6, y_of(y) + 4, "end", fmt::format("{:g}", y / 1e9), "#555");
    }
    svg.text(left, y_of(plot.y.low) + 34, "start", "GOP/s over operations a byte of weights and states", "#555");
    // The slope ends at the highest roof, or at the plot's edge; below the lowest value it is not drawn.
    const double begin = std::max(plot.x.low, plot.y.low / plot.bandwidth);
    const double ridge = plot.roofs.front().ops_per_s / plot.bandwidth;
    svg.line(x_of(begin), y_of(plot.bandwidth * begin), x_of(ridge), y_of(plot.roofs.front().ops_per_s), "#333", 2);
    const double middle = std::sqrt(begin * ridge);
    svg.text(x_of(middle) - 8, y_of(plot.bandwidth * middle) - 8, "end",
             fmt::format("{:.4g} GB/s", plot.bandwidth / 1e9), "#333");
    for (const Roof& roof : plot.roofs) {
        const double from = std::max(plot.x.low, roof.ops_per_s / plot.bandwidth);
        svg.line(x_of(from), y_of(roof.ops_per_s), x_of(plot.x.high), y_of(roof.ops_per_s), "#333", 2);
        svg.text(x_of(plot.x.high), y_of(roof.ops_per_s) - 6, "end",
                 fmt::format("{} {:.4g} GOP/s", roof.name, roof.ops_per_s / 1e9), "#333");
    }
    double legend = y_of(plot.y.low) + 34 + line_height;
    for (const Mark& mark : plot.marks) {
        const std::string_view colour = mark.is_prompt ? "#c2410c" : "#1d4ed8";
        const auto symbol = [&](double x, double y) {
            mark.is_predicted ? svg.square(x, y, colour) : svg.circle(x, y, colour, false);
        };
        symbol(x_of(mark.x), y_of(mark.y));
        if (!mark.is_predicted) {
            svg.text(x_of(mark.x) + 6, y_of(mark.y) + 14, "start", std::string(1, mark.letter), colour);
        }
        symbol(left + 4, legend);
        svg.text(left + 16, legend + 4, "start",
                 mark.is_predicted ? mark.text : fmt::format("{} {}", mark.letter, mark.text), "#000");
        legend += line_height;
    }
    offset = legend + line_height;
}

}  // namespace

std::string plan_svg(const PlanReport& report) {
    Svg svg;
    double height = 0;
    for (const MachinePlan& m : report.machines) {
        if (const auto plot = plot_of(report, m)) {
            svg_plot(svg, *plot, height);
        } else {
            height += 2 * line_height;
            svg.text(left, height, "start", no_plot(m), "#000");
        }
    }
    return svg.document(svg_width, height + line_height);
}

std::string plan_plot(const PlanReport& report) {
    std::string text;
    for (const MachinePlan& m : report.machines) {
        const auto plot = plot_of(report, m);
        text += (text.empty() ? "" : "\n") + (plot ? text_plot(*plot) : no_plot(m) + "\n");
    }
    return text;
}

}  // namespace wallaby::cli
