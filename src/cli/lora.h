// --lora and --lora-scaled: which adapters are used, and how much of each.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace wallaby::cli {

struct LoraChoice {
    std::string path;
    float scale = 1;
};

struct LoraFlags {
    std::vector<std::string> plain, scaled;  // FILE, FILE:SCALE

    // what: happens with them.
    void add(CLI::App& app, const std::string& what);
    // Those of --lora, then those of --lora-scaled.
    Result<std::vector<LoraChoice>> choices() const;
};

}  // namespace wallaby::cli
