// What `wallaby eval --compare` finds out of several models, and how it prints it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "eval/statistics.h"

namespace wallaby::cli {

// Tokens a second: the mean of a few runs, and their standard deviation.
struct MeasuredSpeed {
    double mean = 0, spread = 0;
};

struct Compared {
    std::string model;
    uint64_t n_bytes = 0, n_weights = 0;           // of its tensors
    std::optional<MeasuredSpeed> prompt, decode;   // nothing: was not measured
    eval::Estimate ppl, kld, same_top;             // kld: mean, to the base
    double kld_99 = 0, kld_max = 0;                // of its tokens
    bool is_base = false, is_on_frontier = false;  // no other is smaller and as near to the base, or nearer
    double bits_per_weight() const { return 8 * double(n_bytes) / double(n_weights); }
};

struct Comparison {
    std::string base;  // what the others are compared with
    uint32_t n_ctx = 0;
    uint64_t n_scored = 0;
    std::vector<Compared> models;
};

// Which of them are worth having.
void mark_frontier(Comparison& comparison);

std::string comparison_text(const Comparison& comparison);
std::string comparison_markdown(const Comparison& comparison);
std::string comparison_json(const Comparison& comparison);
std::string comparison_svg(const Comparison& comparison);

}  // namespace wallaby::cli
