// Predictions of a model whose times are worked out here by hand.
#include "planner/predict.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/models.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::planner;
using namespace wallaby::testing;
using quant::Type;

constexpr Rates rates{.read_bytes_per_s = 1e9, .int8_ops_per_s = 1e10, .bf16_ops_per_s = 0, .f32_ops_per_s = 1e9};

// Speeds at which nothing takes time but what a test sets.
Speeds free_of(const Rates& at = rates) {
    Speeds s;
    s.rates = at;
    s.matmul[Type::q8_0].points = {{1, 0}, {2, 0}};
    s.attend[{Type::f16, Type::f16}] = {};
    for (const char* name : {"embed", "norm", "rope", "append", "add", "gate", "select", "route", "combine"}) {
        s.rows[name] = {};
    }
    return s;
}

ops::Model model_of(const TinyModel& tiny) { return must(models::build(*tiny.open(), {})); }
const ops::Model& q8_0() {
    static const ops::Model model = model_of({.type = Type::q8_0});
    return model;
}

Prediction predict(const Work& work, const Speeds& speeds, const Rates& now = rates, const ops::Model& model = q8_0()) {
    return must(planner::predict(model, work, Type::f16, Type::f16, speeds, now));
}

// Two layers of 64 with 4 heads of 16 over 2 KV heads, feed-forward 96, vocabulary 269.
constexpr double layer_weights = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 96, head_weights = 64 * 269;
constexpr double all_weights = 2 * layer_weights + head_weights;

TEST(PlannerCurve, StraightBetweenPointsAndOnBeyondThem) {
    const Curve c{{{1, 10}, {2, 12}, {4, 20}}};
    EXPECT_EQ(c.at(0.5), 10);
    EXPECT_EQ(c.at(1), 10);
    EXPECT_EQ(c.at(1.5), 11);
    EXPECT_EQ(c.at(3), 16);
    EXPECT_EQ(c.at(4), 20);
    EXPECT_EQ(c.at(6), 28);
    EXPECT_EQ((Curve{{{2, 6}}}).at(1), 3);
    EXPECT_EQ((Curve{{{2, 6}}}).at(4), 12);
    EXPECT_EQ(Curve{}.at(3), 0);
}

TEST(PlannerPredict, MatmulsTakeWhatTheirFormatsCurveSays) {
    Speeds s = free_of();
    s.matmul[Type::q8_0].points = {{1, 1e-9}, {2, 1.5e-9}, {8, 7.5e-9}};
    EXPECT_NEAR(predict({0, 3}, s).seconds(), 3 * 1e-9 * all_weights, 1e-12);
    EXPECT_NEAR(predict({0, 1, 0, 2}, s).seconds(), 1.5e-9 * all_weights, 1e-12);
    // Of a prompt the last row alone has logits, and the last feed-forward is of that row too.
    const double last = 3 * 64 * 96 + head_weights;
    EXPECT_NEAR(predict({8}, s).seconds(), 7.5e-9 * (all_weights - last) + 1e-9 * last, 1e-12);
    // In two batches of which the first has no logits at all.
    EXPECT_NEAR(predict({8, 0, 0, 1, 4}, s).seconds(), 2 * 3.5e-9 * (all_weights - last) + 1e-9 * last, 1e-12);
}

TEST(PlannerPredict, MatmulsAreReadOrComputedAndScaleWithThat) {
    Speeds s = free_of();
    s.matmul[Type::q8_0].points = {{1, 1e-9}, {64, 64e-9}};
    const Prediction decode = predict({0, 1}, s), prompt = predict({64}, s);
    EXPECT_EQ(decode.matmul_compute, 0);
    EXPECT_EQ(decode.limiter(), "weights");
    EXPECT_EQ(prompt.limiter(), "compute");
    Rates now = rates;
    now.read_bytes_per_s /= 2;
    EXPECT_NEAR(predict({0, 1}, s, now).seconds(), 2 * decode.seconds(), 1e-12);
    EXPECT_NEAR(predict({64}, s, now).matmul_compute, prompt.matmul_compute, 1e-6 * prompt.seconds());
    now = rates;
    now.f32_ops_per_s *= 4;
    EXPECT_NEAR(predict({0, 1}, s, now).seconds(), decode.seconds(), 1e-12);
    EXPECT_NEAR(predict({64}, s, now).matmul_compute, prompt.matmul_compute / 4, 1e-5 * prompt.seconds());
    EXPECT_NEAR(predict({0, 1}, s, Rates{}).seconds(), decode.seconds(), 1e-12)
        << "what was not probed changes nothing";
}

TEST(PlannerPredict, ExpertsThatAreHit) {
    Speeds s = free_of();
    s.matmul[Type::q8_0].points = {{1, 1e-9}, {2, 1e-9}};
    s.matmul[Type::f32].points = {{1, 0}, {2, 0}};  // of the router
    const ops::Model moe = model_of({.n_expert = 8, .n_used = 2, .type = Type::q8_0});
    const double experts = 2 * 3 * 64 * 96, routers = 2 * 64 * 8, rest = all_weights - experts + routers;
    EXPECT_NEAR(predict({0, 1}, s, rates, moe).seconds(), 1e-9 * (rest + 2 * experts), 1e-12);
    EXPECT_NEAR(predict({0, 1, 0, 2}, s, rates, moe).seconds(), 1e-9 * (rest + 3.5 * experts), 1e-12);
}

TEST(PlannerPredict, AttentionTakesTheLongerOfReadingAndComputing) {
    Speeds s = free_of();
    s.attend[{Type::f16, Type::f16}] = {.seconds_per_byte = 1e-9, .seconds_per_mac = 0};
    // 101 keys and values of 2 heads of 16 numbers of 2 bytes, in 2 layers.
    EXPECT_NEAR(predict({0, 1, 100}, s).seconds(), 1e-9 * 2 * 101 * 2 * 32 * 2, 1e-15);
    s.attend[{Type::f16, Type::f16}].seconds_per_mac = 1e-9;
    // The products with 4 heads of 16, for keys and for values, are as many as those bytes: of 4 rows, more.
    EXPECT_NEAR(predict({4}, s).seconds(), 1e-9 * 2 * (1 + 2 + 3 + 4) * 2 * 64, 1e-15);
    EXPECT_EQ(predict({4}, s).limiter(), "attention");
}

TEST(PlannerPredict, RowsAloneAndTogether) {
    Speeds s = free_of();
    s.rows["gate"] = {.alone = 2e-9, .together = 1e-9};
    const double bytes = 3 * 4 * 96;  // two read and one written
    EXPECT_NEAR(predict({0, 1}, s).seconds(), 2 * 2e-9 * bytes, 1e-15);
    // Ten rows in the first layer and one in the last.
    EXPECT_NEAR(predict({10}, s).seconds(), 11 * 1e-9 * bytes, 1e-15);
    EXPECT_EQ(predict({10}, s).limiter(), "rows");
}

TEST(PlannerPredict, WaitsOfStepsAndRuns) {
    Speeds s = free_of();
    s.wait_seconds = 1;
    // q/k/v, attention, the output, gate and up, down: five a layer; the head.
    EXPECT_EQ(predict({0, 3}, s).waits, 3 * (2 * 5 + 1));
    s.wait_seconds = 0;
    s.run_seconds = 1;
    EXPECT_EQ(predict({10, 2, 0, 1, 4}, s).waits, 3 + 2);
    EXPECT_EQ(predict({0, 1}, s).limiter(), "waits");
}

TEST(PlannerPredict, WhatWasNotMeasuredIsNotGuessed) {
    const auto error = [](const Speeds& s, Type k_type = Type::f16) {
        const auto p = planner::predict(q8_0(), {0, 1}, k_type, Type::f16, s, rates);
        return p.ok() ? "" : p.error().what;
    };
    EXPECT_EQ(error(free_of()), "");
    Speeds s = free_of();
    s.matmul.clear();
    EXPECT_EQ(error(s), "the speed of matmuls over Q8_0 weights was not measured here");
    EXPECT_EQ(error(free_of(), Type::q8_0),
              "the speed of attention over Q8_0 keys and F16 values was not measured here");
    s = free_of();
    s.rows.erase("rope");
    EXPECT_EQ(error(s), "the speed of 'rope' was not measured here");
}

TEST(PlannerPredict, WhatTakesAsLongToReadAsToComputeScalesWithBoth) {
    Speeds s = free_of();
    // Reading takes 1.0625e-9 s a weight; as long again to compute, and 2^(1/4) of that together.
    const double read = 34.0 / 32 * 1e-9;
    s.matmul[Type::q8_0].points = {{1, std::pow(2, 0.25) * read}, {2, 1}};
    const double both = predict({0, 1}, s).seconds();
    EXPECT_NEAR(both, std::pow(2, 0.25) * read * all_weights, 1e-9 * both);
    Rates now = rates;
    now.read_bytes_per_s /= 1000;
    EXPECT_NEAR(predict({0, 1}, s, now).seconds(), 1000 * read * all_weights, 1e-3 * 1000 * both);
    now.f32_ops_per_s /= 1000;
    EXPECT_NEAR(predict({0, 1}, s, now).seconds(), 1000 * both, 1e-6 * 1000 * both);
}

TEST(PlannerPredict, TypesOfMatrices) {
    EXPECT_EQ(matrix_types(q8_0()), std::vector{Type::q8_0});
    EXPECT_EQ(matrix_types(model_of({})), std::vector{Type::f32});
}

}  // namespace
