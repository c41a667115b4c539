// What work cannot be faster than: the bytes that it moves and the operations that it does, by ops/cost.h, over
// rates that were measured beside it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ops/program.h"
#include "planner/rates.h"
#include "planner/work.h"

namespace wallaby::planner {

// What work moves and computes, and the seconds that this takes at least.
struct Limit {
    // Weights and states, each once a step at best. Activations count as no bytes: they stay in the caches.
    uint64_t bytes = 0;
    uint64_t operations = 0;  // a multiply-add is two
    // By what the ops wait for. An op takes the longer of reading its bytes and computing its operations, and ops
    // follow each other.
    double read_seconds = 0, int8_seconds = 0, bf16_seconds = 0, f32_seconds = 0;

    double seconds() const { return read_seconds + int8_seconds + bf16_seconds + f32_seconds; }
    std::string_view limiter() const;  // "read", "int8", "bf16" or "f32": where most of the time goes
};

// Of the model's first program. Matmuls over quantised weights, and the products with quantised keys, are done at the
// int8 rate; everything else, weights in F32, F16 and BF16 among it, at the f32 rate, because logits are defined in
// float32 (docs/numerics.md). Where there is a bf16 rate, native products of bf16 numbers were asked for, and weights
// in BF16 count at that. Experts are thought to be chosen at random. A rate of 0 counts as no time.
Limit limit_of(const ops::Model& model, const Work& work, quant::Type k_type, quant::Type v_type, const Rates& rates);

// The same by kinds of ops, in the program's order: matmuls by the type of their matrices, the others by their names.
struct KindLimit {
    std::string name;  // "matmul Q4_K", "attend"
    Limit limit;
};
std::vector<KindLimit> limits_by_kind(const ops::Model& model, const Work& work, quant::Type k_type, quant::Type v_type,
                                      const Rates& rates);

}  // namespace wallaby::planner
