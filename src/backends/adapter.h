// What a LoRA adapter changes of a program's matrices: what every back end asks of one before it takes it.
#pragma once
#include <vector>

#include "backends/backend.h"
#include "gguf/adapter.h"
#include "ops/program.h"

namespace wallaby::backends {

// Of one weight: rows [first_row, first_row + n_out) of the factor b, of each matrix. factors: nullptr where the weight
// stays as it is; otherwise the adapter's.
struct Change {
    const gguf::LowRank* factors = nullptr;
    uint64_t first_row = 0;
    double strength = 1;  // what B A is multiplied by, besides the scale of whoever uses the adapter
};

// By weight. An adapter that changes what no matmul multiplies by is an error that names it.
Result<std::vector<Change>> changes_of(const ops::Model& model, const gguf::Adapter& adapter);

}  // namespace wallaby::backends
