// The roofline model (Williams, Waterman and Patterson 2009, Communications of the ACM 52(4)): what a machine's
// bandwidth and rates allow an op of so many operations a byte, and where a model's ops lie.
#pragma once
#include <string>
#include <vector>

#include "ops/program.h"
#include "planner/rates.h"
#include "planner/work.h"

namespace wallaby::planner {

struct RooflinePoint {
    std::string name;      // "matmul Q4_K", "attend"; "all" of the phase as a whole
    double intensity = 0;  // operations a byte of weights and states
    double ops_per_s = 0;  // as many as the roofs allow
    double seconds = 0;    // that they take
};

struct Roofline {
    Rates rates;
    std::vector<RooflinePoint> decode, prompt;  // "all" first, then kinds of ops, the longest first; empty without work
};

// Of the model's first program. decode, prompt: one phase each, of no tokens where it is not wanted. Ops that move no
// weights and no states, or compute nothing, have no place in the plot. Rates as limit_of takes them.
Roofline roofline_of(const ops::Model& model, const Work& decode, const Work& prompt, quant::Type k_type,
                     quant::Type v_type, const Rates& rates);

}  // namespace wallaby::planner
