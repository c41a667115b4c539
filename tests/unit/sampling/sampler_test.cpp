#include "sampling/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace {

using namespace wallaby;
using sampling::Params;
using sampling::Sampler;

Params plain(double temperature) { return {.temperature = temperature, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 5}; }

std::map<int32_t, int> draw(const Params& params, const std::vector<float>& logits, int n,
                            const std::vector<int32_t>& history = {}) {
    Sampler sampler(params);
    std::map<int32_t, int> counts;
    for (int i = 0; i < n; i++) { counts[sampler.sample(logits, history).token]++; }
    return counts;
}

TEST(SamplingSampler, ZeroTemperatureIsArgmaxAndTiesGoToTheLowerId) {
    EXPECT_EQ(Sampler(plain(0)).sample(std::vector<float>{1, 5, 5, 2}, {}).token, 1);
    EXPECT_EQ(Sampler(plain(0)).sample(std::vector<float>{-3}, {}).token, 0);
}

TEST(SamplingSampler, LogProbabilityIsOfTheWholeDistribution) {
    const std::vector<float> logits{0, 1, 2};
    const double sum = 1 + std::exp(1.0) + std::exp(2.0);
    EXPECT_NEAR(Sampler(plain(0)).sample(logits, {}).log_probability, 2 - std::log(sum), 1e-12);
    EXPECT_NEAR(sampling::log_probability(logits, 0), -std::log(sum), 1e-12);
    Params cut = plain(1);
    cut.top_k = 1;
    EXPECT_NEAR(Sampler(cut).sample(logits, {}).log_probability, 2 - std::log(sum), 1e-12);
}

// 40,000 draws: five standard deviations of a count are below 500.
TEST(SamplingSampler, DrawsFollowTheDistribution) {
    const std::vector<float> logits{float(std::log(0.5)), float(std::log(0.3)), float(std::log(0.2))};
    auto counts = draw(plain(1), logits, 40000);
    EXPECT_NEAR(counts[0], 20000, 500);
    EXPECT_NEAR(counts[1], 12000, 500);
    EXPECT_NEAR(counts[2], 8000, 500);
    // Temperature 2 takes the square root of the odds.
    counts = draw(plain(2), logits, 40000);
    const double total = std::sqrt(0.5) + std::sqrt(0.3) + std::sqrt(0.2);
    EXPECT_NEAR(counts[0], 40000 * std::sqrt(0.5) / total, 500);
}

TEST(SamplingSampler, TopK) {
    Params params = plain(10);
    params.top_k = 2;
    const auto counts = draw(params, {1, 4, 3, 2}, 1000);
    EXPECT_EQ(counts.size(), 2u);
    EXPECT_TRUE(counts.contains(1) && counts.contains(2));
}

TEST(SamplingSampler, TopPKeepsTheFewestThatReachIt) {
    Params params = plain(1);
    const std::vector<float> logits{float(std::log(0.2)), float(std::log(0.5)), float(std::log(0.3))};
    params.top_p = 0.6;
    auto counts = draw(params, logits, 1000);
    EXPECT_EQ(counts.size(), 2u);
    EXPECT_FALSE(counts.contains(0));
    params.top_p = 0.4;
    EXPECT_EQ(draw(params, logits, 1000).size(), 1u);
    params.top_p = 0;
    EXPECT_EQ(draw(params, logits, 100).size(), 1u);
}

TEST(SamplingSampler, MinPIsAShareOfTheLargest) {
    Params params = plain(1);
    const std::vector<float> logits{float(std::log(0.6)), float(std::log(0.31)), float(std::log(0.09))};
    params.min_p = 0.5;
    EXPECT_EQ(draw(params, logits, 1000).size(), 2u);
    params.min_p = 1;
    EXPECT_EQ(draw(params, logits, 1000).size(), 1u);
}

TEST(SamplingSampler, RepeatPenaltyLooksBackThatFar) {
    Params params = plain(0);
    params.repeat_penalty = 2;
    params.repeat_last_n = 2;
    const std::vector<float> logits{3, 2.5, -1};
    EXPECT_EQ(Sampler(params).sample(logits, std::vector<int32_t>{0, 2}).token, 1);
    EXPECT_EQ(Sampler(params).sample(logits, std::vector<int32_t>{0, 2, 2}).token, 0);
    // A negative logit moves away from zero, too.
    EXPECT_EQ(Sampler(params).sample(std::vector<float>{-1, -1.5}, std::vector<int32_t>{0}).token, 1);
}

TEST(SamplingSampler, ASeedFixesTheTokens) {
    std::vector<float> logits(1000);
    for (size_t i = 0; i < logits.size(); i++) { logits[i] = float(i * 7919 % 101) / 20; }
    Params params;
    params.seed = 42;
    Sampler a(params), b(params);
    params.seed = 43;
    Sampler c(params);
    std::vector<int32_t> ta, tb, tc;
    for (int i = 0; i < 50; i++) {
        ta.push_back(a.sample(logits, ta).token);
        tb.push_back(b.sample(logits, tb).token);
        tc.push_back(c.sample(logits, tc).token);
    }
    EXPECT_EQ(ta, tb);
    EXPECT_NE(ta, tc);
}

// Known values of xoshiro256** after splitmix64(0): a change of the generator changes every user's texts.
TEST(SamplingRandom, TheStreamIsFixed) {
    sampling::Random random(0);
    EXPECT_EQ(random.next(), 0x99ec5f36cb75f2b4u);
    EXPECT_EQ(random.next(), 0xbf6e1f784956452au);
    for (int i = 0; i < 1000; i++) {
        const double u = random.uniform();
        EXPECT_GE(u, 0);
        EXPECT_LT(u, 1);
    }
}

TEST(SamplingParams, OutOfRangeNamesTheFlag) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const auto refused = [](Params params, const std::string& flag) {
        const auto result = sampling::check(params);
        return !result.ok() && result.error().where.field == flag;
    };
    EXPECT_TRUE(sampling::check({}).ok());
    EXPECT_TRUE(refused({.temperature = -1}, "--temp"));
    EXPECT_TRUE(refused({.temperature = nan}, "--temp"));
    EXPECT_TRUE(refused({.top_p = 1.5}, "--top-p"));
    EXPECT_TRUE(refused({.min_p = nan}, "--min-p"));
    EXPECT_TRUE(refused({.repeat_penalty = 0}, "--repeat-penalty"));
}

}  // namespace
