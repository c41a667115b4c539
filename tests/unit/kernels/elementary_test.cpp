// The bounds that text/elementary.h states, by functions in double; and the results that must be exact.
#include <gtest/gtest.h>

#include "base/math.h"
#include "support/tables.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

// |got - exact| in units in the last place of the exact result, denormals counted as the smallest normal number is.
double ulps(float got, double exact) {
    const int exponent = std::max(std::ilogb(exact), -126);
    return std::fabs(double(got) - exact) / std::ldexp(1.0, exponent - 23);
}

// Every `step`-th f32 between two numbers of the same sign.
std::vector<float> sweep(float from, float to, uint32_t step) {
    std::vector<float> x;
    const auto first = std::bit_cast<uint32_t>(from), last = std::bit_cast<uint32_t>(to);
    for (uint64_t bits = std::min(first, last); bits <= std::max(first, last); bits += step) {
        x.push_back(std::bit_cast<float>(uint32_t(bits)));
    }
    return x;
}

template <class Run, class Exact>
double worst(const std::vector<float>& x, Run run, Exact exact) {
    std::vector<float> y(x.size());
    run(x.data(), y.data(), uint32_t(x.size()));
    double found = 0;
    for (size_t i = 0; i < x.size(); i++) { found = std::max(found, ulps(y[i], exact(double(x[i])))); }
    return found;
}

double exact_gelu(double x) {
    const double u = 1.5957691216057308 * x * (1 + 0.044715 * x * x);  // the form that does not cancel
    return x / (1 + base::exp(-u));
}

TEST(KernelsElementary, ExpIsWithinOneUlp) {
    for (const kernels::Table* table : usable_tables()) {
        for (const auto& [from, to] : {std::pair{0x1p-149f, 88.72283f}, std::pair{-0x1p-149f, -87.33654f}}) {
            EXPECT_LE(worst(sweep(from, to, 4099), table->exp, base::exp), 1.0) << to;
        }
        EXPECT_LE(worst(sweep(-80.0f, -87.33654f, 7), table->exp, base::exp), 1.0);
        EXPECT_LE(worst(sweep(80.0f, 88.72283f, 7), table->exp, base::exp), 1.0);
    }
}

TEST(KernelsElementary, ExpIsExactAtItsEnds) {
    const float last_kept = -87.33654f, first_lost = std::nextafter(last_kept, -infinity);
    const std::vector<float> x{0,         -0.0f,    last_kept, first_lost, -88,   -104,     -1e30f,
                               -infinity, 88.7228f, 88.72284f, 89,         1e30f, infinity, not_a_number};
    for (const kernels::Table* table : usable_tables()) {
        std::vector<float> y(x.size());
        table->exp(x.data(), y.data(), uint32_t(x.size()));
        EXPECT_EQ(y[0], 1);
        EXPECT_EQ(y[1], 1);
        EXPECT_GE(y[2], 0x1p-126f);
        EXPECT_LT(base::exp(x[3]), 0x1p-126);
        for (size_t i = 3; i < 8; i++) { EXPECT_EQ(std::bit_cast<uint32_t>(y[i]), 0u) << x[i]; }
        EXPECT_TRUE(std::isfinite(y[8]));
        EXPECT_GT(base::exp(x[9]), double(std::numeric_limits<float>::max()));
        for (size_t i = 9; i < 13; i++) { EXPECT_EQ(y[i], infinity) << x[i]; }
        EXPECT_TRUE(std::isnan(y[13]));
    }
}

TEST(KernelsElementary, TanhIsWithinThreeUlpAndOdd) {
    for (const kernels::Table* table : usable_tables()) {
        const auto tanh = [table](const float* x, float* y, uint32_t n) { table->softcap(x, 1, y, n); };
        EXPECT_LE(worst(sweep(0x1p-149f, 20.0f, 4099), tanh, base::tanh), 3.0);
        EXPECT_LE(worst(sweep(0.1f, 9.1f, 101), tanh, base::tanh), 3.0);
        const std::vector<float> x{0, -0.0f, infinity, -infinity, 9.02f, -0.3f, 0.3f, not_a_number};
        std::vector<float> y(x.size());
        tanh(x.data(), y.data(), uint32_t(x.size()));
        EXPECT_EQ(std::bit_cast<uint32_t>(y[0]), 0u);
        EXPECT_EQ(std::bit_cast<uint32_t>(y[1]), 0x80000000u);
        EXPECT_EQ(y[2], 1);
        EXPECT_EQ(y[3], -1);
        EXPECT_EQ(y[4], 1);
        EXPECT_EQ(y[5], -y[6]);
        EXPECT_TRUE(std::isnan(y[7]));
    }
}

// In gelu's left tail the exponent's rounding is multiplied by the exponent: 300 ulp of numbers below 1e-3.
TEST(KernelsElementary, SiluAndGelu) {
    const auto silu = [](double x) { return x / (1 + base::exp(-x)); };
    for (const kernels::Table* table : usable_tables()) {
        EXPECT_LE(worst(sweep(0x1p-149f, 1e30f, 4099), table->silu, silu), 3.0);
        EXPECT_LE(worst(sweep(-0x1p-149f, -85.0f, 4099), table->silu, silu), 3.0);
        EXPECT_LE(worst(sweep(0x1p-149f, 1e30f, 4099), table->gelu_tanh, exact_gelu), 4.0);
        EXPECT_LE(worst(sweep(-0x1p-149f, -1.0f, 4099), table->gelu_tanh, exact_gelu), 8.0);
        EXPECT_LE(worst(sweep(-1.0f, -3.0f, 101), table->gelu_tanh, exact_gelu), 24.0);
        EXPECT_LE(worst(sweep(-3.0f, -10.0f, 101), table->gelu_tanh, exact_gelu), 300.0);
        const std::vector<float> x{0, infinity, 1e30f, -1e30f, -200, not_a_number};
        for (const auto run : {table->silu, table->gelu_tanh}) {
            std::vector<float> y(x.size());
            run(x.data(), y.data(), uint32_t(x.size()));
            EXPECT_EQ(y[0], 0);
            EXPECT_EQ(y[1], infinity);
            EXPECT_EQ(y[2], 1e30f);
            EXPECT_EQ(y[3], 0);
            EXPECT_EQ(y[4], 0);
            EXPECT_TRUE(std::isnan(y[5]));
        }
    }
}

}  // namespace
