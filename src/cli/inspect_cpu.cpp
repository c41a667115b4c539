#include "cli/inspect_cpu.h"

#include <nlohmann/json.hpp>

#include "backends/backend.h"
#include "base/cpu.h"
#include "base/processor.h"
#include "threads/cpus.h"

namespace wallaby::cli {
namespace {

std::vector<std::string> feature_names(const base::CpuFeatures& f) {
    std::vector<std::string> out;
    for (int i = 0; i < base::n_cpu_features; i++) {
        if (f.has(base::CpuFeature(i))) { out.emplace_back(base::name_of(base::CpuFeature(i))); }
    }
    return out;
}

}  // namespace

Result<std::string> describe_cpu(const std::string& isa, bool as_json) {
    WALLABY_TRY(const std::string used, backends::instruction_set(isa));
    const std::vector<std::string> features = feature_names(base::cpu_features());
    const std::vector<backends::InstructionSet> sets = backends::instruction_sets();
    const threads::CpuCount count = threads::count_cpus();
    const bool is_wish = !isa.empty() && isa != "auto";
    const std::string name = base::processor_name();
    if (as_json) {
        nlohmann::ordered_json out{{"cpu", name}, {"features", features}, {"isa", used}, {"asked_for", is_wish}};
        out["by_name_only"] = nlohmann::json::array();
        for (const backends::InstructionSet& s : sets) {
            out["instruction_sets"][s.name] = s.why_not;
            if (s.is_by_name_only) { out["by_name_only"].push_back(s.name); }
        }
        out["threads"] = {{"default", count.threads},   {"logical", count.logical}, {"affinity", count.affinity},
                          {"physical", count.physical}, {"quota", count.quota},     {"why", count.reason}};
        return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    }
    std::string text = fmt::format("CPU           {}\nfeatures      {}\n", name, fmt::join(features, " "));
    text += fmt::format("kernels       {} ({})\n", used, is_wish ? "asked for" : "the best that can be used here");
    for (const backends::InstructionSet& s : sets) {
        const char* use = s.is_by_name_only ? "can be used where it is named: its bits are its own" : "can be used";
        text += fmt::format("  {:<11} {}\n", s.name, s.why_not.empty() ? use : s.why_not);
    }
    return text + fmt::format("threads       {} ({})\n", count.threads, count.reason);
}

}  // namespace wallaby::cli
