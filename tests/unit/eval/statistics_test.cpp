#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "eval/softmax.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using eval::Moments;

Moments moments(const std::vector<double>& values) {
    Moments m;
    for (const double v : values) { m.add(v); }
    return m;
}

TEST(EvalStatistics, MeanAndItsStandardError) {
    // Mean 7/3, mean of squares 7: (7 − 49/9) / (3 − 1) = 7/9.
    const auto e = moments({1, 2, 4}).estimate();
    EXPECT_NEAR(e.value, 7.0 / 3, 1e-15);
    EXPECT_NEAR(e.error, std::sqrt(7.0) / 3, 1e-15);
    EXPECT_EQ(moments({}).estimate().value, 0);
    EXPECT_EQ(moments({3}).estimate().value, 3);
    EXPECT_EQ(moments({3}).estimate().error, 0);
}

TEST(EvalStatistics, EqualSamplesHaveNoErrorAndLargeOnesNoCancellation) {
    EXPECT_EQ(moments({0.1, 0.1, 0.1}).estimate().error, 0);
    EXPECT_NEAR(moments({1e9 + 1, 1e9 + 2, 1e9 + 4}).estimate().error, std::sqrt(7.0) / 3, 1e-6);
}

TEST(EvalStatistics, TheExponentialCarriesItsErrorAlong) {
    const eval::Estimate e = eval::exp({std::log(2.0), 0.25});
    EXPECT_NEAR(e.value, 2, 1e-15);
    EXPECT_NEAR(e.error, 0.5, 1e-15);
}

TEST(EvalStatistics, PercentilesLieBetweenValues) {
    const std::vector<float> values{1, 2, 4, 8, 16};
    EXPECT_EQ(eval::percentile(values, 0), 1);
    EXPECT_EQ(eval::percentile(values, 0.5), 4);
    EXPECT_NEAR(eval::percentile(values, 0.9), 8 + 0.6 * 8, 1e-12);  // place 3.6
    EXPECT_EQ(eval::percentile(values, 1), 16);
    EXPECT_EQ(eval::percentile(std::vector<float>{3}, 0.7), 3);
    EXPECT_EQ(eval::percentile(std::vector<float>{1, 2}, 0.5), 1.5);  // the median of an even number
}

TEST(EvalSoftmax, LogProbabilitiesOfAToyRow) {
    const std::vector<float> row{std::log(3.0f), 0};
    const auto log_p = must(eval::LogSoftmax::of(row));
    EXPECT_NEAR(log_p(row[0]), std::log(0.75), 1e-7);  // log(3) was rounded to float
    EXPECT_NEAR(log_p(row[1]), std::log(0.25), 1e-7);
    EXPECT_EQ(log_p.argmax(), 0u);
    EXPECT_EQ(must(eval::LogSoftmax::of(std::vector<float>{1, 5, 5, 2})).argmax(), 1u);
    // Beyond the range of exp: only differences count.
    const auto far = must(eval::LogSoftmax::of(std::vector<float>{3000, 3000, -3000}));
    EXPECT_NEAR(far(3000), -std::log(2.0), 1e-15);
    EXPECT_NEAR(far(-3000), -6000 - std::log(2.0), 1e-9);
}

TEST(EvalSoftmax, WhatIsNotFiniteIsNamed) {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
        const auto log_p = eval::LogSoftmax::of(std::vector<float>{1, 2, bad});
        ASSERT_FALSE(log_p.ok());
        EXPECT_EQ(log_p.error().code, ErrorCode::numeric);
        EXPECT_NE(log_p.error().what.find("token 2"), std::string::npos) << log_p.error().what;
    }
    EXPECT_FALSE(eval::LogSoftmax::of({}).ok());
}

}  // namespace
