// Elementary functions in double, ours: the same bits on every machine and with every libm, because they use only
// IEEE additions, multiplications, divisions and integer operations in a fixed order. Accuracy is stated per function
// in units in the last place (ulp) of the double result and tested against the C library in long double.
#pragma once
#include <cstddef>
#include <span>

namespace wallaby::base {

// e^x. 1 ulp. exp(0) is exactly 1, exp(-inf) exactly 0; NaN stays NaN.
double exp(double x);
// out[i] = exp(x[i]), the same bits in a third of the time; out may be x.
void exp_each(const double* x, double* out, size_t n);
// Natural logarithm. 2 ulp. log(1) is exactly 0, log(0) is -inf, negative arguments give NaN.
double log(double x);
// base^exponent for base > 0: relative error below 1e-15 * (1 + |exponent * log(base)|); NaN for a negative base.
double pow(double base, double exponent);
// 1 ulp for |x| < 2^22 * pi/2; beyond that the argument is first reduced by fmod(x, 2 pi in double). NaN for inf.
double sin(double x);
double cos(double x);
// Hyperbolic tangent: 6 ulp.
double tanh(double x);

// Where the first infinity or NaN stands; the size where there is none.
size_t first_not_finite(std::span<const float> values);

}  // namespace wallaby::base
