#include "cli/speed_store.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <set>

#include "backends/backend.h"
#include "base/bytes.h"
#include "base/processor.h"
#include "cli/build_info.h"
#include "probe/speed_text.h"

namespace wallaby::cli {
namespace {

using Entries = std::vector<probe::KeptSpeeds>;

constexpr uint64_t most_bytes = 4 << 20;  // of the file
constexpr size_t most_entries = 32;       // the newest are kept

std::string key_of(const std::string& backend, const std::string& isa, uint32_t n_threads) {
    return fmt::format("{} | {} {} | {} {} | {} threads", base::processor_name(), build_info.commit, build_info.number,
                       backend, isa, n_threads);
}

Entries read_store() {
    const std::string path = speed_store_path();
    if (path.empty()) { return {}; }
    const auto file = base::open_file(path);
    if (!file.ok() || (*file)->size() > most_bytes) { return {}; }
    std::string text((*file)->size(), '\0');
    const auto bytes = std::span(reinterpret_cast<uint8_t*>(text.data()), text.size());
    if (!(*file)->read(0, bytes).ok()) { return {}; }
    return probe::read_speeds(text);
}

// Best effort: what cannot be kept is measured again.
void write_store(const Entries& entries) {
    const std::string path = speed_store_path();
    if (path.empty()) { return; }
    std::error_code ignored;  // a folder that is not there shows when the file is made
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
    auto file = base::AtomicFile::create(path);
    if (!file.ok()) { return; }
    const std::string text = probe::write_speeds(entries);
    if (file->write(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size())).ok()) {
        (void)file->commit();
    }
}

Result<std::unique_ptr<backends::Backend>> backend_of(const WantedSpeeds& wanted, threads::Pool& pool) {
    if (wanted.backend == "reference") { return backends::make_reference(pool); }
    return backends::make_cpu(pool, wanted.isa);
}

bool holds(const planner::Speeds& s, const WantedSpeeds& wanted) {
    return std::ranges::all_of(wanted.kv, [&](const auto& types) { return s.attend.contains(types); }) &&
           std::ranges::all_of(wanted.formats, [&](quant::Type type) { return s.matmul.contains(type); });
}

}  // namespace

std::string speed_store_path() {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    if (cache != nullptr && cache[0] == '/') { return std::string(cache) + "/wallaby/speeds.json"; }
    const char* home = std::getenv("HOME");
    return home != nullptr && home[0] == '/' ? std::string(home) + "/.cache/wallaby/speeds.json" : "";
}

Result<probe::SpeedReport> measure_and_keep(const WantedSpeeds& wanted, threads::Pool& pool,
                                            const std::stop_token& stop) {
    const std::string key = key_of(wanted.backend, wanted.isa, pool.size());
    Entries entries = read_store();
    const auto kept = std::ranges::find(entries, key, &probe::KeptSpeeds::key);
    std::set<quant::Type> formats(wanted.formats.begin(), wanted.formats.end());
    std::set<std::pair<quant::Type, quant::Type>> kv(wanted.kv.begin(), wanted.kv.end());
    if (kept != entries.end()) {
        for (const auto& [type, curve] : kept->speeds.matmul) { formats.insert(type); }
        for (const auto& [types, speed] : kept->speeds.attend) { kv.insert(types); }
        entries.erase(kept);
    }
    WALLABY_TRY(const auto backend, backend_of(wanted, pool));
    probe::SpeedOptions options;
    options.loops = probe::kernel_loops(wanted.isa);
    options.backend = wanted.backend;
    options.isa = wanted.isa;
    options.formats.assign(formats.begin(), formats.end());
    options.kv_types.assign(kv.begin(), kv.end());
    WALLABY_TRY(probe::SpeedReport report, probe::measure_speeds(pool, *backend, options, stop));
    if (entries.size() >= most_entries) { entries.erase(entries.begin()); }
    entries.push_back({key, report.speeds, {}, 0});
    write_store(entries);
    return report;
}

Result<planner::Rates> rates_now(const WantedSpeeds& wanted, threads::Pool& pool, const std::stop_token& stop) {
    constexpr int64_t kept_seconds = 60;
    const std::string key = key_of(wanted.backend, wanted.isa, pool.size());
    const int64_t now = std::time(nullptr);
    {
        const Entries entries = read_store();
        const auto kept = std::ranges::find(entries, key, &probe::KeptSpeeds::key);
        if (kept != entries.end() && kept->now_at <= now && now - kept->now_at < kept_seconds) { return kept->now; }
    }
    probe::Options options;
    options.loops = probe::kernel_loops(wanted.isa);
    options.seconds = 0.015;
    WALLABY_TRY(const probe::Measured measured, probe::measure(pool, options, stop));
    Entries entries = read_store();
    const auto kept = std::ranges::find(entries, key, &probe::KeptSpeeds::key);
    if (kept != entries.end()) {
        kept->now = measured.median;
        kept->now_at = std::time(nullptr);
        write_store(entries);
    }
    return measured.median;
}

Result<planner::Speeds> speeds_for(const WantedSpeeds& wanted, threads::Pool& pool, const std::stop_token& stop) {
    const std::string key = key_of(wanted.backend, wanted.isa, pool.size());
    const Entries entries = read_store();
    const auto kept = std::ranges::find(entries, key, &probe::KeptSpeeds::key);
    if (kept != entries.end() && holds(kept->speeds, wanted)) { return kept->speeds; }
    WALLABY_TRY(probe::SpeedReport report, measure_and_keep(wanted, pool, stop));
    return std::move(report.speeds);
}

}  // namespace wallaby::cli
