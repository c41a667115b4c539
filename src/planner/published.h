// What others have measured and published: assets/measurements.csv.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wallaby::planner {

struct Published {
    std::string machine, engine;  // the machine's id in assets/machines.toml
    std::string model, format;    // a known model's name, and a mix or format
    bool is_prompt = false;       // a prompt of n_tokens; otherwise n_tokens written after none
    uint32_t n_tokens = 0;
    double tokens_per_s = 0;
    std::string source, date;
};

// Lines of machine,engine,model,format,test,tokens_per_s,source,date after a heading of these names. `file` is for
// messages; an error names the line.
Result<std::vector<Published>> read_published(std::string_view csv, const std::string& file);

}  // namespace wallaby::planner
