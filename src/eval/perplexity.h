// Perplexity: e to the mean negative log-likelihood per scored token, with the standard error that llama-perplexity
// states beside it (the spread of the tokens' log-likelihoods, taken for independent).
#pragma once
#include <vector>

#include "eval/base_logits.h"
#include "eval/state_file.h"
#include "eval/statistics.h"

namespace wallaby::eval {

struct Perplexity {
    uint64_t n_scored = 0;          // tokens
    Estimate nll;                   // nats per token
    Estimate ppl;                   // of all chunks
    std::vector<Estimate> running;  // ppl after each chunk
};

// Called after each chunk.
using PerplexityProgress = std::function<void(size_t n_done, size_t n_total, const Estimate& ppl)>;

// Negative log-likelihood of `next` under softmax(logits). next: one of the row.
Result<double> negative_log_likelihood(std::span<const float> logits, int32_t next);

// save: takes every scored row too; nullptr when not wanted. state: what is done already, and where it is kept; not
// with `save`, whose rows it has not.
Result<Perplexity> perplexity(engine::Session& session, const Chunks& chunks, BaseWriter* save,
                              const PerplexityProgress& progress, const std::stop_token& stop,
                              StateFile* state = nullptr);

}  // namespace wallaby::eval
