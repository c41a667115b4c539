// What an op costs, as a function of the step's extent: the one source for planning, prediction and `inspect --ops`.
#pragma once
#include <cstdint>
#include <vector>

#include "ops/program.h"

namespace wallaby::ops {

// One step as it will run.
struct Extent {
    struct Sequence {
        uint64_t n_past = 0;  // tokens it has already
        uint64_t n_tokens = 1;
        uint64_t n_outputs = 1;
    };
    std::vector<Sequence> sequences = {Sequence{}};
    double experts_hit = 0;  // distinct experts of a layer that the step's tokens use

    uint64_t n_tokens() const;
    uint64_t n_outputs() const;
    // Sum over the tokens of the keys each attends to, itself included. window: 0, or what each sees at most.
    uint64_t keys_visited(uint64_t window) const;
    // Keys that some token of the step attends to: what is read once per step at best.
    uint64_t keys_stored(uint64_t window) const;
};

struct Cost {
    uint64_t macs = 0;                           // multiply-adds
    uint64_t transcendental = 0;                 // exp, tanh, sin …
    uint64_t weight_bytes = 0;                   // read, each weight once per step
    uint64_t state_read = 0, state_written = 0;  // bytes
    uint64_t value_bytes = 0;                    // activations read and written

    Cost& operator+=(const Cost& other);
};

// k_type, v_type: how the states store keys and values.
Cost cost(const Model& model, const Program& program, const Op& op, const Extent& extent, quant::Type k_type,
          quant::Type v_type);

}  // namespace wallaby::ops
