// How a program runs on the CPU: in steps, each of three parts. First what goes row by row (norms, RoPE, gates, sums,
// appending to the cache …): all that is ready, a row at a time, so that a row's numbers stay in the nearest cache.
// Then the inputs of the matmuls that come next, as their kernels want them, once for all that share one. Then what
// wants every thread: matmuls that are ready together, attention, scans. A layer of a llama takes four steps (q/k/v and
// attention, the output, gate and up, down): five waits of all threads for each other, the row parts of a single token
// being done by one.
#pragma once
#include <functional>

#include "backends/layout.h"
#include "kernels/kernels.h"
#include "ops/program.h"

namespace wallaby::backends::cpu {

// A value as a matmul reads it.
struct Operand {
    ops::ValueId value = ops::none;
    kernels::Activations kind = kernels::Activations::f32;
    uint32_t n_in = 0;
    ops::ValueId ids = ops::none;  // routed: expert ids; columns are then sorted by expert
    uint32_t n_used = 1, n_expert = 1;

    friend bool operator==(const Operand&, const Operand&) = default;
};

struct Step {
    std::vector<uint32_t> row_ops;
    std::vector<Operand> operands;
    struct Wide {
        uint32_t op = 0;
        uint32_t operand = ops::none;  // of a matmul: index into operands
    };
    std::vector<Wide> wide;
};

struct Schedule {
    std::vector<Step> steps;
    Layout layout;
};

using KindOf = std::function<kernels::Activations(quant::Type)>;
// program is checked (ops::check).
Schedule schedule(const ops::Model& model, const ops::Program& program, const KindOf& kind_of);

}  // namespace wallaby::backends::cpu
