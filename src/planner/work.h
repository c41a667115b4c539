// What is asked of a model: the steps that answer it.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <variant>
#include <vector>

#include "ops/cost.h"

namespace wallaby::planner {

// n_prompt tokens in batches of n_batch, then n_gen single steps, after n_depth tokens that count for nothing but the
// keys and values they left. n_seqs sequences do it: prompts after each other, steps together.
struct Work {
    uint32_t n_prompt = 0, n_gen = 0, n_depth = 0, n_seqs = 1, n_batch = 256;
    uint32_t n_step = 1;  // tokens of a sequence in each of the n_gen steps: more than one where drafts are verified

    uint64_t n_tokens() const { return uint64_t(n_seqs) * (uint64_t(n_prompt) + uint64_t(n_gen) * n_step); }
};

// Distinct experts of a layer that n_tokens tokens use when each of them chooses at random: E (1 - (1 - k/E)^n). 0 of a
// model without experts.
inline double experts_hit(const ops::Program& program, uint64_t n_tokens) {
    for (const ops::Op& op : program.ops) {
        if (const auto* route = std::get_if<ops::Route>(&op.spec)) {
            const double n = route->n_expert;
            return n * (1 - std::pow(1 - route->n_used / n, double(n_tokens)));
        }
    }
    return 0;
}

// each(extent) for every step, in order; of a prompt, its last row alone has an output.
template <class Each>
void for_each_step(const ops::Program& program, const Work& work, const Each& each) {
    const auto step = [&](std::vector<ops::Extent::Sequence> sequences) {
        ops::Extent extent{std::move(sequences)};
        extent.experts_hit = experts_hit(program, extent.n_tokens());
        each(extent);
    };
    for (uint32_t sequence = 0; sequence < work.n_seqs; sequence++) {
        for (uint32_t done = 0; done < work.n_prompt;) {
            const uint32_t n = std::min(work.n_batch, work.n_prompt - done);
            const bool is_last = done + n == work.n_prompt;
            step({{uint64_t(work.n_depth) + done, n, is_last ? 1u : 0u}});
            done += n;
        }
    }
    for (uint32_t i = 0; i < work.n_gen; i++) {
        const uint64_t n_past = uint64_t(work.n_depth) + work.n_prompt + uint64_t(i) * work.n_step;
        step(std::vector(work.n_seqs, ops::Extent::Sequence{n_past, work.n_step, work.n_step}));
    }
}

}  // namespace wallaby::planner
