#include "cli/bench_output.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/ascii.h"
#include "base/processor.h"
#include "cli/app.h"
#include "cli/build_info.h"

namespace wallaby::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Statistics {
    double mean = 0, deviation = 0;  // of the sample
};

Statistics statistics_of(const std::vector<double>& values) {
    if (values.empty()) { return {}; }
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
    double sum = 0;
    for (const double v : values) { sum += (v - mean) * (v - mean); }
    return {mean, values.size() < 2 ? 0 : std::sqrt(sum / double(values.size() - 1))};
}

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

void put_rates(Json& row, const std::string& suffix, const planner::Rates& rates) {
    row["read_bytes_per_s" + suffix] = uint64_t(rates.read_bytes_per_s);
    row["int8_ops_per_s" + suffix] = uint64_t(rates.int8_ops_per_s);
    row["bf16_ops_per_s" + suffix] = uint64_t(rates.bf16_ops_per_s);
    row["f32_ops_per_s" + suffix] = uint64_t(rates.f32_ops_per_s);
}

void put_limit(Json& row, const BenchRow& r, double mean_speed) {
    const double seconds = r.limit.seconds();
    const bool is_known = r.probe && seconds > 0;
    const double speed = is_known ? double(r.test.n_tokens()) / seconds : 0;
    row["limit_ts"] = is_known ? Json(speed) : Json(nullptr);
    row["limit_fraction"] = is_known ? Json(mean_speed / speed) : Json(nullptr);
    row["limiter"] = is_known ? Json(r.limit.limiter()) : Json(nullptr);
}

void put_prediction(Json& row, const BenchRow& r, double mean_speed) {
    const bool is_known = r.prediction && r.prediction->seconds() > 0;
    const double speed = is_known ? double(r.test.n_tokens()) / r.prediction->seconds() : 0;
    row["predicted_ts"] = is_known ? Json(speed) : Json(nullptr);
    row["predicted_fraction"] = is_known ? Json(mean_speed / speed) : Json(nullptr);
    row["predicted_limiter"] = is_known ? Json(r.prediction->limiter()) : Json(nullptr);
    const planner::Prediction p = r.prediction.value_or(planner::Prediction{});
    row["predicted_seconds"] = {p.matmul_read, p.matmul_compute, p.attention, p.rows, p.waits};
}

// llama-bench's fields in its order, those that mean nothing here left out, and then ours.
Json to_json(const BenchRow& r) {
    std::vector<double> ns, speeds;
    for (const double s : r.seconds) {
        ns.push_back(s * 1e9);
        speeds.push_back(double(r.test.n_tokens()) / std::max(s, 1e-9));
    }
    const Statistics time = statistics_of(ns), speed = statistics_of(speeds);
    Json row;
    row["build_commit"] = build_info.commit;
    row["build_number"] = build_info.number;
    row["cpu_info"] = base::processor_name();
    row["gpu_info"] = "";
    row["backends"] = r.backend;
    row["model_filename"] = r.model_filename;
    row["model_type"] = r.model_type;
    row["model_size"] = r.model_size;
    row["model_n_params"] = r.model_n_params;
    row["n_batch"] = r.n_batch;
    row["n_ubatch"] = r.n_batch;
    row["n_threads"] = r.n_threads;
    row["type_k"] = base::lower(quant::format_of(r.k_type).name);
    row["type_v"] = base::lower(quant::format_of(r.v_type).name);
    row["n_prompt"] = r.test.n_prompt;
    row["n_gen"] = r.test.n_gen;
    row["n_depth"] = r.test.n_depth;
    row["test_time"] = r.test_time;
    row["avg_ns"] = uint64_t(time.mean);
    row["stddev_ns"] = uint64_t(time.deviation);
    row["avg_ts"] = speed.mean;
    row["stddev_ts"] = speed.deviation;
    for (const double n : ns) { row["samples_ns"].push_back(uint64_t(n)); }
    row["samples_ts"] = speeds;
    row["n_seqs"] = r.test.n_seqs;
    row["bytes"] = r.limit.bytes;
    row["operations"] = r.limit.operations;
    put_limit(row, r, speed.mean);
    put_prediction(row, r, speed.mean);
    row["load_seconds_cold"] = or_null(r.load_seconds_cold);
    row["load_seconds_warm"] = or_null(r.load_seconds_warm);
    row["peak_rss_bytes"] = r.peak_rss_bytes;
    row["planned_bytes"] = r.planned_bytes;
    row["planned_rss_bytes"] = r.planned_rss_bytes;
    row["isa"] = r.isa;
    row["use_mmap"] = r.use_mmap;
    put_rates(row, "", r.probe ? r.probe->best : planner::Rates{});
    put_rates(row, "_median", r.probe ? r.probe->median : planner::Rates{});
    row["test"] = r.test.name();
    return row;
}

// --- CSV: the header's names bare and every value quoted, as llama-bench does; lists are left to JSON

std::string csv_value(const Json& value) {
    if (value.is_null()) { return R"("")"; }
    if (value.is_number_float()) { return fmt::format(R"("{:.6f}")", value.get<double>()); }
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    std::string out = "\"";
    for (const char c : text) { out += c == '"' ? "\"\"" : std::string(1, c); }
    return out + "\"";
}

std::string csv_line(const Json& row, bool is_header) {
    std::string line;
    for (const auto& [name, value] : row.items()) {
        if (value.is_array()) { continue; }
        line += (line.empty() ? "" : ",") + (is_header ? name : csv_value(value));
    }
    return line + "\n";
}

// --- The table

struct Column {
    std::string_view name;
    size_t width;
    bool is_left;
    std::string (*text)(const Json& row);
};

std::string or_dash(const Json& value, double factor, int n_digits) {
    return value.is_null() ? "-" : fmt::format("{:.{}f}", factor * value.get<double>(), n_digits);
}

std::string size_text(const Json& row) {
    const double mib = row["model_size"].get<double>() / double(1u << 20);
    return mib < 1024 ? fmt::format("{:.2f} MiB", mib) : fmt::format("{:.2f} GiB", mib / 1024);
}

std::string params_text(const Json& row) {
    const double millions = row["model_n_params"].get<double>() / 1e6;
    return millions < 1000 ? fmt::format("{:.2f} M", millions) : fmt::format("{:.2f} B", millions / 1000);
}

std::string speed_text(const Json& row) {
    return fmt::format("{:.2f} ± {:.2f}", row["avg_ts"].get<double>(), row["stddev_ts"].get<double>());
}

std::string own_text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

constexpr Column table[] = {
    {"model", 30, true, [](const Json& r) { return own_text(r["model_type"]); }},
    {"size", 10, false, size_text},
    {"params", 10, false, params_text},
    {"backend", 10, true, [](const Json& r) { return own_text(r["backends"]); }},
    {"threads", 7, false, [](const Json& r) { return own_text(r["n_threads"]); }},
    {"n_batch", 7, false, [](const Json& r) { return own_text(r["n_batch"]); }},
    {"type_k", 6, false, [](const Json& r) { return own_text(r["type_k"]); }},
    {"type_v", 6, false, [](const Json& r) { return own_text(r["type_v"]); }},
    {"n_seqs", 6, false, [](const Json& r) { return own_text(r["n_seqs"]); }},
    {"test", 15, false, [](const Json& r) { return own_text(r["test"]); }},
    {"t/s", 20, false, speed_text},
    {"limit", 10, false, [](const Json& r) { return or_dash(r["limit_ts"], 1, 2); }},
    {"%", 5, false, [](const Json& r) { return or_dash(r["limit_fraction"], 100, 1); }},
    {"predicted", 10, false, [](const Json& r) { return or_dash(r["predicted_ts"], 1, 2); }},
    {"limiter", 7, true, [](const Json& r) { return r["limiter"].is_null() ? "-" : own_text(r["limiter"]); }},
};

// The columns that are always there, and those whose values are not all the usual ones.
std::vector<size_t> columns_for(const bench::Lists& lists) {
    const bench::Lists usual;
    std::vector<size_t> columns;
    for (size_t i = 0; i < std::size(table); i++) {
        const std::string_view name = table[i].name;
        const bool is_usual = (name == "n_batch" && lists.n_batch == usual.n_batch) ||
                              (name == "type_k" && lists.k_types == usual.k_types) ||
                              (name == "type_v" && lists.v_types == usual.v_types) ||
                              (name == "n_seqs" && lists.n_seqs == usual.n_seqs);
        if (!is_usual) { columns.push_back(i); }
    }
    return columns;
}

// In columns of the terminal, where text is ASCII but for "±".
std::string padded(const std::string& text, size_t width, bool is_left) {
    const auto n = size_t(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
    const std::string space(width - std::min(width, n), ' ');
    return is_left ? text + space : space + text;
}

}  // namespace

BenchOutput::BenchOutput(std::string format, const bench::Lists& lists)
    : format_(std::move(format)), columns_(columns_for(lists)) {}

std::string BenchOutput::heading() const {
    std::string names = "|", rule = "|";
    for (const size_t i : columns_) {
        const Column& c = table[i];
        names += " " + padded(std::string(c.name), c.width, c.is_left) + " |";
        rule += " " + std::string(c.width - (c.is_left ? 0 : 1), '-') + (c.is_left ? " |" : ": |");
    }
    return names + "\n" + rule + "\n";
}

std::string BenchOutput::markdown(const Json& row) const {
    std::string line = "|";
    for (const size_t i : columns_) {
        line += " " + padded(table[i].text(row), table[i].width, table[i].is_left) + " |";
    }
    return line + "\n";
}

bool BenchOutput::row(const BenchRow& r) {
    Json json = to_json(r);
    std::string text;
    if (format_ == "md") {
        text = (is_begun_ ? "" : heading()) + markdown(json);
    } else {
        json.erase("test");
        const auto replace = Json::error_handler_t::replace;
        if (format_ == "csv") { text = (is_begun_ ? "" : csv_line(json, true)) + csv_line(json, false); }
        if (format_ == "json") { text = (is_begun_ ? ",\n" : "[\n") + json.dump(2, ' ', false, replace); }
        if (format_ == "jsonl") { text = json.dump(-1, ' ', false, replace) + "\n"; }
    }
    is_begun_ = true;
    return print(for_terminal(text));
}

bool BenchOutput::end() {
    if (!is_begun_) { return true; }
    if (format_ == "json") { return print("\n]\n"); }
    return format_ != "md" || print(fmt::format("\nbuild: {} ({})\n", build_info.commit, build_info.number));
}

}  // namespace wallaby::cli
