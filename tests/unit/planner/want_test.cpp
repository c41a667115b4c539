#include "planner/want.h"

#include <gtest/gtest.h>

#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::planner;
using namespace wallaby::testing;

TEST(PlannerWant, InWordsAndInAnyOrder) {
    const Want all{20, 32768, 16e9};
    for (const char* text : {"20 tok/s at 32k in 16 GB", "in 16GB 20tok/s at 32768", "at 32k, 20 t/s, in 16 gb",
                             "20 Tokens/s at 32K in 16000 MB"}) {
        EXPECT_EQ(must(parse_want(text)), all) << text;
    }
    EXPECT_EQ(must(parse_want("0.5 tok/s")), (Want{0.5, 0, 0}));
    EXPECT_EQ(must(parse_want("7 tok/s in 8 GiB")), (Want{7, 0, 8.0 * (1u << 30)}));
}

TEST(PlannerWant, AnythingElseIsRefused) {
    for (const char* text : {"", "fast", "20", "20 GB", "at 32k", "20 tok/s at", "20 tok/s at k", "20 tok/s in 16",
                             "20 tok/s in 16 kg", "-3 tok/s", "20 tok/s at 1.5", "0 tok/s", "1e5 tok/s",
                             "20 tok/s at 99999999999", "20 tok/s in", "1.2.3 tok/s"}) {
        const auto parsed = parse_want(text);
        ASSERT_FALSE(parsed.ok()) << text;
        EXPECT_EQ(parsed.error().where.field, "--want");
        EXPECT_EQ(parsed.error().code, ErrorCode::argument);
    }
}

TEST(PlannerWant, LossesAscend) {
    double last = -1;
    for (const Quality& q : qualities()) {
        EXPECT_GT(q.perplexity_increase, last) << q.type;
        last = q.perplexity_increase;
    }
}

// The table of expected gains in the literature's own form: (1 - p^(k+1)) / (1 - p) / c.
TEST(PlannerSpeculation, GainsAndWhereTheyBegin) {
    EXPECT_NEAR(speculation_gain(3, 0.5, 1.1, 0), 1.875 / 1.1, 1e-12);
    EXPECT_NEAR(speculation_gain(3, 0.7, 1.5, 0), (1 - 0.2401) / 0.3 / 1.5, 1e-12);
    EXPECT_NEAR(speculation_gain(4, 0.8, 2, 0.1), (1 - 0.32768) / 0.2 / 2.4, 1e-12);
    EXPECT_NEAR(speculation_gain(3, 1, 2, 0), 2, 1e-12);
    EXPECT_EQ(speculation_gain(0, 0.5, 1, 1), 1);
    const double p = *speculation_break_even(3, 1.5, 0.05);
    EXPECT_NEAR(speculation_gain(3, p, 1.5, 0.05), 1, 1e-9);
    EXPECT_NEAR(*speculation_break_even(1, 1.25, 0), 0.25, 1e-9);
    EXPECT_FALSE(speculation_break_even(3, 4.1, 0));
    EXPECT_FALSE(speculation_break_even(3, 1, 1.1));
}

}  // namespace
