// How far a model Q lies from a base model on the same text: Kullback-Leibler divergence KL(base ‖ Q) of the next
// token's distribution, and what goes with it, under the names and with the errors that llama-perplexity prints.
#pragma once
#include <vector>

#include "eval/base_logits.h"
#include "eval/chunks.h"
#include "eval/state_file.h"
#include "eval/statistics.h"

namespace wallaby::eval {

// Of a quantity over all scored tokens.
struct Percentile {
    double fraction, value;
};

struct Divergence {
    uint64_t n_scored = 0;
    Estimate ppl, ppl_base;
    double correlation = 0;  // of the two negative log-likelihoods; 0 where one of them is constant
    Estimate log_ratio;      // ln(PPL(Q) / PPL(base))
    Estimate ratio;          // PPL(Q) / PPL(base)
    Estimate difference;     // PPL(Q) − PPL(base)
    Estimate kld;            // nats; exactly 0 between equal logits
    double kld_min = 0, kld_max = 0, kld_median = 0;
    std::vector<Percentile> kld_percentiles;  // descending
    Estimate dp;                              // Δp: probability of the text's own token under Q less that under base
    Estimate dp_rms;
    double dp_min = 0, dp_max = 0, dp_median = 0;
    std::vector<Percentile> dp_percentiles;  // descending
    Estimate same_top;                       // share of tokens where both find the same token most likely
};

// Takes rows one by one; keeps 8 bytes of each for the percentiles.
class DivergenceSum {
  public:
    // base and q: of one length. next: one of the row.
    Result<void> add(std::span<const float> base, std::span<const float> q, int32_t next);

    struct Running {
        Estimate ppl, log_ratio, kld, dp_rms, same_top;
    };
    Running running() const;
    // Of at least one row.
    Divergence result() const;

    uint64_t n_rows() const { return klds_.size(); }
    void archive(Archive& a);
    bool is_consistent() const;  // after reading an archive

  private:
    Estimate same_top() const;
    Estimate dp_rms() const;

    Moments nll_, nll_base_, log_ratio_, kld_, dp_, dp_square_;
    uint64_t n_same_top_ = 0;
    std::vector<float> klds_, dps_;
};

// Called after each chunk.
using DivergenceProgress = std::function<void(size_t n_done, size_t n_total, const DivergenceSum::Running& running)>;

// Evaluates the base's own tokens. A model of another vocabulary is refused. state: what is done already, and where it
// is kept.
Result<Divergence> divergence(engine::Session& session, BaseReader& base, const DivergenceProgress& progress,
                              const std::stop_token& stop, StateFile* state = nullptr);

// Whether the model's vocabulary is that of the base; an error that says how it differs.
Result<void> check_vocabulary(const engine::Model& model, const BaseReader& base);
// Whether a text's chunks are those of the base; an error that names the first difference.
Result<void> check_chunks(const Chunks& chunks, const BaseReader& base);

}  // namespace wallaby::eval
