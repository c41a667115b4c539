#include "eval/divergence.h"

#include <algorithm>
#include <cmath>

#include "base/math.h"
#include "eval/softmax.h"

namespace wallaby::eval {
namespace {

std::vector<Percentile> percentiles(std::span<const float> sorted, std::initializer_list<double> fractions) {
    std::vector<Percentile> out;
    for (const double fraction : fractions) { out.push_back({fraction, percentile(sorted, fraction)}); }
    return out;
}

}  // namespace

Result<void> DivergenceSum::add(std::span<const float> base, std::span<const float> q, int32_t next) {
    WALLABY_TRY(const LogSoftmax log_base, LogSoftmax::of(base));
    WALLABY_TRY(const LogSoftmax log_q, LogSoftmax::of(q));
    double kld = 0;
    for (size_t i = 0; i < base.size(); i++) {
        const double log_p = log_base(base[i]);
        kld += base::exp(log_p) * (log_p - log_q(q[i]));
    }
    kld = std::max(kld, 0.0);  // it cannot be negative: below 0 is rounding
    const double log_p_base = log_base(base[size_t(next)]), log_p = log_q(q[size_t(next)]);
    const double dp = base::exp(log_p) - base::exp(log_p_base);
    nll_.add(-log_p);
    nll_base_.add(-log_p_base);
    log_ratio_.add(log_p_base - log_p);
    kld_.add(kld);
    dp_.add(dp);
    dp_square_.add(dp * dp);
    n_same_top_ += log_base.argmax() == log_q.argmax() ? 1 : 0;
    klds_.push_back(float(kld));
    dps_.push_back(float(dp));
    return {};
}

Estimate DivergenceSum::same_top() const {
    const auto n = double(kld_.count());
    const double share = double(n_same_top_) / n;
    return {share, n < 2 ? 0 : std::sqrt(share * (1 - share) / (n - 1))};
}

Estimate DivergenceSum::dp_rms() const {
    const Estimate square = dp_square_.estimate();
    const double rms = std::sqrt(square.value);
    return {rms, rms > 0 ? 0.5 / rms * square.error : 0};
}

DivergenceSum::Running DivergenceSum::running() const {
    return {exp(nll_.estimate()), log_ratio_.estimate(), kld_.estimate(), dp_rms(), same_top()};
}

Divergence DivergenceSum::result() const {
    Divergence d;
    d.n_scored = kld_.count();
    d.ppl = exp(nll_.estimate());
    d.ppl_base = exp(nll_base_.estimate());
    // The variance of a difference gives the covariance: var(a − b) = var(a) + var(b) − 2 cov(a, b).
    const double var = nll_.variance_of_mean(), var_base = nll_base_.variance_of_mean();
    const double covariance = (var + var_base - log_ratio_.variance_of_mean()) / 2;
    d.correlation = var > 0 && var_base > 0 ? covariance / std::sqrt(var * var_base) : 0;
    d.log_ratio = log_ratio_.estimate();
    d.ratio = exp(d.log_ratio);
    const double a = d.ppl.value, b = d.ppl_base.value;
    const double var_difference = (a * a) * var + (b * b) * var_base - 2 * ((a * b) * covariance);
    d.difference = {a - b, std::sqrt(std::max(var_difference, 0.0))};
    d.kld = kld_.estimate();
    d.dp = dp_.estimate();
    d.dp_rms = dp_rms();
    d.same_top = same_top();

    std::vector<float> sorted = klds_;
    std::sort(sorted.begin(), sorted.end());
    d.kld_min = sorted.front();
    d.kld_max = sorted.back();
    d.kld_median = percentile(sorted, 0.5);
    d.kld_percentiles = percentiles(sorted, {0.999, 0.99, 0.95, 0.9, 0.1, 0.05, 0.01, 0.001});
    sorted = dps_;
    std::sort(sorted.begin(), sorted.end());
    d.dp_min = sorted.front();
    d.dp_max = sorted.back();
    d.dp_median = percentile(sorted, 0.5);
    d.dp_percentiles = percentiles(sorted, {0.999, 0.99, 0.95, 0.9, 0.75, 0.25, 0.1, 0.05, 0.01, 0.001});
    return d;
}

void DivergenceSum::archive(Archive& a) {
    for (Moments* m : {&nll_, &nll_base_, &log_ratio_, &kld_, &dp_, &dp_square_}) { m->archive(a); }
    a(n_same_top_);
    a(klds_);
    a(dps_);
}

bool DivergenceSum::is_consistent() const {
    const auto agrees = [&](const Moments& m) { return m.count() == n_rows(); };
    return agrees(nll_) && agrees(nll_base_) && agrees(log_ratio_) && agrees(kld_) && agrees(dp_) &&
           agrees(dp_square_) && n_same_top_ <= n_rows() && dps_.size() == n_rows();
}

Result<void> check_vocabulary(const engine::Model& model, const BaseReader& base) {
    const auto differs = [&](std::string what) {
        return Error{
            ErrorCode::model, std::move(what), {model.name(), "vocabulary", {}}, "Compare models of one vocabulary"};
    };
    if (model.n_vocab() != base.n_vocab()) {
        return differs(fmt::format("has {} tokens, but the base logits of {} have {}", model.n_vocab(), base.name(),
                                   base.n_vocab()));
    }
    WALLABY_TRY(const text::Tokenizer* tokenizer, model.tokenizer());
    if (vocabulary_digest(*tokenizer) != base.digest()) {
        return differs(fmt::format("has as many tokens as that of the base logits of {}, but other ones", base.name()));
    }
    return {};
}

Result<void> check_chunks(const Chunks& chunks, const BaseReader& base) {
    const Chunks& theirs = base.chunks();
    const auto differs = [&](std::string field, std::string what) {
        return Error{ErrorCode::model, std::move(what), {base.name(), std::move(field), {}}, ""};
    };
    if (chunks.n_ctx != theirs.n_ctx || chunks.first != theirs.first) {
        return differs("n_ctx", fmt::format("has chunks of {} tokens, scored from position {}; not of {}, from {}",
                                            theirs.n_ctx, theirs.first, chunks.n_ctx, chunks.first));
    }
    const auto [ours, other] =
        std::mismatch(chunks.tokens.begin(), chunks.tokens.end(), theirs.tokens.begin(), theirs.tokens.end());
    if (ours == chunks.tokens.end() && other == theirs.tokens.end()) { return {}; }
    if (ours == chunks.tokens.end() || other == theirs.tokens.end()) {
        return differs("n_chunks", fmt::format("has {} chunks, but the text {}", theirs.n_chunks(), chunks.n_chunks()));
    }
    return differs("tokens", fmt::format("token {} is {}, but {} in the text: the base logits are of another text",
                                         other - theirs.tokens.begin(), *other, *ours));
}

Result<Divergence> divergence(engine::Session& session, BaseReader& base, const DivergenceProgress& progress,
                              const std::stop_token& stop, StateFile* state) {
    WALLABY_OK(check_vocabulary(session.model(), base));
    const Chunks& chunks = base.chunks();
    DivergenceSum sum;
    const auto row = [&](const ScoredRow& r) -> Result<void> {
        WALLABY_TRY(const std::span<const float> logits, base.row(r.chunk, r.index));
        return sum.add(logits, r.logits, r.next);
    };
    const auto chunk = [&](size_t i) -> Result<void> {
        WALLABY_OK(score(session, chunks, i, row, stop));
        if (progress) { progress(i + 1, chunks.n_chunks(), sum.running()); }
        return {};
    };
    const auto fits = [&](uint64_t n) { return sum.is_consistent() && sum.n_rows() == n * chunks.n_scored(); };
    WALLABY_OK(run_units(chunks.n_chunks(), sum, state, fits, chunk));
    return sum.result();
}

}  // namespace wallaby::eval
