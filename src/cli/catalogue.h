// The catalogue's machines and published results, and what is learnt from them.
#pragma once
#include <string>
#include <vector>

#include "planner/forecast.h"
#include "planner/published.h"

namespace wallaby::cli {

struct Catalogue {
    std::vector<planner::Machine> machines;
    std::vector<planner::Published> published;
    std::vector<planner::Observation> observations;  // of each published result
};

// Computes the arithmetic of every published result.
Result<Catalogue> open_catalogue();

// How the catalogue's machine, or a file's (its name ends in .toml), does work.
Result<planner::Machine> machine_named(const Catalogue& catalogue, const std::string& name);
std::unique_ptr<planner::Forecaster> forecaster_of(const Catalogue& catalogue, const planner::Machine& machine);

}  // namespace wallaby::cli
