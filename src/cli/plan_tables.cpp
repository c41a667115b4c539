#include "cli/plan_tables.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/catalogue.h"
#include "planner/article.h"

namespace wallaby::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string or_dash(const std::optional<double>& value) { return value ? fmt::format("{:.4g}", *value) : "-"; }

// A published result and what the others of its tier say of it.
struct Row {
    const planner::Published* published = nullptr;
    std::string tier, basis;
    double measured = 0, predicted = 0, low = 0, high = 0;  // tokens per second
    double error() const { return predicted / measured - 1; }
    bool is_inside() const { return low <= measured && measured <= high; }
};

std::vector<Row> validate(const Catalogue& catalogue) {
    std::vector<Row> rows;
    for (size_t i = 0; i < catalogue.published.size(); i++) {
        const planner::Observation& o = catalogue.observations[i];
        const planner::Learnt learnt = planner::learn(catalogue.observations, o.tier, o.is_prompt, o.machine);
        if (learnt.n_machines == 0 || o.ideal_seconds <= 0) { continue; }
        const double seconds = learnt.efficiency.seconds(o.ideal_seconds, o.n_ops);
        rows.push_back({&catalogue.published[i], o.tier, learnt.basis, 1 / o.seconds, 1 / seconds,
                        1 / (seconds * learnt.spread.high), 1 / (seconds * learnt.spread.low)});
    }
    return rows;
}

// Of the absolute relative errors of a group of rows, in percent.
struct Errors {
    size_t n = 0, n_machines = 0;
    double p10 = 0, median = 0, p90 = 0, inside = 0;
    double machines_median = 0;  // of each machine's own median: many results of one machine are no more than one
};

Errors errors_of(const std::vector<const Row*>& rows) {
    Errors out;
    out.n = rows.size();
    if (rows.empty()) { return out; }
    std::vector<double> errors;
    std::map<std::string_view, std::vector<double>> by_machine;
    double n_inside = 0;
    for (const Row* r : rows) {
        errors.push_back(100 * std::abs(r->error()));
        by_machine[r->published->machine].push_back(errors.back());
        n_inside += r->is_inside() ? 1 : 0;
    }
    const auto at = [](std::vector<double>& values, double share) {
        std::ranges::sort(values);
        return values[size_t(std::lround(share * double(values.size() - 1)))];
    };
    out.p10 = at(errors, 0.1);
    out.median = at(errors, 0.5);
    out.p90 = at(errors, 0.9);
    std::vector<double> medians;
    for (auto& [machine, values] : by_machine) { medians.push_back(at(values, 0.5)); }
    out.n_machines = medians.size();
    out.machines_median = at(medians, 0.5);
    out.inside = 100 * n_inside / double(rows.size());
    return out;
}

}  // namespace

Result<std::string> machines_table() {
    WALLABY_TRY(const Catalogue catalogue, open_catalogue());
    std::string text =
        fmt::format("{:<18} {:<44} {:<15} {:>8} {:>8} {:>10}\n", "id", "machine", "tier", "GB", "GB/s", "TOP/s");
    for (const planner::Machine& m : catalogue.machines) {
        const double ops = m.prompt_ops_per_s();
        text +=
            fmt::format("{:<18} {:<44} {:<15} {:>8.4g} {:>8.4g} {:>10}\n", m.id, m.name, m.tier, m.memory.value / 1e9,
                        m.bandwidth.value / 1e9, ops == 0 ? "-" : fmt::format("{:.4g}", ops / 1e12));
    }
    return text;
}

std::string article_table() {
    std::string text = fmt::format("{:<15} {:<15} {:<6} {:<8} {:>9} {:>9} {:>9} {:>9}  {}\n", "quantity", "machine",
                                   "model", "format", "article", "formula", "corrected", "measured", "unit");
    std::vector<std::string> notes;
    for (const planner::Claim& c : planner::article_claims()) {
        text +=
            fmt::format("{:<15} {:<15} {:<6} {:<8} {:>9} {:>9.4g} {:>9.4g} {:>9}  {}", c.quantity, c.machine, c.model,
                        c.format, or_dash(c.article), c.formula, c.corrected, or_dash(c.published), c.unit);
        if (!c.note.empty()) {
            notes.emplace_back(c.note);
            text += fmt::format(" [{}]", notes.size());
        }
        text += "\n";
    }
    text +=
        "\nThe article's latency is 2 x parameters x bytes of one over bandwidth: it counts each byte twice. "
        "Corrected:\n"
        "once. Measured: llama.cpp, Q4_0 (4.5 bits a weight). docs/arithmetic.md derives each number.\n";
    for (size_t i = 0; i < notes.size(); i++) { text += fmt::format("[{}] {}\n", i + 1, notes[i]); }
    return text;
}

Result<std::string> validation_table(bool as_json) {
    WALLABY_TRY(const Catalogue catalogue, open_catalogue());
    const std::vector<Row> rows = validate(catalogue);
    std::map<std::pair<std::string, bool>, std::vector<const Row*>> groups;
    for (const Row& r : rows) {
        groups[{r.tier, r.published->is_prompt}].push_back(&r);
        groups[{r.tier.substr(0, r.tier.find('-')) + "*", r.published->is_prompt}].push_back(&r);
        groups[{"~all", r.published->is_prompt}].push_back(&r);
    }
    if (as_json) {
        Json out{{"results", Json::array()}, {"errors", Json::array()}};
        for (const Row& r : rows) {
            out["results"].push_back({{"machine", r.published->machine},
                                      {"tier", r.tier},
                                      {"model", r.published->model},
                                      {"format", r.published->format},
                                      {"is_prompt", r.published->is_prompt},
                                      {"n_tokens", r.published->n_tokens},
                                      {"published_ts", r.measured},
                                      {"predicted_ts", r.predicted},
                                      {"low_ts", r.low},
                                      {"high_ts", r.high},
                                      {"error", r.error()},
                                      {"learnt_from", r.basis},
                                      {"source", r.published->source},
                                      {"date", r.published->date}});
        }
        for (const auto& [group, members] : groups) {
            const Errors e = errors_of(members);
            out["errors"].push_back({{"tier", group.first},
                                     {"is_prompt", group.second},
                                     {"n", e.n},
                                     {"n_machines", e.n_machines},
                                     {"p10_percent", e.p10},
                                     {"median_percent", e.median},
                                     {"p90_percent", e.p90},
                                     {"machines_median_percent", e.machines_median},
                                     {"inside_interval_percent", e.inside}});
        }
        return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
    }
    std::string text = fmt::format("{:<18} {:<15} {:<15} {:<8} {:<7} {:>10} {:>10} {:>22} {:>7}\n", "machine", "tier",
                                   "model", "format", "test", "published", "predicted", "4 of 5 between", "error");
    for (const Row& r : rows) {
        const planner::Published& p = *r.published;
        text += fmt::format("{:<18} {:<15} {:<15} {:<8} {:<7} {:>10.2f} {:>10.2f} {:>22} {:>+6.1f}%{}\n", p.machine,
                            r.tier, p.model, p.format, fmt::format("{}{}", p.is_prompt ? "pp" : "tg", p.n_tokens),
                            r.measured, r.predicted, fmt::format("{:.2f} … {:.2f}", r.low, r.high), 100 * r.error(),
                            r.is_inside() ? "" : " outside");
    }
    text += fmt::format("\n{:<16} {:<7} {:>4} {:>6} {:>7} {:>6}  {}  {:>8} {:>7}\n", "tier", "test", "n", "p10",
                        "median", "p90", "inside the interval", "machines", "median");
    for (const auto& [group, members] : groups) {
        const Errors e = errors_of(members);
        text += fmt::format("{:<16} {:<7} {:>4} {:>5.1f}% {:>6.1f}% {:>5.1f}%  {:>18.0f}%  {:>8} {:>6.1f}%\n",
                            group.first, group.second ? "prompt" : "decode", e.n, e.p10, e.median, e.p90, e.inside,
                            e.n_machines, e.machines_median);
    }
    return text +
           "\nEach machine is predicted from the others of its tier; errors are absolute. The last "
           "median is of the machines' medians.\n";
}

}  // namespace wallaby::cli
