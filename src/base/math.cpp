#include "base/math.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

// std::fmod is the one library function used: IEEE 754 defines its result exactly.
namespace wallaby::base {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// ln 2 in two parts: the high one has 32 significant bits, so that k * ln2_high is exact for |k| < 2^21.
constexpr double ln2_high = 0x1.62e42feep-1;
constexpr double ln2_low = 0x1.a39ef35793c76p-33;

// 2^k for -1022 <= k <= 1023.
double power(int k) { return std::bit_cast<double>(uint64_t(uint32_t(k + 1023)) << 52); }

// x * 2^k for any k, in at most two exact steps but for results below the normal range.
double scale(double x, int k) {
    if (k > 1023) { return x * power(1023) * power(k - 1023); }
    if (k < -1022) { return x * power(k + 1000) * power(-1000); }
    return x * power(k);
}

// (e^x - 1 - x) / x^2 for |x| <= 1, by its Taylor series: the first neglected term is below 2^-65. The functions of n
// numbers do to each what they do to one: the steps of one wait for each other, those of several do not.
template <size_t n>
void exp_tails(const double* x, double* out) {
    static constexpr auto coefficients = [] {  // 1/2!, 1/3!, … 1/20!
        std::array<double, 19> c{};
        double factorial = 1;
        for (size_t i = 0; i < c.size(); i++) {
            factorial *= double(i) + 2;
            c[i] = 1 / factorial;
        }
        return c;
    }();
    double sum[n] = {};
    for (size_t i = coefficients.size(); i-- > 0;) {
        for (size_t j = 0; j < n; j++) { sum[j] = sum[j] * x[j] + coefficients[i]; }
    }
    for (size_t j = 0; j < n; j++) { out[j] = sum[j]; }
}

// e^x = fraction * 2^k, the fraction near 1, for finite x.
template <size_t n>
void exp_parts(const double* x, double* fraction, double* k) {
    constexpr double one_over_ln2 = 0x1.71547652b82fep+0;
    double r[n], lost[n], tail[n];
    for (size_t i = 0; i < n; i++) {
        k[i] = x[i] * one_over_ln2;
        k[i] = (k[i] + 0x1.8p52) - 0x1.8p52;
        const double high = x[i] - k[i] * ln2_high;
        const double low = k[i] * ln2_low;
        r[i] = high - low;
        lost[i] = (high - r[i]) - low;
    }
    exp_tails<n>(r, tail);
    for (size_t i = 0; i < n; i++) { fraction[i] = 1 + (r[i] + (r[i] * r[i] * tail[i] + lost[i])); }
}

struct Reduced {
    double high, low;  // the angle minus quadrant * pi/2, |high| <= pi/4 and a little
    unsigned quadrant;
};

// pi/2 in four parts: three of 30 bits, whose products with a count below 2^22 are exact, and the rest.
constexpr double half_pi_1 = 0x1.921fb54p+0;
constexpr double half_pi_2 = 0x1.10b46118p-30;
constexpr double half_pi_3 = 0x1.313198a000000p-61;
constexpr double half_pi_4 = 0x1.701b839a25205p-92;

struct Pair {
    double high, low;
};

// a - b as a rounded difference and what the rounding lost (Knuth's two-sum).
Pair difference(double a, double b) {
    const double r = a - b;
    const double t = r - a;
    return {r, (a - (r - t)) - (b + t)};
}

Reduced reduce(double x) {
    constexpr double two_over_pi = 0x1.45f306dc9c883p-1;
    if (std::fabs(x) > 0x1p22) { x = std::fmod(x, 0x1.921fb54442d18p+2); }
    double n = x * two_over_pi;
    n = (n + 0x1.8p52) - 0x1.8p52;                                    // nearest integer, ties to even
    const Pair first = difference(x - n * half_pi_1, n * half_pi_2);  // three exact products, one exact difference
    const Pair second = difference(first.high, n * half_pi_3);
    const double low = first.low + second.low - n * half_pi_4;
    const double high = second.high + low;
    return {high, (second.high - high) + low, unsigned(int64_t(n)) & 3u};
}

double sin_kernel(double x, double low) {
    const double z = x * x;
    double p = 0;
    p = p * z + 1.0 / 355687428096000.0;
    p = p * z - 1.0 / 1307674368000.0;
    p = p * z + 1.0 / 6227020800.0;
    p = p * z - 1.0 / 39916800.0;
    p = p * z + 1.0 / 362880.0;
    p = p * z - 1.0 / 5040.0;
    p = p * z + 1.0 / 120.0;
    // sin(x + low) = x + (low * (1 - z/2) + x*z*(-1/6 + z*p))
    return x + (low * (1 - 0.5 * z) + x * z * (z * p - 1.0 / 6.0));
}

double cos_kernel(double x, double low) {
    const double z = x * x;
    double p = 0;
    p = p * z - 1.0 / 6402373705728000.0;
    p = p * z + 1.0 / 20922789888000.0;
    p = p * z - 1.0 / 87178291200.0;
    p = p * z + 1.0 / 479001600.0;
    p = p * z - 1.0 / 3628800.0;
    p = p * z + 1.0 / 40320.0;
    p = p * z - 1.0 / 720.0;
    p = p * z + 1.0 / 24.0;
    // 1 - z/2 loses bits that are added back: (1 - w) - z/2 is exact.
    const double half = 0.5 * z;
    const double w = 1 - half;
    return w + (((1 - w) - half) + (z * z * p - x * low));
}

}  // namespace

double exp(double x) {
    if (x != x) { return x; }
    if (x > 709.782712893384) { return infinity; }
    if (x < -745.2) { return 0; }
    double fraction = 0, k = 0;
    exp_parts<1>(&x, &fraction, &k);
    return scale(fraction, int(k));
}

void exp_each(const double* x, double* out, size_t n) {
    constexpr size_t n_abreast = 8;
    size_t first = 0;
    for (; first + n_abreast <= n; first += n_abreast) {
        const double* in = x + first;
        if (!std::all_of(in, in + n_abreast,
                         [](double v) { return std::fabs(v) <= 708; })) {  // results may be subnormal
            for (size_t i = 0; i < n_abreast; i++) { out[first + i] = exp(in[i]); }
            continue;
        }
        double fraction[n_abreast], k[n_abreast];
        exp_parts<n_abreast>(in, fraction, k);
        for (size_t i = 0; i < n_abreast; i++) { out[first + i] = fraction[i] * power(int(k[i])); }
    }
    for (; first < n; first++) { out[first] = exp(x[first]); }
}

double log(double x) {
    if (x != x) { return x; }
    if (x < 0) { return nan; }
    if (x == 0) { return -infinity; }
    if (x == infinity) { return x; }
    int exponent = 0;
    if (x < std::numeric_limits<double>::min()) {
        x *= 0x1p54;
        exponent = -54;
    }
    uint64_t bits = std::bit_cast<uint64_t>(x);
    // Cut at sqrt(2)/2, so that the mantissa is within [sqrt(2)/2, sqrt(2)).
    constexpr uint64_t cut = 0x3fe6a09e667f3bcdu;
    const auto steps = int64_t(bits - cut) >> 52;
    exponent += int(steps);
    bits -= uint64_t(steps) << 52;
    const double f = std::bit_cast<double>(bits) - 1;
    // log(1+f) = 2 atanh(s), s = f/(2+f), |s| < 0.172: sum of 2 s^(2i+1)/(2i+1), arranged so that f is added last.
    const double s = f / (2 + f);
    const double z = s * s;
    static constexpr auto coefficients = [] {  // 2/3, 2/5, … 2/23
        std::array<double, 11> c{};
        for (size_t i = 0; i < c.size(); i++) { c[i] = 2.0 / (2.0 * double(i) + 3.0); }
        return c;
    }();
    double r = 0;
    for (size_t i = coefficients.size(); i-- > 0;) { r = (r + coefficients[i]) * z; }
    const double half = 0.5 * f * f;
    const double k = exponent;
    return k * ln2_high - ((half - (s * (half + r) + k * ln2_low)) - f);
}

double pow(double base, double exponent) {
    if (exponent == 0 || base == 1) { return 1; }
    return exp(exponent * log(base));
}

double sin(double x) {
    if (!(std::fabs(x) < infinity)) { return nan; }
    if (std::fabs(x) < 0x1p-27) { return x; }
    const Reduced r = reduce(x);
    switch (r.quadrant) {
        case 0: return sin_kernel(r.high, r.low);
        case 1: return cos_kernel(r.high, r.low);
        case 2: return -sin_kernel(r.high, r.low);
        default: return -cos_kernel(r.high, r.low);
    }
}

double cos(double x) {
    if (!(std::fabs(x) < infinity)) { return nan; }
    const Reduced r = reduce(x);
    switch (r.quadrant) {
        case 0: return cos_kernel(r.high, r.low);
        case 1: return -sin_kernel(r.high, r.low);
        case 2: return -cos_kernel(r.high, r.low);
        default: return sin_kernel(r.high, r.low);
    }
}

double tanh(double x) {
    if (std::fabs(x) <= 0.5) {
        const double y = 2 * x;
        double tail = 0;
        exp_tails<1>(&y, &tail);
        const double e = y + y * y * tail;  // e^(2x) - 1, without cancellation
        return e / (e + 2);
    }
    if (x > 22) { return 1; }
    if (x < -22) { return -1; }
    return 1 - 2 / (exp(2 * x) + 1);
}

size_t first_not_finite(std::span<const float> values) {
    // Nearly always there is none, which this loop tells several at a time: adding one to an exponent that is all ones
    // carries into the sign bit.
    uint32_t carried = 0;
    for (const float value : values) { carried |= (std::bit_cast<uint32_t>(value) & 0x7f800000u) + 0x00800000u; }
    if (carried >> 31 == 0) { return values.size(); }
    const auto bad = std::find_if_not(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
    return size_t(bad - values.begin());
}

}  // namespace wallaby::base
