// How wallaby eval --compare prints.
#include <algorithm>
#include <filesystem>

#include "cli/eval.h"
#include "cli/eval_compare.h"
#include "cli/svg.h"
#include "eval/frontier.h"

namespace wallaby::cli {
namespace {

using Json = nlohmann::ordered_json;
using Row = std::vector<std::string>;

std::vector<eval::SizeAndLoss> places_of(const Comparison& comparison) {
    std::vector<eval::SizeAndLoss> places;
    for (const Compared& m : comparison.models) { places.push_back({double(m.n_bytes), m.kld.value}); }
    return places;
}

std::string speed_text(const std::optional<MeasuredSpeed>& speed) {
    return speed ? fmt::format("{:.1f} ± {:.1f}", speed->mean, speed->spread) : "–";
}

// The heading first.
std::vector<Row> rows_of(const Comparison& comparison) {
    std::vector<Row> rows{
        {"model", "MiB", "bpw", "prompt t/s", "decode t/s", "PPL", "KL", "99 % KL", "same top %", ""}};
    for (const Compared& m : comparison.models) {
        const bool is_zero = m.is_base;
        rows.push_back({m.model, fmt::format("{:.2f}", double(m.n_bytes) / (1 << 20)),
                        fmt::format("{:.3f}", m.bits_per_weight()), speed_text(m.prompt), speed_text(m.decode),
                        fmt::format("{:.4f} ± {:.4f}", m.ppl.value, m.ppl.error),
                        is_zero ? "0 (base)" : fmt::format("{:.6f} ± {:.6f}", m.kld.value, m.kld.error),
                        is_zero ? "0" : fmt::format("{:.6f}", m.kld_99), fmt::format("{:.2f}", 100 * m.same_top.value),
                        m.is_on_frontier ? "*" : ""});
    }
    return rows;
}

std::string foot_of(const Comparison& comparison) {
    return fmt::format(
        "\nPPL and KL to {} over {} tokens in chunks of {}. *: no other model is as small and as near.\n",
        comparison.base, comparison.n_scored, comparison.n_ctx);
}

// Characters of UTF-8.
size_t width_of(const std::string& text) {
    return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (uint8_t(c) & 0xc0) != 0x80; }));
}

Json speed_json(const std::optional<MeasuredSpeed>& speed) {
    return speed ? Json{{"mean", speed->mean}, {"spread", speed->spread}} : Json();
}

}  // namespace

void mark_frontier(Comparison& comparison) {
    for (const size_t i : eval::frontier(places_of(comparison))) { comparison.models[i].is_on_frontier = true; }
}

std::string comparison_text(const Comparison& comparison) {
    const std::vector<Row> rows = rows_of(comparison);
    std::string text;
    for (const Row& row : rows) {
        for (size_t i = 0; i < row.size(); i++) {
            size_t width = 0;
            for (const Row& other : rows) { width = std::max(width, width_of(other[i])); }
            const std::string gap(width - width_of(row[i]), ' ');
            text += i == 0 ? row[i] + gap : "  " + gap + row[i];
        }
        text = text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
    }
    return text + foot_of(comparison);
}

std::string comparison_markdown(const Comparison& comparison) {
    std::string text;
    for (const Row& row : rows_of(comparison)) {
        const bool is_heading = text.empty();
        text += fmt::format("| {} |\n", fmt::join(row, " | "));
        if (is_heading) { text += "|---|--:|--:|--:|--:|--:|--:|--:|--:|:-:|\n"; }
    }
    return text + foot_of(comparison);
}

std::string comparison_json(const Comparison& comparison) {
    Json all = Json::array();
    for (const Compared& m : comparison.models) {
        all.push_back({{"model", m.model},
                       {"base", comparison.base},
                       {"is_base", m.is_base},
                       {"size_bytes", m.n_bytes},
                       {"n_weights", m.n_weights},
                       {"bits_per_weight", m.bits_per_weight()},
                       {"prompt_tokens_per_s", speed_json(m.prompt)},
                       {"decode_tokens_per_s", speed_json(m.decode)},
                       {"n_ctx", comparison.n_ctx},
                       {"n_scored", comparison.n_scored},
                       {"ppl", json_of(m.ppl)},
                       {"kld", {{"mean", json_of(m.kld)}, {"99", m.kld_99}, {"max", m.kld_max}}},
                       {"same_top", json_of(m.same_top)},
                       {"on_frontier", m.is_on_frontier}});
    }
    return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string comparison_svg(const Comparison& comparison) {
    constexpr double width = 760, height = 460, left = 80, top = 40, plot_width = 640, plot_height = 360;
    double least_x = double(comparison.models.front().n_bytes), most_x = least_x;
    double least_y = HUGE_VAL, most_y = 0;
    for (const auto& [size, loss] : places_of(comparison)) {
        least_x = std::min(least_x, size);
        most_x = std::max(most_x, size);
        if (loss > 0) { least_y = std::min(least_y, loss); }
        most_y = std::max(most_y, loss);
    }
    const Axis x = axis_of(least_x, most_x);
    const Axis y = most_y > 0 ? axis_of(least_y, most_y) : Axis();  // models that lose nothing stand on its floor
    const auto x_of = [&](double v) { return left + x.at(v) * plot_width; };
    const auto y_of = [&](double v) { return top + (1 - y.at(std::max(v, y.low))) * plot_height; };
    Svg svg;
    svg.text(left, 24, "start", fmt::format("KL divergence to {} over size", comparison.base), "#000");
    for (const double v : lines_of(x)) {
        svg.line(x_of(v), y_of(y.low), x_of(v), y_of(y.high), "#ddd", 1);
        svg.text(x_of(v), y_of(y.low) + 16, "middle", fmt::format("{:g}", v / 1e6), "#555");
    }
    for (const double v : lines_of(y)) {
        svg.line(x_of(x.low), y_of(v), x_of(x.high), y_of(v), "#ddd", 1);
        svg.text(left - 6, y_of(v) + 4, "end", fmt::format("{:g}", v), "#555");
    }
    svg.text(left, y_of(y.low) + 34, "start", "nats a token over MB of weights; the line joins what no other beats",
             "#555");
    const auto places = places_of(comparison);
    const std::vector<size_t> best = eval::frontier(places);
    for (size_t i = 1; i < best.size(); i++) {
        const auto &a = places[best[i - 1]], &b = places[best[i]];
        svg.line(x_of(a.size), y_of(a.loss), x_of(b.size), y_of(b.loss), "#1d4ed8", 1.5);
    }
    for (const Compared& m : comparison.models) {
        const double at_x = x_of(double(m.n_bytes)), at_y = y_of(m.kld.value);
        if (m.kld.error > 0) {
            svg.line(at_x, y_of(m.kld.value - m.kld.error), at_x, y_of(std::min(m.kld.value + m.kld.error, y.high)),
                     "#555", 1);
        }
        svg.circle(at_x, at_y, m.is_on_frontier ? "#1d4ed8" : "#777", m.is_on_frontier);
        const std::string name = std::filesystem::path(m.model).stem().string();
        const bool is_right = at_x > left + 0.7 * plot_width;  // its name stands on the other side
        svg.text(at_x + (is_right ? -8 : 8), at_y - 6, is_right ? "end" : "start",
                 m.kld.value > 0 ? name : name + " (0)", "#000");
    }
    return svg.document(width, height);
}

}  // namespace wallaby::cli
