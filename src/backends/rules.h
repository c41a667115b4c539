// What every back end asks of its settings, its batches and its results before it relies on them.
#pragma once
#include <span>

#include "backends/backend.h"

namespace wallaby::backends {

// Counts above zero, a context the model has, page numbers that fit.
Result<void> check_settings(const ops::Model& model, const Settings& settings);
// The slots of recurrent states, in all; 0 where the model has none.
Result<uint32_t> slots_of(const ops::Model& model, const Settings& settings);
// slot_tokens: by slot, how many tokens its state has taken.
Result<void> check_batch(const ops::Model& model, const MemoryPlan& plan, std::span<const uint32_t> slot_tokens,
                         const Batch& batch, uint32_t program, size_t n_logits);
// Infinities and NaN are errors.
Result<void> check_logits(std::span<const float> logits, uint32_t n_vocab);

}  // namespace wallaby::backends
