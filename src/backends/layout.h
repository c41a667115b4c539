// Where a program's values lie in one scratch buffer: values whose lives do not overlap share their place.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "ops/program.h"

namespace wallaby::backends {

struct Layout {
    std::vector<uint64_t>
        offset;          // of each value, in elements per row: row i of value v is at (offset[v] * n_rows) + i * width
    uint64_t width = 0;  // elements per row in all
};

// Runs of ops that happen together: step[i] is when op i runs, ascending along every dependence. A value lives from its
// op's step to the last step that reads it, both whole. The program's logits get no place: they go to the caller's
// buffer.
Layout lay_out(const ops::Program& program, std::span<const uint32_t> step);
// One op at a time, in order.
Layout lay_out(const ops::Program& program);

}  // namespace wallaby::backends
