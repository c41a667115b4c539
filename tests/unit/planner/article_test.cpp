#include "planner/article.h"

#include <cmath>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace wallaby::planner {
namespace {

double rounded(double value, int decimals) {
    const double scale = std::pow(10, decimals);
    return std::round(value * scale) / scale;
}

std::vector<Claim> claims_of(std::string_view quantity) {
    std::vector<Claim> claims;
    for (const Claim& claim : article_claims()) {
        if (claim.quantity == quantity) { claims.push_back(claim); }
    }
    return claims;
}

Claim decode(std::string_view machine, std::string_view model) {
    for (const Claim& claim : claims_of("decode")) {
        if (claim.machine == machine && claim.model == model) { return claim; }
    }
    ADD_FAILURE() << "no claim for " << machine << ", " << model;
    return {};
}

std::string place(const Claim& claim) {
    std::string text;
    for (const std::string_view part : {claim.quantity, claim.machine, claim.model, claim.format}) {
        text.append(part).append(" ");
    }
    return text;
}

// A row of one of the article's tables: float32, float16, int8, int4.
struct Row {
    std::string_view model;
    std::vector<double> values;
};

void expect_table(std::string_view quantity, std::string_view unit, int decimals, const std::vector<Row>& rows) {
    constexpr std::string_view columns[] = {"float32", "float16", "int8", "int4"};
    const std::vector<Claim> claims = claims_of(quantity);
    ASSERT_EQ(claims.size(), 4 * rows.size());
    for (size_t i = 0; i < claims.size(); i++) {
        const Claim& claim = claims[i];
        SCOPED_TRACE(place(claim));
        EXPECT_EQ(claim.model, rows[i / 4].model);
        EXPECT_EQ(claim.format, columns[i % 4]);
        EXPECT_EQ(claim.unit, unit);
        EXPECT_EQ(claim.article, rows[i / 4].values[i % 4]);
        EXPECT_EQ(rounded(claim.formula, decimals), rows[i / 4].values[i % 4]);
    }
}

TEST(PlannerArticle, TheTableOfWeightsIsBytesTimesParameters) {
    expect_table("weights", "GB", 2,
                 {{"7B", {28, 14, 7, 3.5}},
                  {"13B", {52, 26, 13, 6.5}},
                  {"32.5B", {130, 65, 32.5, 16.25}},
                  {"65.2B", {260.8, 130.4, 65.2, 32.6}}});
    for (const Claim& claim : claims_of("weights")) { EXPECT_EQ(claim.corrected, claim.formula); }
}

TEST(PlannerArticle, TheTableOfLatenciesIsItsFormulaToTheLastDigit) {
    expect_table("latency", "ms/token", 2,
                 {{"7B", {28.94, 14.47, 7.24, 3.62}},
                  {"13B", {53.75, 26.87, 13.44, 6.72}},
                  {"32.5B", {134.37, 67.18, 33.59, 16.80}},
                  {"65.2B", {269.56, 134.78, 67.39, 33.70}}});
    // All of it waits for memory, so that each byte counted once is half of the time.
    std::vector<double> corrected_int4;
    for (const Claim& claim : claims_of("latency")) {
        EXPECT_DOUBLE_EQ(2 * claim.corrected, claim.formula);
        if (claim.format == "int4") { corrected_int4.push_back(rounded(claim.corrected, 2)); }
    }
    EXPECT_EQ(corrected_int4, (std::vector{1.81, 3.36, 8.40, 16.85}));
}

TEST(PlannerArticle, LatencyIsTheLongerOfMemoryAndCompute) {
    constexpr Roofline machine{.bytes_per_s = 10, .flops_per_s = 100};
    // 8 weights of 16 bits are 16 bytes; 16 operations a token.
    EXPECT_DOUBLE_EQ(article_latency_seconds(machine, 8, 16), 3.2);
    EXPECT_DOUBLE_EQ(article_latency_seconds(machine, 8, 16, 20), 3.2);
    EXPECT_DOUBLE_EQ(article_latency_seconds(machine, 8, 16, 40), 6.4);
    EXPECT_DOUBLE_EQ(corrected_latency_seconds(machine, 8, 16), 1.6);
    EXPECT_DOUBLE_EQ(corrected_latency_seconds(machine, 8, 16, 10), 1.6);
    EXPECT_DOUBLE_EQ(corrected_latency_seconds(machine, 8, 16, 40), 6.4);
    // No rate: no time.
    EXPECT_DOUBLE_EQ(article_latency_seconds({.bytes_per_s = 10}, 8, 16, 40), 3.2);
    EXPECT_DOUBLE_EQ(corrected_latency_seconds({.bytes_per_s = 10}, 8, 16, 40), 1.6);
}

TEST(PlannerArticle, TokensPerSecond) {
    struct Case {
        std::string_view machine, model;
        std::optional<double> article;
        double formula, corrected;
        int formula_decimals, corrected_decimals;
        std::optional<double> published = {};
    };
    const Case cases[] = {
        {"A100 80GB PCIe", "7B", 277, 276.4, 553, 1, 0, 136.24},
        {"A100 80GB PCIe", "65.2B", 30, 29.7, 59.4, 1, 1, 25.68},
        {"M1", "7B", 10, 9.75, 19.5, 2, 1, 14.15},
        {"M1", "65.2B", 1, 1.05, 2.1, 2, 1},
        {"M2 Pro", "65.2B", {}, 3.07, 6.1, 2, 1},
        {"M2 Max", "65.2B", 6, 6.13, 12.3, 2, 1},
        {"M2 Max", "7B", {}, 57, 114, 0, 0, 65.95},
        {"Raspberry Pi 4", "7B", 2, 0.57, 0.96, 2, 2, 0.1},
    };
    EXPECT_EQ(claims_of("decode").size(), std::size(cases));
    for (const Case& c : cases) {
        const Claim claim = decode(c.machine, c.model);
        SCOPED_TRACE(place(claim));
        EXPECT_EQ(claim.format, "int4");
        EXPECT_EQ(claim.unit, "tokens/s");
        EXPECT_EQ(claim.article, c.article);
        EXPECT_EQ(rounded(claim.formula, c.formula_decimals), c.formula);
        EXPECT_EQ(rounded(claim.corrected, c.corrected_decimals), c.corrected);
        EXPECT_EQ(claim.published, c.published);
        EXPECT_EQ(claim.source.empty(), !claim.published);
    }
}

TEST(PlannerArticle, TwoPrintedRatesAreNotItsFormulaRounded) {
    for (const Claim& claim : claims_of("decode")) {
        const bool is_a100_7b = claim.machine == "A100 80GB PCIe" && claim.model == "7B";
        if (!claim.article || is_a100_7b || claim.machine == "Raspberry Pi 4") { continue; }
        EXPECT_EQ(rounded(claim.formula, 0), claim.article) << place(claim);
    }
    // Nor is 277 the reciprocal of the table's 3.62 ms.
    EXPECT_EQ(decode("A100 80GB PCIe", "7B").article, 277);
    EXPECT_EQ(rounded(decode("A100 80GB PCIe", "7B").formula, 0), 276);
    EXPECT_EQ(rounded(1e3 / 3.62, 0), 276);
    EXPECT_EQ(decode("Raspberry Pi 4", "7B").article, 2);
    EXPECT_EQ(rounded(decode("Raspberry Pi 4", "7B").formula, 0), 1);
}

TEST(PlannerArticle, TheRaspberryPiIsBoundByItsOperationsOnceBytesCountOnce) {
    constexpr Roofline machine{.bytes_per_s = 4e9, .flops_per_s = 13.5e9};
    EXPECT_EQ(rounded(1 / corrected_latency_seconds({.bytes_per_s = 4e9}, 7e9, 4), 2), 1.14);
    EXPECT_DOUBLE_EQ(corrected_latency_seconds(machine, 7e9, 4), 2 * 7e9 / 13.5e9);
    EXPECT_EQ(rounded(corrected_latency_seconds(machine, 7e9, 4), 2), 1.04);
    EXPECT_DOUBLE_EQ(article_latency_seconds(machine, 7e9, 4), 2 * 3.5e9 / 4e9);
}

TEST(PlannerArticle, PublishedResultsExceedTheArticlesCeilingsAndNotTheCorrectedOnes) {
    const Claim m1 = decode("M1", "7B"), m2_max = decode("M2 Max", "7B");
    EXPECT_GT(m1.published, m1.article);
    EXPECT_GT(m1.published, m1.formula);
    EXPECT_GT(m2_max.published, m2_max.formula);
    size_t n_published = 0;
    for (const Claim& claim : article_claims()) {
        if (!claim.published) { continue; }
        EXPECT_LT(*claim.published, claim.corrected) << place(claim);
        n_published++;
    }
    EXPECT_EQ(n_published, 5u);
    // Nor with the 4.5 bits that a weight in Q4_0 takes.
    const double m1_q4_0 = 1 / corrected_latency_seconds({.bytes_per_s = 68.25e9}, 7e9, 4.5);
    const double m2_max_q4_0 = 1 / corrected_latency_seconds({.bytes_per_s = 400e9}, 7e9, 4.5);
    EXPECT_EQ(rounded(m1_q4_0, 1), 17.3);
    EXPECT_EQ(rounded(m2_max_q4_0, 0), 102);
    EXPECT_LT(*m1.published, m1_q4_0);
    EXPECT_LT(*m2_max.published, m2_max_q4_0);
}

TEST(PlannerArticle, TheBatchThresholdIsTheCorrectedOneOf16BitWeights) {
    constexpr Roofline a100{.bytes_per_s = 1935e9, .flops_per_s = 312e12};
    const std::vector<Claim> claims = claims_of("batch threshold");
    ASSERT_EQ(claims.size(), 2u);
    EXPECT_EQ(claims[0].format, "float16");
    EXPECT_EQ(claims[0].article, 161);
    EXPECT_EQ(rounded(claims[0].formula, 1), 322.5);
    EXPECT_EQ(rounded(claims[0].formula, 0), 322);
    EXPECT_EQ(rounded(claims[0].corrected, 1), 161.2);
    EXPECT_DOUBLE_EQ(claims[0].corrected, a100.flops_per_s / a100.bytes_per_s);
    EXPECT_EQ(claims[1].format, "int4");
    EXPECT_EQ(claims[1].article, std::nullopt);
    EXPECT_EQ(rounded(claims[1].formula, 1), 80.6);
    EXPECT_EQ(rounded(claims[1].corrected, 1), 40.3);
    EXPECT_EQ(rounded(article_batch_threshold(a100, 8), 1), 161.2);
    EXPECT_EQ(rounded(corrected_batch_threshold(a100, 8), 1), 80.6);
    // At the rate of int4 operations the ratio is the same again.
    EXPECT_EQ(rounded(corrected_batch_threshold({.bytes_per_s = 1935e9, .flops_per_s = 1248e12}, 4), 0), 161);
    // Where memory and compute meet, by the latencies themselves: below it a larger batch costs nothing, above it does.
    const auto expect_meets = [&](auto latency, auto threshold) {
        for (const double bits : {16.0, 4.0}) {
            const double n_tokens = threshold(a100, bits), one = latency(a100, 7e9, bits, 1);
            EXPECT_DOUBLE_EQ(latency(a100, 7e9, bits, 0.999 * n_tokens), one);
            EXPECT_DOUBLE_EQ(latency(a100, 7e9, bits, 1.25 * n_tokens), 1.25 * one);
        }
    };
    expect_meets(article_latency_seconds, article_batch_threshold);
    expect_meets(corrected_latency_seconds, corrected_batch_threshold);
}

TEST(PlannerArticle, NoModelsCacheIsQuiteTheArticles) {
    EXPECT_EQ(kv_bytes_per_token(32, 4096, 4), 131072);
    EXPECT_EQ(kv_bytes_per_token(40, 5120, 4), 204800);
    EXPECT_EQ(kv_bytes_per_token(60, 6656, 4), 399360);
    EXPECT_EQ(kv_bytes_per_token(80, 8192, 4), 655360);
    EXPECT_EQ(kv_bytes_per_token(80, 8192, 16), 4 * 655360);
    const std::vector<Claim> claims = claims_of("KV cache");
    const std::vector<double> gb = {0.27, 0.42, 0.82, 1.34};
    ASSERT_EQ(claims.size(), gb.size());
    for (size_t i = 0; i < gb.size(); i++) {
        EXPECT_EQ(rounded(claims[i].formula, 2), gb[i]) << place(claims[i]);
        EXPECT_EQ(claims[i].corrected, claims[i].formula);
        EXPECT_EQ(claims[i].unit, "GB");
    }
    // 1.33 GB, nearest to 65B's; the weights named beside it are 32.5B's.
    EXPECT_EQ(claims[3].model, "65.2B");
    EXPECT_EQ(claims[3].article, 1.33);
    EXPECT_DOUBLE_EQ(claims[3].formula, 2048 * 655360 / 1e9);
    EXPECT_EQ(weight_bytes(32.5e9, 4), 16.25e9);
}

}  // namespace
}  // namespace wallaby::planner
