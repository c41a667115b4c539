// Limits of a model whose sizes are worked out here by hand.
#include "planner/limit.h"

#include <gtest/gtest.h>

#include "models/models.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::planner;
using namespace wallaby::testing;
using quant::Type;

// Two layers of 64 with 4 heads of 16 over 2 KV heads, feed-forward 96, vocabulary 269.
constexpr double n_layers = 2, n_kv = 32, n_vocab = 269;
constexpr double layer_macs = 64 * 64 + 2 * 64 * n_kv + 64 * 64 + 3 * 64 * 96;
constexpr double body_macs = n_layers * layer_macs, head_macs = 64 * n_vocab;
constexpr double q8_0_bytes = 34.0 / 32;  // of a weight
// A token's own key and value in F16: written, and read again.
constexpr double kv_bytes = n_layers * 2 * n_kv * 2;

ops::Model model_of(const TinyModel& tiny) { return must(models::build(*tiny.open(), {})); }
const ops::Model& q8_0() {
    static const ops::Model model = model_of({.type = Type::q8_0});
    return model;
}

Limit limit(const Work& work, const Rates& rates, const ops::Model& model = q8_0(), Type k_type = Type::f16) {
    return limit_of(model, work, k_type, Type::f16, rates);
}

TEST(PlannerLimit, MatmulsOverQuantisedWeightsAreDoneAtTheInt8Rate) {
    const Rates rates{.int8_ops_per_s = 1e6};
    const Limit decode = limit({0, 3, 0, 1}, rates);
    EXPECT_NEAR(decode.seconds(), 3 * 2 * (body_macs + head_macs) / 1e6, 1e-12);
    EXPECT_EQ(decode.limiter(), "int8");
    // A prompt has logits for its last row alone, however it is cut; the last feed-forward is of that row too.
    constexpr double ffn_macs = 3 * 64 * 96;
    for (const uint32_t n_batch : {10u, 4u, 1u}) {
        EXPECT_NEAR(limit({10, 0, 0, 1, n_batch}, rates).seconds(),
                    2 * (10 * (body_macs - ffn_macs) + ffn_macs + head_macs) / 1e6, 1e-12);
    }
    for (const Type type : {Type::f32, Type::f16, Type::bf16}) {
        const ops::Model model = model_of({.type = type});
        EXPECT_EQ(limit({10, 3, 0, 1}, rates, model).seconds(), 0);
        EXPECT_GT(limit({10, 3, 0, 1}, {.f32_ops_per_s = 1e6}, model).f32_seconds,
                  2 * 10 * (body_macs - ffn_macs) / 1e6);
    }
}

TEST(PlannerLimit, WeightsInBf16CountAtTheirRateWhereThereIsOne) {
    const ops::Model model = model_of({.type = Type::bf16});
    const Limit native = limit({0, 3, 0, 1}, {.bf16_ops_per_s = 1e6, .f32_ops_per_s = 1e15}, model);
    EXPECT_NEAR(native.bf16_seconds, 3 * 2 * (body_macs + head_macs) / 1e6, 1e-12);
    EXPECT_EQ(native.limiter(), "bf16");
    EXPECT_EQ(limit({0, 3, 0, 1}, {.bf16_ops_per_s = 1e6}).bf16_seconds, 0);
    EXPECT_EQ(limit({0, 3, 0, 1}, {.bf16_ops_per_s = 1e6}, model_of({.type = Type::f16})).bf16_seconds, 0);
}

TEST(PlannerLimit, AttentionIsDoneAtTheRateOfItsKeys) {
    constexpr double seen = 1000;  // keys more, for the same token
    constexpr double products = 2 * n_layers * 4 * 16 * seen;
    const Rates f32{.f32_ops_per_s = 1e6}, int8{.int8_ops_per_s = 1e6};
    const auto more = [&](const Rates& rates, Type k_type) {
        return limit({0, 1, 1000, 1}, rates, q8_0(), k_type).seconds() -
               limit({0, 1, 0, 1}, rates, q8_0(), k_type).seconds();
    };
    EXPECT_NEAR(more(f32, Type::f16), 2 * products / 1e6, 1e-12);
    EXPECT_NEAR(more(int8, Type::f16), 0, 1e-12);
    EXPECT_NEAR(more(f32, Type::q8_0), products / 1e6, 1e-12);
    EXPECT_NEAR(more(int8, Type::q8_0), products / 1e6, 1e-12);
}

TEST(PlannerLimit, BytesAreWeightsAndStatesOnceAStep) {
    const Rates rates{.read_bytes_per_s = 1e9};
    const auto bytes = [&](const Work& work) {
        const Limit l = limit(work, rates);
        EXPECT_NEAR(l.seconds(), double(l.bytes) / 1e9, 1e-15);
        EXPECT_EQ(l.limiter(), "read");
        return double(l.bytes);
    };
    constexpr double embedding_row = 64 * q8_0_bytes, norms = (2 * n_layers + 1) * 64 * 4;
    constexpr double weights = (body_macs + head_macs) * q8_0_bytes + norms;
    constexpr double own = embedding_row + 2 * kv_bytes;  // of each token
    EXPECT_EQ(bytes({0, 1, 0, 1}), weights + own);
    EXPECT_EQ(bytes({0, 1, 100, 1}), weights + own + 100 * kv_bytes);
    EXPECT_EQ(bytes({0, 1, 100, 4}), weights + 4 * (own + 100 * kv_bytes));
    EXPECT_EQ(bytes({0, 2, 0, 1}), 2 * (weights + own) + kv_bytes);
    EXPECT_EQ(bytes({8, 0, 0, 1}), weights + 8 * own);
    // In two batches, of which the first has no logits: no head, no last feed-forward, no norms before them.
    constexpr double last = (3 * 64 * 96 + head_macs) * q8_0_bytes + 2 * 64 * 4;
    const Limit halves = limit({8, 0, 0, 1, 4}, rates);
    EXPECT_EQ(double(halves.bytes), 2 * weights - last + 8 * own + 4 * kv_bytes);
}

TEST(PlannerLimit, AnOpTakesTheLongerOfReadingAndComputing) {
    const Limit alone = limit({0, 4, 50, 1}, {.read_bytes_per_s = 1e9, .int8_ops_per_s = 1e15, .f32_ops_per_s = 1e15});
    EXPECT_EQ(alone.int8_seconds, 0);
    EXPECT_LT(alone.f32_seconds, 1e-6 * alone.read_seconds);  // ops without bytes
    // 4 rows: at 2 operations a row and weight, the matmuls' two times are equal at 8 ÷ (34/32) operations a byte.
    for (const double factor : {0.9, 1.1}) {
        const Rates rates{
            .read_bytes_per_s = 1e9, .int8_ops_per_s = factor * 8 / q8_0_bytes * 1e9, .f32_ops_per_s = 1e15};
        const Limit l = limit({0, 1, 0, 4}, rates);
        EXPECT_EQ(l.limiter(), factor < 1 ? "int8" : "read");
        EXPECT_EQ(l.int8_seconds > 0, factor < 1);
    }
    EXPECT_EQ(limit({8, 4, 0, 1}, {}).seconds(), 0);
}

TEST(PlannerLimit, ExpertsThatAreNotHitAreNotRead) {
    const ops::Model model = model_of({.n_expert = 8, .n_used = 2});
    const auto bytes = [&](uint32_t n_seqs) { return double(limit({0, 1, 0, n_seqs}, {}, model).bytes); };
    constexpr double expert = n_layers * 3 * 64 * 96 * 4, own = 64 * 4 + 2 * kv_bytes;
    // Two of eight, then 8 (1 − (3/4)²) = 3.5 for two tokens; bytes are whole for each op.
    EXPECT_NEAR(bytes(2) - bytes(1), 1.5 * expert + own, 6);
}

TEST(PlannerLimit, AverageOfTwoProbes) {
    const Rates r = average({1, 2, 3, 4}, {3, 6, 9, 12});
    EXPECT_EQ(r.read_bytes_per_s, 2);
    EXPECT_EQ(r.int8_ops_per_s, 4);
    EXPECT_EQ(r.bf16_ops_per_s, 6);
    EXPECT_EQ(r.f32_ops_per_s, 8);
}

TEST(PlannerRates, QuantilesOfEachRate) {
    const std::vector<Rates> three{{3, 10, 0, 7}, {1, 30, 0, 7}, {2, 20, 0, 8}};
    EXPECT_EQ(quantile(three, 0), (Rates{1, 10, 0, 7}));
    EXPECT_EQ(quantile(three, 0.5), (Rates{2, 20, 0, 7}));
    EXPECT_EQ(quantile(three, 0.75), (Rates{2.5, 25, 0, 7.5}));
    EXPECT_EQ(quantile(three, 1), (Rates{3, 30, 0, 8}));
    EXPECT_EQ(quantile({}, 0.5), Rates{});
}

}  // namespace
