// Rotary frequencies against their papers' formulas, written here once more with the C library. Each kind was also
// compared with llama.cpp's logits of the same random model (100 tokens): 2.0e-7 to 2.7e-7 relative.
#include <gtest/gtest.h>

#include <cmath>

#include "models/models.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

constexpr uint32_t n_dims = 16;  // TinyModel's heads

ops::RopeTable table_of(const TinyModel& tiny, models::Options options = {}) {
    const auto source = tiny.open();
    return must(models::build(*source, options)).rope_tables.at(0);
}

void expect_frequencies(const ops::RopeTable& table, const std::function<double(int)>& expected) {
    ASSERT_EQ(table.frequency.size(), n_dims / 2);
    for (int i = 0; i < int(n_dims / 2); i++) { EXPECT_NEAR(table.frequency[size_t(i)] / expected(i), 1, 1e-12) << i; }
}

double plain(int i, double base = 10000) { return std::pow(base, -2.0 * i / n_dims); }

TEST(ModelsRope, PlainAndBase) {
    expect_frequencies(table_of({}), [](int i) { return plain(i); });
    expect_frequencies(table_of({.numbers = {{"rope.freq_base", 500000.0f}}}), [](int i) { return plain(i, 500000); });
    expect_frequencies(table_of({}, {0, 26000, 0}), [](int i) { return plain(i, 26000); });
    EXPECT_EQ(table_of({}).magnitude, 1);
}

TEST(ModelsRope, Linear) {
    const TinyModel tiny{.numbers = {{"rope.scaling.factor", 4.0f}}, .strings = {{"rope.scaling.type", "linear"}}};
    expect_frequencies(table_of(tiny), [](int i) { return plain(i) / 4; });
    expect_frequencies(table_of({.numbers = {{"rope.scale_linear", 8.0f}}}), [](int i) { return plain(i) / 8; });
    expect_frequencies(table_of({}, {0, 0, 0.5}), [](int i) { return plain(i) / 2; });
    expect_frequencies(
        table_of({.numbers = {{"rope.scaling.factor", 4.0f}}, .strings = {{"rope.scaling.type", "none"}}}),
        [](int i) { return plain(i); });
}

TEST(ModelsRope, NtkAlpha) {
    const double base = 10000 * std::pow(8.0, n_dims / (n_dims - 2.0));
    expect_frequencies(table_of({.numbers = {{"rope.scaling.alpha", 8.0f}}}), [&](int i) { return plain(i, base); });
}

TEST(ModelsRope, Yarn) {
    const TinyModel tiny{.numbers = {{"rope.scaling.factor", 4.0f}, {"rope.scaling.original_context_length", 64}},
                         .strings = {{"rope.scaling.type", "yarn"}}};
    const auto correction = [](double turns) {
        return n_dims * std::log(64 / (turns * 2 * M_PI)) / (2 * std::log(10000.0));
    };
    const double low = std::max(0.0, std::floor(correction(32))),
                 high = std::min(n_dims - 1.0, std::ceil(correction(1)));
    ASSERT_LT(low, high);
    const auto table = table_of(tiny);
    expect_frequencies(table, [&](int i) {
        const double kept = 1 - std::clamp((i - low) / (high - low), 0.0, 1.0);
        return plain(i) / 4 * (1 - kept) + plain(i) * kept;
    });
    EXPECT_NEAR(table.magnitude, 1 + 0.1 * std::log(4.0), 1e-12);
    TinyModel with_multiplier = tiny;
    with_multiplier.numbers["rope.scaling.yarn_log_multiplier"] = 1;
    EXPECT_NEAR(table_of(with_multiplier).magnitude, 1, 1e-12);
}

TEST(ModelsRope, Llama3Divisors) {
    const std::vector<float> divisors{1, 1, 1.5, 2, 4, 8, 8, 8};
    expect_frequencies(table_of({.vectors = {{"rope_freqs.weight", divisors}}}),
                       [&](int i) { return plain(i) / divisors[size_t(i)]; });
}

TEST(ModelsRope, LongRopeChoosesByTheContext) {
    const std::vector<float> is_long{1, 1.2f, 1.5f, 2, 4, 8, 16, 32},
        is_short{1, 1, 1.1f, 1.1f, 1.2f, 1.3f, 1.4f, 1.5f};
    const TinyModel tiny{.numbers = {{"rope.scaling.original_context_length", 64}, {"rope.scaling.attn_factor", 1.19f}},
                         .strings = {{"rope.scaling.type", "longrope"}},
                         .vectors = {{"rope_factors_long.weight", is_long}, {"rope_factors_short.weight", is_short}}};
    expect_frequencies(table_of(tiny, {64, 0, 0}), [&](int i) { return plain(i) / is_short[size_t(i)]; });
    expect_frequencies(table_of(tiny, {65, 0, 0}), [&](int i) { return plain(i) / is_long[size_t(i)]; });
    EXPECT_NEAR(table_of(tiny).magnitude, double(1.19f), 1e-12);
}

TEST(ModelsRope, RefusesWhatItDoesNotKnow) {
    const auto refused = [](const TinyModel& tiny) {
        const auto source = tiny.open();
        const auto model = models::build(*source, {});
        return model.ok() ? std::string() : model.error().message();
    };
    EXPECT_NE(refused({.strings = {{"rope.scaling.type", "spiral"}}}).find("'spiral'"), std::string::npos);
    EXPECT_NE(refused({.vectors = {{"rope_freqs.weight", {1, 1, 0, 1, 1, 1, 1, 1}}}}).find("element 2"),
              std::string::npos);
    EXPECT_NE(refused({.vectors = {{"rope_freqs.weight", {1, 1, NAN, 1, 1, 1, 1, 1}}}}).find("element 2"),
              std::string::npos);
    EXPECT_NE(refused({.vectors = {{"rope_freqs.weight", {1, 1}}}}).find("8 are required"), std::string::npos);
    EXPECT_NE(refused({.numbers = {{"rope.freq_base", -1.0f}}}).find("rope.freq_base"), std::string::npos);
}

}  // namespace
