// Why something took longer than predicted, by what was seen meanwhile.
#pragma once
#include <optional>
#include <string>

#include "base/usage.h"
#include "planner/rates.h"

namespace wallaby::planner {

// From where on a cause is looked for: measured speed by predicted speed.
inline constexpr double slow = 0.7;

struct Evidence {
    base::Usage used;                    // during the stretch of time
    uint32_t n_threads = 1;              // that worked
    uint32_t n_cores = 1;                // that this process may use
    double quota = 0;                    // CPUs' worth of time that cgroups grant; 0: no limit
    std::optional<Rates> before, after;  // what the machine gave at two moments, at least one of them beside the work
};

// The likely cause with what shows it, in one line, the most certain first; nothing where nothing was seen.
std::optional<std::string> likely_cause(const Evidence& evidence);

}  // namespace wallaby::planner
