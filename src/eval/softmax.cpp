#include "eval/softmax.h"

#include <algorithm>

#include "base/math.h"

namespace wallaby::eval {

Result<LogSoftmax> LogSoftmax::of(std::span<const float> logits) {
    const size_t bad = base::first_not_finite(logits);
    if (bad < logits.size() || logits.empty()) {
        return Error{
            ErrorCode::numeric,
            logits.empty() ? "there are no logits" : fmt::format("the logit of token {} is {}", bad, logits[bad]),
            {},
            ""};
    }
    LogSoftmax s;
    const auto top = std::max_element(logits.begin(), logits.end());
    s.argmax_ = size_t(top - logits.begin());
    s.top_ = *top;
    double sum = 0;
    for (const float l : logits) { sum += base::exp(l - s.top_); }
    s.log_sum_ = base::log(sum);
    return s;
}

}  // namespace wallaby::eval
