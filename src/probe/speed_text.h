// Measured speeds as text (JSON), to be kept between runs.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "planner/speeds.h"

namespace wallaby::probe {

struct KeptSpeeds {
    std::string key;  // what they hold for: machine, build, settings
    planner::Speeds speeds;
    // What the machine gave when it was looked at, the last time last.
    struct Look {
        int64_t at = 0;  // seconds since 1970
        planner::Rates rates;
        bool operator==(const Look&) const = default;
    };
    std::vector<Look> looks = {};

    bool operator==(const KeptSpeeds&) const = default;
};

std::string write_speeds(const std::vector<KeptSpeeds>& kept);
// Nothing, of a text that is not as write_speeds writes it: what it held is measured again.
std::vector<KeptSpeeds> read_speeds(std::string_view text);

}  // namespace wallaby::probe
