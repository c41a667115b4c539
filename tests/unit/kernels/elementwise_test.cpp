// Rows through the kernels against the double definitions of the reference back end, and against each other bit by bit.
#include <gtest/gtest.h>

#include <algorithm>

#include "backends/reference/kernels.h"
#include "support/tables.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
namespace reference = backends::reference;

// |got - exact| <= relative * max(|exact|, floor) for each element.
void expect_close(std::span<const float> got, std::span<const float> exact, double relative, double floor,
                  const std::string& what) {
    ASSERT_EQ(got.size(), exact.size());
    for (size_t i = 0; i < got.size(); i++) {
        const double bound = relative * std::max(double(std::fabs(exact[i])), floor);
        ASSERT_LE(std::fabs(double(got[i]) - exact[i]), bound) << what << ", element " << i << " of " << got.size();
    }
}

constexpr double unit = 0x1p-24;  // half an ulp of 1

// Runs `f(table, out)` on every instruction set; the results must be the same bits. Returns the portable one.
template <class F>
std::vector<float> on_each(size_t n, const std::string& what, F f) {
    std::vector<float> first;
    for (const kernels::Table* table : usable_tables()) {
        std::vector<float> out(n + 16, -77.0f);
        f(*table, out.data());
        for (size_t i = n; i < out.size(); i++) { EXPECT_EQ(out[i], -77.0f) << what << " writes beyond its end"; }
        out.resize(n);
        if (first.empty()) {
            first = out;
        } else {
            EXPECT_EQ(first_difference(first, out), -1) << what << ": " << table->isa.name;
        }
    }
    return first;
}

struct NormCase {
    bool is_layer, has_bias, per_group;
};
const std::vector<NormCase> norm_cases{
    {false, false, false}, {false, true, true}, {true, true, false}, {true, false, true}};

TEST(KernelsElementwise, NormsAreTheReferences) {
    sampling::Random random(1);
    for (const uint32_t group : row_sizes) {
        const uint32_t width = group > 1000 ? group : 3 * group;
        for (const auto& [is_layer, has_bias, per_group] : norm_cases) {
            auto x = numbers(random, width, 3);
            if (is_layer) {
                for (float& v : x) { v += 5; }
            }
            const auto gain = numbers(random, width), bias = numbers(random, width);
            kernels::NormArgs args{.x = x.data(),
                                   .gain = gain.data(),
                                   .bias = has_bias ? bias.data() : nullptr,
                                   .width = width,
                                   .group = group,
                                   .eps = 1e-5f,
                                   .is_layer = is_layer,
                                   .per_group = per_group};
            const std::string what = fmt::format("norm {} of {}", is_layer, group);
            const auto got = on_each(width, what, [&](const kernels::Table& table, float* out) {
                kernels::NormArgs a = args;
                a.out = out;
                table.norm(a);
            });
            std::vector<float> exact(width);
            reference::norm({is_layer ? ops::Norm::Kind::layer : ops::Norm::Kind::rms, 1e-5f, group},
                            {gain.data(), args.bias, per_group}, x.data(), exact.data(), width);
            // Chains of group / 64 + 6 steps whose errors hardly ever add up; in a layer norm x - mean cancels: here
            // |x| <= 8 beside deviations of about 1.7, so the mean's error counts five times.
            const double n_roundings = 5 + std::sqrt(group / 64.0 + 6);
            expect_close(got, exact, (is_layer ? 6 : 1) * n_roundings * unit, is_layer || has_bias ? 1.0 : 0x1p-20,
                         what);
            const auto in_place = on_each(width, what, [&](const kernels::Table& table, float* out) {
                std::copy(x.begin(), x.end(), out);
                kernels::NormArgs a = args;
                a.x = a.out = out;
                table.norm(a);
            });
            EXPECT_EQ(first_difference(got, in_place), -1) << what;
        }
    }
}

// The definition to the bit, by hand for one length with a tail: four chains, their tree, the tree over lanes.
TEST(KernelsElementwise, ANormsSumHasOneOrder) {
    constexpr uint32_t n = 64 + 64 + 37;
    for (uint64_t seed = 0; seed < 50; seed++) {
        sampling::Random random(seed);
        const auto x = numbers(random, n), gain = numbers(random, n), bias = numbers(random, n);
        float chains[4][16] = {};
        for (uint32_t i = 0; i < n; i++) {
            float& c = chains[i / 16 % 4][i % 16];
            c = std::fma(x[i], x[i], c);
        }
        float lanes[16];
        for (int i = 0; i < 16; i++) { lanes[i] = (chains[0][i] + chains[1][i]) + (chains[2][i] + chains[3][i]); }
        for (int apart = 8; apart != 0; apart /= 2) {
            for (int i = 0; i < apart; i++) { lanes[i] += lanes[i + apart]; }
        }
        const float scale = 1 / std::sqrt(lanes[0] / float(n) + 1e-6f);
        std::vector<float> expected(n);
        for (uint32_t i = 0; i < n; i++) { expected[i] = std::fma(x[i] * scale, gain[i], bias[i]); }
        const auto got = on_each(n, "norm", [&](const kernels::Table& table, float* out) {
            table.norm({.x = x.data(),
                        .out = out,
                        .gain = gain.data(),
                        .bias = bias.data(),
                        .width = n,
                        .group = n,
                        .eps = 1e-6f});
        });
        ASSERT_EQ(first_difference(got, expected), -1) << seed;
    }
}

TEST(KernelsElementwise, RopeIsTheReferences) {
    sampling::Random random(3);
    for (const auto& [head, n_dims] : std::vector<std::pair<uint32_t, uint32_t>>{
             {2, 2}, {8, 4}, {16, 16}, {24, 24}, {34, 34}, {64, 64}, {80, 32}, {96, 66}, {128, 128}, {128, 64}}) {
        const uint32_t width = 3 * head;
        const auto x = numbers(random, width);
        ops::RopeTable angles;
        for (uint32_t i = 0; i < n_dims / 2; i++) { angles.frequency.push_back(std::pow(1e4, -2.0 * i / n_dims)); }
        std::vector<float> cosines, sines;
        constexpr uint32_t position = 1234;
        for (const double f : angles.frequency) {
            cosines.push_back(float(std::cos(position * f)));
            sines.push_back(float(std::sin(position * f)));
        }
        for (const bool halves : {false, true}) {
            const kernels::RopeArgs args{.x = x.data(),
                                         .width = width,
                                         .head = head,
                                         .n_dims = n_dims,
                                         .halves = halves,
                                         .cosines = cosines.data(),
                                         .sines = sines.data()};
            const std::string what = fmt::format("rope {} of {}, {}", n_dims, head, halves);
            const auto got = on_each(width, what, [&](const kernels::Table& table, float* out) {
                kernels::RopeArgs a = args;
                a.out = out;
                table.rope(a);
            });
            std::vector<float> exact(width);
            reference::rope({halves ? ops::Rope::Kind::halves : ops::Rope::Kind::pairs, n_dims, head, 0}, angles,
                            position, x.data(), exact.data(), width);
            expect_close(got, exact, 4 * unit, 1.0, what);
            for (uint32_t i = 0; i < width; i++) {
                if (i % head >= n_dims) { ASSERT_EQ(got[i], x[i]) << what; }
            }
            const auto in_place = on_each(width, what, [&](const kernels::Table& table, float* out) {
                std::copy(x.begin(), x.end(), out);
                kernels::RopeArgs a = args;
                a.x = a.out = out;
                table.rope(a);
            });
            EXPECT_EQ(first_difference(got, in_place), -1) << what;
        }
    }
    // The roundings: the products of sines are rounded, the others fused.
    const float a = 0.7f, b = -1.3f, c = 0.6f, s = 0.8f;
    for (const kernels::Table* table : usable_tables()) {
        const float x[2] = {a, b};
        float y[2];
        table->rope({.x = x, .out = y, .width = 2, .head = 2, .n_dims = 2, .cosines = &c, .sines = &s});
        EXPECT_EQ(y[0], std::fma(a, c, -(b * s)));
        EXPECT_EQ(y[1], std::fma(b, c, a * s));
    }
}

TEST(KernelsElementwise, FunctionsAndGatesAreTheReferences) {
    sampling::Random random(4);
    for (const uint32_t n : row_sizes) {
        const auto x = numbers(random, n, 9), u = numbers(random, n, 9);
        std::vector<float> exact(n);
        const auto check = [&](const char* name, double relative, double floor, auto run) {
            const std::string what = fmt::format("{} of {}", name, n);
            expect_close(on_each(n, what, run), exact, relative, floor, what);
        };
        reference::pointwise({ops::Pointwise::Kind::silu}, x.data(), exact.data(), n);
        check("silu", 6 * unit, 0x1p-100,
              [&](const kernels::Table& table, float* out) { table.silu(x.data(), out, n); });
        // The reference's own form loses digits where 1 + tanh cancels, hence the floor.
        reference::pointwise({ops::Pointwise::Kind::gelu_tanh}, x.data(), exact.data(), n);
        check("gelu", 16 * unit, 1e-1,
              [&](const kernels::Table& table, float* out) { table.gelu_tanh(x.data(), out, n); });
        reference::pointwise({ops::Pointwise::Kind::softcap, 5}, x.data(), exact.data(), n);
        check("softcap", 8 * unit, 0x1p-100,
              [&](const kernels::Table& table, float* out) { table.softcap(x.data(), 5, out, n); });
        for (uint32_t i = 0; i < n; i++) { exact[i] = x[i] + u[i]; }
        check("add", 0, 0, [&](const kernels::Table& table, float* out) { table.add(x.data(), u.data(), out, n); });
        for (uint32_t i = 0; i < n; i++) { exact[i] = x[i] * 0.3f; }
        check("scale", 0, 0, [&](const kernels::Table& table, float* out) { table.scale(x.data(), 0.3f, out, n); });

        const auto gate = [&](kernels::GateArgs::Act act) {
            return [&, act](const kernels::Table& table, float* out) {
                table.gate({act, 1.702f, 7, x.data(), u.data(), out, n});
            };
        };
        reference::gate({ops::Gate::Act::silu}, x.data(), u.data(), exact.data(), n);
        check("silu gate", 7 * unit, 0x1p-100, gate(kernels::GateArgs::Act::silu));
        reference::gate({ops::Gate::Act::gelu_tanh}, x.data(), u.data(), exact.data(), n);
        check("gelu gate", 17 * unit, 1, gate(kernels::GateArgs::Act::gelu_tanh));
        reference::gate({ops::Gate::Act::clamped_silu, 1.702f, 7}, x.data(), u.data(), exact.data(), n);
        check("clamped gate", 24 * unit, 0x1p-20, gate(kernels::GateArgs::Act::clamped_silu));
    }
}

TEST(KernelsElementwise, CombineIsOneChain) {
    sampling::Random random(5);
    for (const uint32_t width : row_sizes) {
        for (const uint32_t n_used : {1u, 2u, 8u}) {
            const auto results = numbers(random, size_t(width) * n_used), weights = numbers(random, n_used);
            std::vector<float> expected(width);
            for (uint32_t i = 0; i < width; i++) {
                for (uint32_t j = 0; j < n_used; j++) {
                    expected[i] = std::fma(results[size_t(j) * width + i], weights[j], expected[i]);
                }
            }
            const auto got = on_each(width, "combine", [&](const kernels::Table& table, float* out) {
                table.combine(results.data(), weights.data(), n_used, out, width);
            });
            EXPECT_EQ(first_difference(got, expected), -1) << width;
        }
    }
}

// Whatever is put in, the same bits come out of every instruction set.
TEST(KernelsElementwise, SpecialNumbersHaveTheSameBits) {
    SKIP_WHERE_ALL_IS_PORTABLE();
    const std::vector<float> special = special_numbers();
    std::vector<float> x, u;
    for (const float a : special) {
        for (const float b : special) {
            x.push_back(a);
            u.push_back(b);
        }
    }
    const auto n = uint32_t(x.size());
    using kernels::Table;
    on_each(n, "exp", [&](const Table& table, float* out) { table.exp(x.data(), out, n); });
    on_each(n, "silu", [&](const Table& table, float* out) { table.silu(x.data(), out, n); });
    on_each(n, "gelu", [&](const Table& table, float* out) { table.gelu_tanh(x.data(), out, n); });
    on_each(n, "softcap", [&](const Table& table, float* out) { table.softcap(x.data(), 3, out, n); });
    on_each(n, "add", [&](const Table& table, float* out) { table.add(x.data(), u.data(), out, n); });
    for (const auto act :
         {kernels::GateArgs::Act::silu, kernels::GateArgs::Act::gelu_tanh, kernels::GateArgs::Act::clamped_silu}) {
        const auto y = on_each(n, "gate", [&](const Table& table, float* out) {
            table.gate({act, 1.702f, 7, x.data(), u.data(), out, n});
        });
        for (uint32_t i = 0; i < n; i++) {
            if (std::isnan(x[i]) || std::isnan(u[i])) { EXPECT_TRUE(std::isnan(y[i])) << x[i] << " " << u[i]; }
        }
    }
    for (uint32_t i = 0; i + 2 <= n; i += 2) {
        on_each(2, "norm", [&](const Table& table, float* out) {
            table.norm({.x = x.data() + i,
                        .out = out,
                        .gain = u.data(),
                        .bias = u.data() + 2,
                        .width = 2,
                        .group = 2,
                        .eps = 1e-6f,
                        .is_layer = i % 4 == 0});
        });
        on_each(2, "rope", [&](const Table& table, float* out) {
            table.rope({.x = x.data() + i,
                        .out = out,
                        .width = 2,
                        .head = 2,
                        .n_dims = 2,
                        .cosines = u.data() + i,
                        .sines = u.data() + i + 1});
        });
    }
    on_each(16, "combine", [&](const Table& table, float* out) { table.combine(x.data(), u.data(), n / 16, out, 16); });
    // Bits at random, most of them sensible numbers.
    sampling::Random random(6);
    std::vector<float> any(40000);
    for (float& v : any) { v = std::bit_cast<float>(uint32_t(random.next())); }
    for (const auto run : {&Table::exp, &Table::silu, &Table::gelu_tanh}) {
        on_each(any.size(), "any",
                [&](const Table& table, float* out) { (table.*run)(any.data(), out, uint32_t(any.size())); });
    }
    on_each(any.size(), "tanh",
            [&](const Table& table, float* out) { table.softcap(any.data(), 1, out, uint32_t(any.size())); });
}

}  // namespace
