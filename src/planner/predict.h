// How long work will take on this machine: the op list's costs at the speeds that probe/ measured.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/program.h"
#include "planner/speeds.h"
#include "planner/work.h"

namespace wallaby::planner {

// Seconds by what takes them.
struct Prediction {
    double matmul_read = 0, matmul_compute = 0;  // by what their ops wait for
    double attention = 0;
    double rows = 0;   // norms, RoPE, gates and the like
    double waits = 0;  // of threads for each other, and of starting a run

    double seconds() const { return matmul_read + matmul_compute + attention + rows + waits; }
    // "weights", "compute", "attention", "rows" or "waits": where most of the time goes.
    std::string_view limiter() const;
};

// Of the model's first program. now: what the machine gives at the moment; speeds are scaled by it. Error
// `unsupported`: an op or a type that speeds has no figure of.
Result<Prediction> predict(const ops::Model& model, const Work& work, quant::Type k_type, quant::Type v_type,
                           const Speeds& speeds, const Rates& now);

// What a prediction needs to be measured: the types of the program's matrices.
std::vector<quant::Type> matrix_types(const ops::Model& model);

}  // namespace wallaby::planner
