// log softmax of one row of logits, in double with our own exp and log.
#pragma once
#include <span>

#include "base/result.h"

namespace wallaby::eval {

class LogSoftmax {
  public:
    // logits: at least one, and finite; otherwise an error with the place of the first that is not.
    static Result<LogSoftmax> of(std::span<const float> logits);

    // log(softmax(logits)[i]), given logits[i].
    double operator()(float logit) const { return (double(logit) - top_) - log_sum_; }
    // The most likely token, the lowest id among equals.
    size_t argmax() const { return argmax_; }

  private:
    double top_ = 0, log_sum_ = 0;  // log of the sum of exp(logit − top)
    size_t argmax_ = 0;
};

}  // namespace wallaby::eval
