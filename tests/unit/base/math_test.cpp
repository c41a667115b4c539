#include "base/math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace {

using namespace wallaby;

// Distance from the exact value (long double libm) in units of the last place of the exact value's double.
double ulps(double got, long double exact) {
    if (std::isnan(got) || std::isnan(double(exact))) {
        return std::isnan(got) && std::isnan(double(exact)) ? 0 : 1e30;
    }
    if (std::isinf(got) || std::isinf(double(exact))) { return got == double(exact) ? 0 : 1e30; }
    int e = 0;
    std::frexp(double(exact), &e);
    const long double unit = std::ldexp(1.0L, std::max(e - 53, -1074));
    return double(std::fabs((long double)(got)-exact) / unit);
}

template <class Ours, class Theirs>
double worst(Ours ours, Theirs theirs, double low, double high, int n) {
    std::mt19937_64 random(7);
    double most = 0;
    for (int i = 0; i < n; i++) {
        const double u = double(random() >> 11) * 0x1p-53;
        const double x = low + (high - low) * u;
        most = std::max(most, ulps(ours(x), theirs((long double)(x))));
    }
    return most;
}

const auto exp_l = [](long double x) { return std::exp(x); };
const auto log_l = [](long double x) { return std::log(x); };
const auto sin_l = [](long double x) { return std::sin(x); };
const auto cos_l = [](long double x) { return std::cos(x); };
const auto tanh_l = [](long double x) { return std::tanh(x); };

TEST(BaseMath, ExpWithinOneUlp) {
    EXPECT_LE(worst(base::exp, exp_l, -1, 1, 200000), 1.0);
    EXPECT_LE(worst(base::exp, exp_l, -700, 700, 200000), 1.0);
    EXPECT_LE(worst(base::exp, exp_l, -745, -708, 20000), 1.0);
}

TEST(BaseMath, ExpOfManyIsExpOfEach) {
    std::mt19937_64 random(11);
    const double edges[] = {0.0,   -0.0,   708,      -708,      708.5, -708.5, 710,   -746,
                            1e300, -1e300, INFINITY, -INFINITY, NAN,   5e-324, -1e-20};
    for (const size_t n : {size_t(0), size_t(1), size_t(7), size_t(8), size_t(9), size_t(1000)}) {
        std::vector<double> x(n);
        for (double& v : x) { v = (double(random() >> 11) * 0x1p-53 - 0.5) * 1400; }
        for (size_t i = 40; i < n; i += 40) { x[i] = edges[i / 40 % std::size(edges)]; }
        std::vector<double> out(n), in_place = x;
        base::exp_each(x.data(), out.data(), n);
        base::exp_each(in_place.data(), in_place.data(), n);
        for (size_t i = 0; i < n; i++) {
            const auto expected = std::bit_cast<uint64_t>(base::exp(x[i]));
            EXPECT_EQ(std::bit_cast<uint64_t>(out[i]), expected) << x[i];
            EXPECT_EQ(std::bit_cast<uint64_t>(in_place[i]), expected) << x[i];
        }
    }
}

TEST(BaseMath, LogWithinTwoUlp) {
    EXPECT_LE(worst(base::log, log_l, 1e-300, 1e-290, 20000), 2.0);
    EXPECT_LE(worst(base::log, log_l, 0.5, 2, 200000), 2.0);
    EXPECT_LE(worst(base::log, log_l, 1, 1e300, 200000), 2.0);
    EXPECT_LE(ulps(base::log(5e-324), std::log((long double)(5e-324))), 2.0);
}

TEST(BaseMath, SinAndCosWithinOneUlp) {
    for (const double limit : {0.8, 10.0, 1e4, 4.1e6}) {
        EXPECT_LE(worst(base::sin, sin_l, -limit, limit, 200000), 1.0) << limit;
        EXPECT_LE(worst(base::cos, cos_l, -limit, limit, 200000), 1.0) << limit;
    }
    // Next to multiples of pi/2 the reduction cancels most bits.
    for (int n = 1; n < 2000000; n += 997) {
        const double x = n * 1.5707963267948966;
        EXPECT_LE(ulps(base::sin(x), std::sin((long double)(x))), 1.0) << n;
        EXPECT_LE(ulps(base::cos(x), std::cos((long double)(x))), 1.0) << n;
    }
}

TEST(BaseMath, TanhWithinSixUlp) {
    EXPECT_LE(worst(base::tanh, tanh_l, -0.6, 0.6, 200000), 6.0);
    EXPECT_LE(worst(base::tanh, tanh_l, -30, 30, 200000), 6.0);
}

TEST(BaseMath, PowWithinItsStatedBound) {
    std::mt19937_64 random(3);
    for (int i = 0; i < 100000; i++) {
        const double b = std::exp2(double(random() % 2000) / 50 - 20);
        const double e = (double(random() >> 11) * 0x1p-53 - 0.5) * 20;
        const long double exact = std::pow((long double)(b), (long double)(e));
        const double bound = 1e-15 * (1 + std::fabs(e * std::log(b)));
        EXPECT_LE(double(std::fabs(base::pow(b, e) - exact) / exact), bound) << b << " " << e;
    }
}

TEST(BaseMath, ExactAndSpecialValues) {
    const double inf = std::numeric_limits<double>::infinity();
    const double nan = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(base::exp(0), 1);
    EXPECT_EQ(base::exp(-0.0), 1);
    EXPECT_EQ(base::exp(-inf), 0);
    EXPECT_EQ(base::exp(inf), inf);
    EXPECT_EQ(base::exp(1000), inf);
    EXPECT_EQ(base::exp(-1000), 0);
    EXPECT_TRUE(std::isnan(base::exp(nan)));
    EXPECT_EQ(base::log(1), 0);
    EXPECT_EQ(base::log(0), -inf);
    EXPECT_EQ(base::log(inf), inf);
    EXPECT_TRUE(std::isnan(base::log(-1)));
    EXPECT_TRUE(std::isnan(base::log(nan)));
    EXPECT_EQ(base::pow(10000, 0), 1);
    EXPECT_TRUE(std::isnan(base::pow(-2, 0.5)));
    EXPECT_EQ(base::sin(0), 0);
    EXPECT_EQ(base::cos(0), 1);
    EXPECT_TRUE(std::isnan(base::sin(inf)));
    EXPECT_TRUE(std::isnan(base::cos(nan)));
    EXPECT_EQ(base::tanh(0), 0);
    EXPECT_EQ(base::tanh(-100), -1);
    EXPECT_EQ(base::tanh(100), 1);
}

// Constants, so that another machine or compiler that computes other bits is seen.
TEST(BaseMath, BitsAreFixed) {
    uint64_t digest = 1469598103934665603u;
    for (int i = -4000; i < 4000; i++) {
        for (const double v : {base::exp(i * 0.17), base::log(i + 4001.3), base::sin(i * 1.37), base::cos(i * 97.1),
                               base::tanh(i * 0.003), base::pow(i + 4001.7, -0.731)}) {
            digest = (digest ^ std::bit_cast<uint64_t>(v)) * 1099511628211u;
        }
    }
    EXPECT_EQ(digest, 0xc5aa7694c7f32c8bu) << std::hex << digest;
}

TEST(BaseMath, FirstNotFinite) {
    constexpr float largest = std::numeric_limits<float>::max(), infinite = std::numeric_limits<float>::infinity();
    EXPECT_EQ(base::first_not_finite({}), 0u);
    std::vector<float> values{0, -0.0f, largest, -largest, 0x1p-149f, 1, -1, 3, 4};
    EXPECT_EQ(base::first_not_finite(values), values.size());
    for (size_t at = values.size(); at-- > 0;) {  // the first of those that are there
        for (const float bad : {infinite, -infinite, std::numeric_limits<float>::quiet_NaN()}) {
            values[at] = bad;
            EXPECT_EQ(base::first_not_finite(values), at) << bad;
        }
    }
}

}  // namespace
