// Means with their standard errors, and percentiles.
#pragma once
#include <cstdint>
#include <span>

namespace wallaby::eval {

class Archive;

// A value and the standard error of it; 0 where it cannot be told (fewer than two samples).
struct Estimate {
    double value = 0, error = 0;
};

// Mean and spread of samples that come one by one, by Welford's recurrence: no difference of large sums, so that equal
// samples have an error of exactly 0.
class Moments {
  public:
    void add(double x);
    uint64_t count() const { return n_; }
    double mean() const { return mean_; }
    double variance_of_mean() const;  // the squared standard error: (E[x²] − E[x]²) / (n − 1)
    Estimate estimate() const;
    void archive(Archive& a);  // state_file.h

  private:
    uint64_t n_ = 0;
    double mean_ = 0;
    double squares_ = 0;  // sum of (x − mean)²
};

// e^x of an estimate, its error to first order.
Estimate exp(const Estimate& x);

// The value below which `fraction` of them lie, between two values by linear interpolation. values: ascending, not
// empty.
double percentile(std::span<const float> values, double fraction);

}  // namespace wallaby::eval
