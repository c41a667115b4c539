// What a process holds in memory that runs a model, and what fits.
#pragma once
#include <cstdint>
#include <functional>

#include "backends/backend.h"
#include "ops/program.h"

namespace wallaby::planner {

// Bytes besides what a back end plans: the program's own code and data, threads, the file's metadata and the tokenizer,
// logits. Measured (docs/arithmetic.md): a base, and a share for each entry of the vocabulary.
uint64_t process_bytes(const ops::Model& model);

// The largest n in [1, most] for which fits(n) holds, given that it holds below any n for which it does; 0: for none.
uint32_t largest(uint32_t most, const std::function<bool(uint32_t)>& fits);

}  // namespace wallaby::planner
