// What machines are said to be able to do, by the figures that are published of them.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wallaby::planner {

struct Figure {
    double value = 0;
    std::string source, date;  // a title, and "YYYY" or "YYYY-MM"; empty where a file of the user's names none
};

struct Machine {
    std::string id, name;
    std::string tier;  // "apple-max": machines of one tier are thought to reach the same shares of their figures
    std::vector<std::string> aliases;
    Figure memory;                                     // bytes
    Figure bandwidth;                                  // bytes per second
    std::map<std::string, Figure, std::less<>> rates;  // operations per second: "f32", "f16", "bf16", "int8", "int4"

    // The rate that prompts are held against: int8 on CPUs, half precision on GPUs but Apple's, and what there is
    // besides; 0: none.
    double prompt_ops_per_s() const;
};

// A TOML document: [sources] by key ({title, date}), and [[machine]] as assets/machines.toml has them. `file` is for
// messages. An error names the machine and the key.
Result<std::vector<Machine>> read_machines(std::string_view toml, const std::string& file);

// By id or alias; nullptr: none.
const Machine* find_machine(const std::vector<Machine>& machines, std::string_view name);

}  // namespace wallaby::planner
