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
#include "cli/interrupt.h"
#include "probe/speed_text.h"

namespace wallaby::cli {
namespace {

using Entries = std::vector<probe::KeptSpeeds>;

constexpr uint64_t most_bytes = 4 << 20;  // of the file
constexpr size_t most_entries = 32;       // the newest are kept

// backend: with the instruction set that it will use.
std::string key_of(const backends::Choice& backend, uint32_t n_threads) {
    return fmt::format("{} | {} {} | {} {} | {} threads", base::processor_name(), build_info.commit, build_info.number,
                       backend.name, backend.isa, n_threads);
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

bool holds(const planner::Speeds& s, const WantedSpeeds& wanted) {
    return std::ranges::all_of(wanted.kv, [&](const auto& types) { return s.attend.contains(types); }) &&
           std::ranges::all_of(wanted.formats, [&](quant::Type type) { return s.matmul.contains(type); });
}

// Speeds are those of packed weights, wherever the model's are.
Result<backends::Choice> resolved(const WantedSpeeds& wanted) {
    backends::Choice backend = wanted.backend;
    WALLABY_TRY(backend.isa, backends::instruction_set(backend));
    backend.weights_in = backends::WeightsIn::memory;
    return backend;
}

// Of these speeds, measured where they are not kept.
Result<probe::KeptSpeeds> kept_for(const WantedSpeeds& wanted, threads::Pool& pool, const std::stop_token& stop) {
    WALLABY_TRY(const backends::Choice backend, resolved(wanted));
    Entries entries = read_store();
    const auto kept = std::ranges::find(entries, key_of(backend, pool.size()), &probe::KeptSpeeds::key);
    if (kept != entries.end() && holds(kept->speeds, wanted)) { return std::move(*kept); }
    WALLABY_TRY(probe::SpeedReport report, measure_and_keep(wanted, pool, stop));
    return probe::KeptSpeeds{key_of(backend, pool.size()), std::move(report.speeds)};
}

// Adds looks to the kept ones, if need be, until they say what the machine gives at this time.
Result<void> look(probe::KeptSpeeds& kept, const std::string& isa, threads::Pool& pool, const std::stop_token& stop) {
    constexpr int64_t fresh_seconds = 60, lately_seconds = 900;
    constexpr size_t enough = 3, most = 9;
    constexpr double pause_seconds = 0.3;  // so that one disturbance by the machine's host seldom meets them all
    auto& looks = kept.looks;
    const int64_t now = std::time(nullptr);
    std::erase_if(looks, [&](const auto& l) { return l.at > now || now - l.at >= lately_seconds; });
    bool is_fresh = !looks.empty() && now - looks.back().at < fresh_seconds;
    while (!is_fresh || looks.size() < enough) {
        if (is_fresh) { wait_for(pause_seconds, stop); }
        probe::Options options;
        options.loops = probe::kernel_loops(isa);
        options.seconds = 0.015;
        WALLABY_TRY(const probe::Measured measured, probe::measure(pool, options, stop));
        looks.push_back({std::time(nullptr), measured.median});
        is_fresh = true;
    }
    if (looks.size() > most) { looks.erase(looks.begin(), looks.end() - most); }
    return {};
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
    WALLABY_TRY(const backends::Choice choice, resolved(wanted));
    const std::string key = key_of(choice, pool.size());
    Entries entries = read_store();
    const auto kept = std::ranges::find(entries, key, &probe::KeptSpeeds::key);
    std::set<quant::Type> formats(wanted.formats.begin(), wanted.formats.end());
    std::set<std::pair<quant::Type, quant::Type>> kv(wanted.kv.begin(), wanted.kv.end());
    if (kept != entries.end()) {
        for (const auto& [type, curve] : kept->speeds.matmul) { formats.insert(type); }
        for (const auto& [types, speed] : kept->speeds.attend) { kv.insert(types); }
        entries.erase(kept);
    }
    WALLABY_TRY(const auto backend, backends::make(choice, pool));
    probe::SpeedOptions options;
    options.loops = probe::kernel_loops(choice.isa);
    options.backend = choice.name;
    options.isa = choice.isa;
    options.formats.assign(formats.begin(), formats.end());
    options.kv_types.assign(kv.begin(), kv.end());
    WALLABY_TRY(probe::SpeedReport report, probe::measure_speeds(pool, *backend, options, stop));
    if (entries.size() >= most_entries) { entries.erase(entries.begin()); }
    entries.push_back({key, report.speeds});
    write_store(entries);
    return report;
}

Result<planner::Speeds> speeds_for(const WantedSpeeds& wanted, threads::Pool& pool, const std::stop_token& stop) {
    WALLABY_TRY(probe::KeptSpeeds kept, kept_for(wanted, pool, stop));
    return std::move(kept.speeds);
}

Result<SpeedsNow> speeds_now(const WantedSpeeds& wanted, threads::Pool& pool, const std::stop_token& stop) {
    WALLABY_TRY(const backends::Choice backend, resolved(wanted));
    WALLABY_TRY(probe::KeptSpeeds kept, kept_for(wanted, pool, stop));
    const auto before = kept.looks;
    WALLABY_OK(look(kept, backend.isa, pool, stop));
    if (kept.looks != before) {
        Entries entries = read_store();  // another process may have written it meanwhile
        const auto entry = std::ranges::find(entries, kept.key, &probe::KeptSpeeds::key);
        if (entry != entries.end()) {
            entry->looks = kept.looks;
            write_store(entries);
        }
    }
    std::vector<planner::Rates> rates;
    for (const auto& l : kept.looks) { rates.push_back(l.rates); }
    return SpeedsNow{std::move(kept.speeds), planner::quantile(rates, 0.5)};
}

}  // namespace wallaby::cli
