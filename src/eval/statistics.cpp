#include "eval/statistics.h"

#include <algorithm>
#include <cmath>

#include "base/math.h"
#include "eval/state_file.h"

namespace wallaby::eval {

void Moments::add(double x) {
    n_++;
    const double from_old = x - mean_;
    mean_ += from_old / double(n_);
    squares_ += from_old * (x - mean_);
}

double Moments::variance_of_mean() const { return n_ < 2 ? 0 : squares_ / double(n_) / double(n_ - 1); }

Estimate Moments::estimate() const { return {mean_, std::sqrt(variance_of_mean())}; }

void Moments::archive(Archive& a) {
    a(n_);
    a(mean_);
    a(squares_);
}

Estimate exp(const Estimate& x) {
    const double value = base::exp(x.value);
    return {value, value * x.error};
}

double percentile(std::span<const float> values, double fraction) {
    const double place = std::clamp(fraction, 0.0, 1.0) * double(values.size() - 1);
    const auto below = size_t(place);
    const size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (place - double(below)) * (double(values[above]) - values[below]);
}

}  // namespace wallaby::eval
