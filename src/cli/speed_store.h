// Op speeds that were measured once, kept between runs: one file in the user's cache folder, an entry for each
// processor, build, back end, instruction set and number of threads.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.h"
#include "probe/speeds.h"

namespace wallaby::cli {

// What a model's prediction needs.
struct WantedSpeeds {
    backends::Choice backend;
    std::vector<quant::Type> formats;
    std::vector<std::pair<quant::Type, quant::Type>> kv;
};

// Those that are kept, where they hold all that is wanted; otherwise all that was kept and is wanted is measured
// together (0.2 s a format), and kept. Where nothing can be written they are measured each time.
Result<planner::Speeds> speeds_for(const WantedSpeeds& wanted, threads::Pool& pool, const std::stop_token& stop);
// The same, measured anew.
Result<probe::SpeedReport> measure_and_keep(const WantedSpeeds& wanted, threads::Pool& pool,
                                            const std::stop_token& stop);

// now: the median of what the machine gave lately, looked at (0.3 s) once a minute, three times at least.
struct SpeedsNow {
    planner::Speeds speeds;
    planner::Rates now;
};
Result<SpeedsNow> speeds_now(const WantedSpeeds& wanted, threads::Pool& pool, const std::stop_token& stop);

// $XDG_CACHE_HOME/wallaby/speeds.json, or in ~/.cache; empty where neither is known.
std::string speed_store_path();

}  // namespace wallaby::cli
