// wallaby probe: what this machine gives, and what the engine's kernels make of it.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/memory_use.h"
#include "base/processor.h"
#include "base/system.h"
#include "base/usage.h"
#include "cli/app.h"
#include "cli/interrupt.h"
#include "cli/speed_store.h"
#include "convert/mixes.h"
#include "probe/disk.h"
#include "threads/cgroup.h"
#include "threads/cpus.h"

namespace wallaby::cli {
namespace {

using Json = nlohmann::ordered_json;

// What is too far apart to be trusted: repetitions of one measurement, or the machine before and after.
constexpr double too_far = 0.25, too_much_stolen = 0.05;
constexpr uint64_t disk_bytes = 64 << 20;

struct Flags {
    std::string isa = "auto", disk = ".", output = "table";
    std::vector<std::string> formats;
    uint32_t n_threads = 0;
    bool no_disk = false;
};

struct Report {
    std::string isa;
    threads::CpuCount cpus;
    std::vector<std::pair<uint32_t, probe::Spread>> read;  // by threads
    probe::SpeedReport speeds;
    std::optional<double> disk_bytes_per_s;
    double stolen = 0;   // share of CPU time
    double seconds = 0;  // that the probe took
    std::vector<std::string> doubts;
};

bool is_weight_format(std::string_view name) {
    const std::vector<std::string_view> names = convert::type_names();
    return std::ranges::any_of(names,
                               [&](std::string_view n) { return quant::find_format(n) == quant::find_format(name); });
}

Result<std::vector<quant::Type>> formats_of(const Flags& flags) {
    std::vector<quant::Type> types;
    for (const std::string& name : flags.formats) {
        const quant::Format* format = quant::find_format(name);
        if (format == nullptr || !is_weight_format(name)) {
            return Error{ErrorCode::argument, fmt::format("'{}' is no weight format", name), {"", "--formats", {}}, ""};
        }
        types.push_back(format->type);
    }
    if (types.empty()) {
        for (const quant::Format& format : quant::formats()) {
            if (is_weight_format(format.name)) { types.push_back(format.type); }
        }
    }
    return types;
}

void find_doubts(Report& r) {
    const probe::Spread& all = r.read.back().second;
    if (all.worst < (1 - too_far) * all.best) {
        r.doubts.push_back(
            fmt::format("memory was read at {:.1f} to {:.1f} GB/s within the probe", all.worst / 1e9, all.best / 1e9));
    }
    const auto compare = [&](double before, double after, std::string_view what) {
        if (std::abs(after - before) > too_far * std::max(before, after)) {
            r.doubts.push_back(
                fmt::format("{} changed by {:.0f} % during the probe", what, 100 * (after / before - 1)));
        }
    };
    const planner::Rates &before = r.speeds.before.best, &after = r.speeds.after.best;
    compare(before.read_bytes_per_s, after.read_bytes_per_s, "the bandwidth");
    compare(before.int8_ops_per_s, after.int8_ops_per_s, "the int8 rate");
    compare(before.f32_ops_per_s, after.f32_ops_per_s, "the float32 rate");
    if (r.stolen > too_much_stolen) {
        r.doubts.push_back(fmt::format("{:.0f} % of the CPU time went to other guests of the host", 100 * r.stolen));
    }
}

Result<Report> run_probe(const Flags& flags, const std::stop_token& stop) {
    const double start = base::monotonic_seconds();
    const base::Usage before = base::usage();
    Report r;
    WALLABY_TRY(r.isa, backends::instruction_set(flags.isa));
    r.cpus = threads::count_cpus();
    if (!flags.no_disk) { WALLABY_TRY(r.disk_bytes_per_s, probe::measure_disk(flags.disk, disk_bytes, stop)); }
    threads::Pool pool(flags.n_threads);
    probe::Options options;
    options.loops = probe::kernel_loops(r.isa);
    for (uint32_t n = 1; n < pool.size(); n *= 2) {
        threads::Pool some(n);
        WALLABY_TRY(const probe::Spread spread, probe::measure_read(some, options, stop));
        r.read.emplace_back(n, spread);
    }
    WALLABY_TRY(const probe::Spread spread, probe::measure_read(pool, options, stop));
    r.read.emplace_back(pool.size(), spread);
    WantedSpeeds wanted{{"cpu", r.isa}, {}, {{quant::Type::f16, quant::Type::f16}}};
    WALLABY_TRY(wanted.formats, formats_of(flags));
    WALLABY_TRY(r.speeds, measure_and_keep(wanted, pool, stop));
    const base::Usage used = base::usage() - before;
    if (used.stolen_cpu) { r.stolen = *used.stolen_cpu / (used.seconds * r.cpus.logical); }
    r.seconds = base::monotonic_seconds() - start;
    find_doubts(r);
    return r;
}

// Bytes of weights a second for one column, and operations a second for many: what a matmul makes of the machine.
struct FormatSpeed {
    double decode_bytes_per_s = 0, prompt_ops_per_s = 0;
};
FormatSpeed speed_of(quant::Type type, const planner::Curve& curve) {
    const quant::Format& format = quant::format_of(type);
    const double n_bytes = double(format.block_bytes) / format.block_len;
    const planner::Curve::Point& most = curve.points.back();
    return {n_bytes / curve.at(1), 2 * most.x / most.y};
}

Json json_of(const Report& r) {
    Json out{{"cpu", base::processor_name()}, {"isa", r.isa}, {"threads", r.read.back().first}};
    out["cpus"] = {{"logical", r.cpus.logical},
                   {"affinity", r.cpus.affinity},
                   {"physical", r.cpus.physical},
                   {"quota", r.cpus.quota},
                   {"why", r.cpus.reason}};
    out["memory"] = {{"total_bytes", base::total_memory().value_or(0)},
                     {"available_bytes", base::available_memory().value_or(0)},
                     {"huge_pages", base::huge_pages()}};
    for (const auto& [n, s] : r.read) {
        out["read"].push_back({{"threads", n},
                               {"worst_bytes_per_s", s.worst},
                               {"median_bytes_per_s", s.median},
                               {"best_bytes_per_s", s.best}});
    }
    const planner::Speeds& speeds = r.speeds.speeds;
    out["rates"] = {{"read_bytes_per_s", speeds.rates.read_bytes_per_s},
                    {"int8_ops_per_s", speeds.rates.int8_ops_per_s},
                    {"bf16_ops_per_s", speeds.rates.bf16_ops_per_s},
                    {"f32_ops_per_s", speeds.rates.f32_ops_per_s}};
    for (const auto& [type, curve] : speeds.matmul) {
        const FormatSpeed s = speed_of(type, curve);
        out["formats"].push_back({{"format", quant::format_of(type).name},
                                  {"decode_bytes_per_s", s.decode_bytes_per_s},
                                  {"prompt_ops_per_s", s.prompt_ops_per_s}});
    }
    out["wait_seconds"] = speeds.wait_seconds;
    out["disk_bytes_per_s"] = r.disk_bytes_per_s ? Json(*r.disk_bytes_per_s) : Json(nullptr);
    out["stolen"] = r.stolen;
    out["seconds"] = r.seconds;
    out["doubts"] = r.doubts;
    return Json::array({out});
}

std::string text_of(const Report& r) {
    std::string text;
    const auto line = [&](std::string_view name, const std::string& what) {
        text += fmt::format("{:<13} {}\n", name, what);
    };
    line("CPU", base::processor_name());
    line("kernels", r.isa);
    line("threads", fmt::format("{} ({})", r.read.back().first, r.cpus.reason));
    line("memory",
         fmt::format("{:.1f} GB, {:.1f} available; huge pages: {}", double(base::total_memory().value_or(0)) / 1e9,
                     double(base::available_memory().value_or(0)) / 1e9,
                     base::huge_pages().empty() ? "none" : base::huge_pages()));
    for (const auto& [n, s] : r.read) {
        line(fmt::format("read, {}", n),
             fmt::format("{:.1f} GB/s ({:.1f} … {:.1f})", s.median / 1e9, s.worst / 1e9, s.best / 1e9));
    }
    const planner::Speeds& speeds = r.speeds.speeds;
    line("int8", fmt::format("{:.0f} GOP/s", speeds.rates.int8_ops_per_s / 1e9));
    line("bf16",
         speeds.rates.bf16_ops_per_s == 0 ? "none" : fmt::format("{:.0f} GOP/s", speeds.rates.bf16_ops_per_s / 1e9));
    line("float32", fmt::format("{:.0f} GOP/s", speeds.rates.f32_ops_per_s / 1e9));
    line("waiting", fmt::format("{:.1f} us a step that threads share", speeds.wait_seconds * 1e6));
    if (r.disk_bytes_per_s) { line("disk", fmt::format("{:.2f} GB/s", *r.disk_bytes_per_s / 1e9)); }
    text += fmt::format("\n{:<9} {:>12} {:>15}\n", "format", "decode GB/s", "prompts GOP/s");
    for (const auto& [type, curve] : speeds.matmul) {
        const FormatSpeed s = speed_of(type, curve);
        text += fmt::format("{:<9} {:>12.2f} {:>15.1f}\n", quant::format_of(type).name, s.decode_bytes_per_s / 1e9,
                            s.prompt_ops_per_s / 1e9);
    }
    text += fmt::format("\nmeasured in {:.1f} s\n", r.seconds);
    for (const std::string& doubt : r.doubts) { text += fmt::format("too noisy to trust: {}\n", doubt); }
    return text;
}

Result<std::string> probe(const Flags& flags) {
    Interrupt interrupt;
    WALLABY_TRY(const Report report, run_probe(flags, interrupt.arm()));
    if (flags.output == "json") { return json_of(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }
    return text_of(report);
}

}  // namespace

std::function<int()> define_probe(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    app.add_option("--formats", flags->formats, "weight formats (default: all)")->type_name("TYPE,…")->delimiter(',');
    app.add_option("--disk", flags->disk, "the folder whose disk is timed, with a file of 64 MiB")
        ->type_name("DIR")
        ->capture_default_str();
    app.add_flag("--no-disk", flags->no_disk, "do not time a disk");
    app.add_option("--isa", flags->isa, "instruction set of the kernels (wallaby inspect --cpu)")
        ->type_name("NAME")
        ->capture_default_str();
    add_threads(app, flags->n_threads);
    app.add_option("-o,--output", flags->output, "how it is printed: table, json")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"table", "json"}))
        ->capture_default_str();
    return [flags] {
        const auto text = probe(*flags);
        if (!text.ok()) { return report(text.error()); }
        return print(for_terminal(*text)) ? exit_ok : exit_failed;
    };
}

}  // namespace wallaby::cli
