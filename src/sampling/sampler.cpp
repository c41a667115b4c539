#include "sampling/sampler.h"

#include <algorithm>

#include "base/math.h"

namespace wallaby::sampling {

Result<void> check(const Params& p) {
    const auto refuse = [](std::string_view flag, double value, std::string_view allowed) {
        return Error{
            ErrorCode::argument, fmt::format("is {}, but must be {}", value, allowed), {"", std::string(flag), {}}, ""};
    };
    // Written so that NaN fails.
    if (!(p.temperature >= 0 && p.temperature <= 1e6)) { return refuse("--temp", p.temperature, "from 0 to 1e6"); }
    if (!(p.top_p >= 0 && p.top_p <= 1)) { return refuse("--top-p", p.top_p, "from 0 to 1"); }
    if (!(p.min_p >= 0 && p.min_p <= 1)) { return refuse("--min-p", p.min_p, "from 0 to 1"); }
    if (!(p.repeat_penalty > 0 && p.repeat_penalty <= 1e6)) {
        return refuse("--repeat-penalty", p.repeat_penalty, "above 0, to 1e6");
    }
    return {};
}

double log_probability(std::span<const float> logits, int32_t token) {
    const double top = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float l : logits) { sum += base::exp(l - top); }
    return logits[size_t(token)] - top - base::log(sum);
}

Choice Sampler::sample(std::span<const float> logits, std::span<const int32_t> history) {
    candidates_.clear();
    for (size_t i = 0; i < logits.size(); i++) { candidates_.push_back({logits[i], int32_t(i)}); }
    penalise(history);
    if (params_.temperature == 0) {
        const auto best = std::max_element(candidates_.begin(), candidates_.end(),
                                           [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; });
        return {best->token, log_probability(logits, best->token)};
    }
    cut_top_k();
    cut_by_probability();
    const int32_t token = draw();
    return {token, log_probability(logits, token)};
}

void Sampler::penalise(std::span<const int32_t> history) {
    if (params_.repeat_penalty == 1 || params_.repeat_last_n == 0) { return; }
    const size_t n = std::min<size_t>(history.size(), params_.repeat_last_n);
    std::vector<int32_t> seen(history.end() - std::ptrdiff_t(n), history.end());
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (const int32_t token : seen) {
        if (token < 0 || size_t(token) >= candidates_.size()) { continue; }
        double& logit = candidates_[size_t(token)].logit;
        logit = logit > 0 ? logit / params_.repeat_penalty : logit * params_.repeat_penalty;
    }
}

void Sampler::cut_top_k() {
    const auto before = [](const Candidate& a, const Candidate& b) {
        return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
    };
    const size_t k = params_.top_k == 0 ? candidates_.size() : std::min<size_t>(params_.top_k, candidates_.size());
    std::partial_sort(candidates_.begin(), candidates_.begin() + std::ptrdiff_t(k), candidates_.end(), before);
    candidates_.resize(k);
}

void Sampler::cut_by_probability() {
    const double top = candidates_.front().logit;
    weights_.clear();
    double sum = 0;
    for (const Candidate& c : candidates_) {
        weights_.push_back(base::exp(c.logit - top));
        sum += weights_.back();
    }
    size_t n = candidates_.size();
    if (params_.top_p < 1) {
        double cumulative = 0;
        n = 0;
        while (n < candidates_.size()) {
            cumulative += weights_[n++] / sum;
            if (cumulative >= params_.top_p) { break; }
        }
    }
    // weights_[0] is 1: the share of the largest probability.
    while (n > 1 && weights_[n - 1] < params_.min_p) { n--; }
    candidates_.resize(std::max<size_t>(n, 1));
}

int32_t Sampler::draw() {
    const double top = candidates_.front().logit;
    weights_.clear();
    double sum = 0;
    for (const Candidate& c : candidates_) {
        weights_.push_back(base::exp((c.logit - top) / params_.temperature));
        sum += weights_.back();
    }
    const double at = random_.uniform() * sum;
    double cumulative = 0;
    for (size_t i = 0; i < candidates_.size(); i++) {
        cumulative += weights_[i];
        if (at < cumulative) { return candidates_[i].token; }
    }
    return candidates_.back().token;  // rounding left `at` at the very end
}

}  // namespace wallaby::sampling
