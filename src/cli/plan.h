// What `wallaby plan` finds out, and how it prints it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "cli/plan_model.h"
#include "planner/forecast.h"
#include "planner/roofline.h"
#include "planner/want.h"

namespace wallaby::cli {

// A change of settings or machine, and decode at the full context with it.
struct Change {
    std::string what;         // "Q3_K_M instead of Q4_K_M"
    double tokens_per_s = 0;  // of all sequences together
    double gain = 0;          // by how much of what it is now
};

// A choice of types that does what --want asks for, or would with more bandwidth.
struct Choice {
    std::string type;
    double loss = 0;  // planner::Quality
    quant::Type kv_type = quant::Type::f16;
    uint64_t needed_bytes = 0;
    double tokens_per_s = 0;
    double wanted_bandwidth = 0;  // bytes per second that would be enough, where the machine's own is known; or 0
    bool meets = false;
};

// What drafting does (planner/want.h).
struct Speculation {
    uint32_t n_drafts = 0;
    double acceptance = 0, draft_steps = 0, verify_steps = 0;
    double gain = 0;
    std::optional<double> break_even;
};

struct MachinePlan {
    std::string id, name;
    double memory_bytes = 0;  // that a process can have
    backends::MemoryPlan memory;
    uint64_t process_bytes = 0;
    uint64_t needed() const { return memory.total() + process_bytes; }
    bool fits() const { return double(needed()) <= memory_bytes; }
    uint32_t largest_context = 0, largest_sequences = 0;  // 0: not even one
    // Or why nothing can be said.
    Result<planner::Estimate> prompt = Error{}, decode = Error{}, decode_full = Error{};
    std::vector<Change> changes;  // the most helpful first
    std::vector<Choice> choices;  // of --want: those that meet it by their loss; or else all that fit
    std::optional<Speculation> speculation;
    planner::Roofline roofline;  // of the prompt, and of decode after it; empty where none is drawn
};

struct PlanReport {
    std::string model, type;
    double n_params = 0, n_bytes = 0;
    uint32_t n_prompt = 0;  // tokens of the prompt
    std::optional<planner::Want> want;
    backends::Settings settings;
    std::vector<MachinePlan> machines;
};

std::string plan_text(const PlanReport& report);
std::string plan_json(const PlanReport& report);
std::string plan_csv(const PlanReport& report);
// Roofline plots, one below the other.
std::string plan_svg(const PlanReport& report);
std::string plan_plot(const PlanReport& report);

}  // namespace wallaby::cli
