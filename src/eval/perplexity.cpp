#include "eval/perplexity.h"

#include "eval/softmax.h"

namespace wallaby::eval {
namespace {

struct Sums {
    Moments nll;
    std::vector<Estimate> running;

    void archive(Archive& a) {
        nll.archive(a);
        a.list(running, 2, [&](Estimate& ppl) {
            a(ppl.value);
            a(ppl.error);
        });
    }
};

}  // namespace

Result<double> negative_log_likelihood(std::span<const float> logits, int32_t next) {
    WALLABY_TRY(const LogSoftmax log_p, LogSoftmax::of(logits));
    return -log_p(logits[size_t(next)]);
}

Result<Perplexity> perplexity(engine::Session& session, const Chunks& chunks, BaseWriter* save,
                              const PerplexityProgress& progress, const std::stop_token& stop, StateFile* state) {
    Sums sums;
    const auto row = [&](const ScoredRow& r) -> Result<void> {
        WALLABY_TRY(const double v, negative_log_likelihood(r.logits, r.next));
        sums.nll.add(v);
        return save != nullptr ? save->add(r.logits) : Result<void>();
    };
    const auto chunk = [&](size_t i) -> Result<void> {
        WALLABY_OK(score(session, chunks, i, row, stop));
        sums.running.push_back(exp(sums.nll.estimate()));
        if (progress) { progress(i + 1, chunks.n_chunks(), sums.running.back()); }
        return {};
    };
    const auto fits = [&](uint64_t n) { return sums.running.size() == n && sums.nll.count() == n * chunks.n_scored(); };
    WALLABY_OK(run_units(chunks.n_chunks(), sums, state, fits, chunk));
    const Estimate nll = sums.nll.estimate();
    return Perplexity{sums.nll.count(), nll, exp(nll), std::move(sums.running)};
}

}  // namespace wallaby::eval
