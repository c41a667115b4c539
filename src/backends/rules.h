// What every back end asks of its settings, its batches and its results before it relies on them.
#pragma once
#include <span>

#include "backends/backend.h"

namespace wallaby::backends {

// Counts above zero, a context the model has, page numbers that fit.
Result<void> check_settings(const ops::Model& model, const Settings& settings);
// The slots of recurrent states, in all; 0 where the model has none.
Result<uint32_t> slots_of(const ops::Model& model, const Settings& settings);
// What a batch is checked against. slot_tokens: by slot, how many tokens its state has taken.
struct Ground {
    const Executable& executable;
    const ops::Model& model;
    std::span<const uint32_t> slot_tokens;
};
Result<void> check_batch(const Ground& ground, const Batch& batch, uint32_t program, size_t n_logits);
// Infinities and NaN are errors.
Result<void> check_logits(std::span<const float> logits, uint32_t n_vocab);

}  // namespace wallaby::backends
