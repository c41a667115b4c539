// What somebody wants of a model, in words, and how much a weight format costs in quality.
#pragma once
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace wallaby::planner {

// What was not said is 0.
struct Want {
    double tokens_per_s = 0;  // of one sequence, at the full context
    uint32_t n_ctx = 0;
    double memory_bytes = 0;

    bool operator==(const Want&) const = default;
};

// "20 tok/s at 32k in 16 GB", in any order: a number with tok/s, t/s or tokens/s; after "at", tokens of context (k:
// 1,024); after "in", GB, GiB or MB. A speed must be among them.
Result<Want> parse_want(std::string_view text);

// A mix and what it does to a model.
struct Quality {
    std::string_view type;
    double perplexity_increase =
        0;  // over F16's 6.23 on wikitext-2 with Llama 3 8B, as llama-quantize lists them (2024)
};

// From the least loss to the greatest.
std::span<const Quality> qualities();

// What drafting saves (Leviathan, Kalman and Matias 2023, arXiv 2211.17192): k drafts a step, each accepted with
// probability p if all before it were, give (1 - p^(k+1)) / (1 - p) tokens, in the time of verify_steps steps of one
// token and k drafts of draft_steps each. Tokens a second by what they were.
double speculation_gain(uint32_t k, double p, double verify_steps, double draft_steps);
// The probability from which on that is a gain; nothing where none is.
std::optional<double> speculation_break_even(uint32_t k, double verify_steps, double draft_steps);

}  // namespace wallaby::planner
