#include "eval/perplexity.h"

#include "eval/softmax.h"

namespace wallaby::eval {

Result<double> negative_log_likelihood(std::span<const float> logits, int32_t next) {
    WALLABY_TRY(const LogSoftmax log_p, LogSoftmax::of(logits));
    return -log_p(logits[size_t(next)]);
}

Result<Perplexity> perplexity(engine::Session& session, const Chunks& chunks, BaseWriter* save,
                              const PerplexityProgress& progress, const std::stop_token& stop) {
    Perplexity result;
    Moments nll;
    const auto row = [&](const ScoredRow& r) -> Result<void> {
        WALLABY_TRY(const double v, negative_log_likelihood(r.logits, r.next));
        nll.add(v);
        if (save != nullptr) { WALLABY_OK(save->add(r.logits)); }
        if (r.index + 1 == chunks.n_scored()) {
            result.running.push_back(exp(nll.estimate()));
            if (progress) { progress(r.chunk + 1, chunks.n_chunks(), result.running.back()); }
        }
        return {};
    };
    WALLABY_OK(score(session, chunks, row, stop));
    result.n_scored = nll.count();
    result.nll = nll.estimate();
    result.ppl = exp(result.nll);
    return result;
}

}  // namespace wallaby::eval
