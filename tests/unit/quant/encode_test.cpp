// The encoders that choose: all but those of plain numbers and Q8_0.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/format.h"
#include "support/digest.h"
#include "support/random_weights.h"
#include "support/sanitized.h"

namespace {

using namespace wallaby;
using namespace wallaby::quant;
using wallaby::testing::random_weights;
using wallaby::testing::under_sanitizer;
using wallaby::testing::weight_kinds;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr std::array chosen = {Type::q2_k,    Type::q3_k,  Type::q4_k,  Type::q5_k,    Type::q6_k,   Type::iq4_nl,
                               Type::iq4_xs,  Type::iq1_s, Type::iq1_m, Type::iq2_xxs, Type::iq2_xs, Type::iq2_s,
                               Type::iq3_xxs, Type::iq3_s, Type::q4_0,  Type::q4_1,    Type::q5_0,   Type::q5_1,
                               Type::q1_0,    Type::q2_0,  Type::tq1_0, Type::tq2_0,   Type::mxfp4,  Type::nvfp4};

// A grid's levels, none of which is 0, as far as its groups' weights can have them.
struct Grid {
    Type type;
    size_t group_len;
    double least, most;
};
constexpr Grid grids[] = {
    {Type::iq1_s, 32, 0.125, 1.125}, {Type::iq1_m, 16, 0.125, 1.125}, {Type::iq2_xxs, 32, 8, 43},
    {Type::iq2_xs, 16, 8, 43},       {Type::iq2_s, 16, 8, 43},        {Type::iq3_xxs, 32, 4, 62},
    {Type::iq3_s, 32, 1, 15},
};
constexpr bool is_grid(Type type) { return std::ranges::find(grids, type, &Grid::type) != std::end(grids); }
constexpr bool is_iq4(Type type) { return type == Type::iq4_nl || type == Type::iq4_xs; }

// The others' scales are small floats, of one bit and three.
bool has_f16_scale(Type type) { return type != Type::mxfp4 && type != Type::nvfp4; }
bool has_scales_of_groups(Type type) { return type >= Type::q2_k && type <= Type::q6_k; }

using Floats = std::vector<float>;

std::vector<uint8_t> encode(Type type, const Floats& in, const float* importance = nullptr) {
    const Format& format = format_of(type);
    std::vector<uint8_t> bytes(in.size() / format.block_len * format.block_bytes, 0xcd);
    format.encode(in.data(), bytes.data(), in.size() / format.block_len, importance);
    return bytes;
}

Floats decode(Type type, const std::vector<uint8_t>& bytes) {
    const Format& format = format_of(type);
    Floats out(bytes.size() / format.block_bytes * format.block_len);
    format.decode(bytes.data(), out.data(), out.size() / format.block_len);
    return out;
}

Floats round_trip(Type type, const Floats& in, const float* importance = nullptr) {
    return decode(type, encode(type, in, importance));
}

double relative_error(const Floats& out, const Floats& in) {
    double off = 0, size = 0;
    for (size_t i = 0; i < in.size(); i++) {
        off += (double(out[i]) - double(in[i])) * (double(out[i]) - double(in[i]));
        size += double(in[i]) * double(in[i]);
    }
    return std::sqrt(off / size);
}

// The relative errors that llama.cpp v0.5.0's encoders leave on these very weights, which ours may not exceed.
struct Rival {
    Type type;
    std::array<double, weight_kinds.size()> error;
};
constexpr Rival rivals[] = {
    {Type::q2_k, {0.29864, 0.23255, 0.35223, 0.31158, 0.12144}},
    {Type::q3_k, {0.15121, 0.12490, 0.19040, 0.18586, 0.09894}},
    {Type::q4_k, {0.07154, 0.05444, 0.09303, 0.09815, 0.02689}},
    {Type::q5_k, {0.03615, 0.02763, 0.04723, 0.04918, 0.01341}},
    {Type::q6_k, {0.01781, 0.01326, 0.02566, 0.02915, 0.01165}},
    {Type::iq4_nl, {0.07626, 0.06371, 0.10246, 0.11906, 0.06024}},
    {Type::iq4_xs, {0.07689, 0.06423, 0.10365, 0.12073, 0.06077}},
    {Type::iq1_s, {0.48512, 0.41868, 0.61533, 0.64728, 0.32115}},
    {Type::iq1_m, {0.58253, 0.51890, 0.59070, 0.56426, 0.43902}},
    {Type::iq2_xxs, {0.34452, 0.33311, 0.50275, 0.64452, 0.30945}},
    {Type::iq2_xs, {0.29814, 0.28576, 0.40233, 0.49117, 0.24934}},
    {Type::iq2_s, {0.26508, 0.24194, 0.40774, 0.50849, 0.23908}},
    {Type::iq3_xxs, {0.21274, 0.19188, 0.28659, 0.31240, 0.14412}},
    {Type::iq3_s, {0.16610, 0.14257, 0.22017, 0.24497, 0.12767}},
    {Type::q4_0, {0.08601, 0.06490, 0.12834, 0.15328, 0.05535}},
    {Type::q4_1, {0.07854, 0.06066, 0.09988, 0.10510, 0.02253}},
    {Type::q5_0, {0.04275, 0.03122, 0.06644, 0.07935, 0.02775}},
    {Type::q5_1, {0.03786, 0.02945, 0.04855, 0.05091, 0.01086}},
    {Type::q1_0, {0.60087, 0.49673, 0.76604, 0.83196, 0.28556}},
    {Type::q2_0, {0.71780, 0.49101, 0.68212, 0.53967, 0.59155}},
    {Type::tq1_0, {0.80526, 0.49936, 0.79586, 0.65949, 0.66921}},
    {Type::tq2_0, {0.80526, 0.49936, 0.79586, 0.65949, 0.66921}},
    {Type::mxfp4, {0.11385, 0.10170, 0.14175, 0.16335, 0.11044}},
    {Type::nvfp4, {0.10303, 0.09952, 0.09302, 0.09647, 0.10334}},
};

TEST(QuantEncode, ErrorsAreAtMostLlamaCppsOnFreshWeights) {
    for (const Rival& rival : rivals) {
        std::string line;
        for (size_t k = 0; k < weight_kinds.size(); k++) {
            if (under_sanitizer && k != 0) { break; }
            const Floats in = random_weights(weight_kinds[k], 64 * 1024, 1);
            const double error = relative_error(round_trip(rival.type, in), in);
            EXPECT_LT(error, rival.error[k] + 1e-5) << format_of(rival.type).name << " " << weight_kinds[k];
            line += fmt::format(" {} {:.5f} ({:+.1f} %)", weight_kinds[k], error, 100 * (error / rival.error[k] - 1));
        }
        std::printf("[ measured ] %s:%s\n", std::string(format_of(rival.type).name).c_str(), line.c_str());
    }
}

// Bytes are the same on every machine (./dev emulate runs this on another CPU).
TEST(QuantEncode, BytesAreConstants) {
    const std::pair<Type, const char*> digests[] = {
        {Type::iq4_xs, "0x198a3df5dcffe204"},  {Type::iq1_s, "0x10dbd2a47c5de0aa"},
        {Type::iq1_m, "0x9a85e47f8c0cab8f"},   {Type::iq2_xxs, "0x1bdf6b1f6f2257b3"},
        {Type::iq2_xs, "0x3a3ef903566f4fc5"},  {Type::iq2_s, "0x1735b125198e76c7"},
        {Type::iq3_xxs, "0xd70cc03cf83865ae"}, {Type::iq3_s, "0x5cebbaa300522b24"},
        {Type::q2_k, "0x681cce5dced9d861"},    {Type::q3_k, "0x6a3a84bba4244f2e"},
        {Type::q4_k, "0xa7fa9ec90e90a88e"},    {Type::q5_k, "0x8c28f5a08f66e6a3"},
        {Type::q6_k, "0x910a054ad8224fcc"},    {Type::iq4_nl, "0xe9faa8eff3ea31c7"},
        {Type::q4_0, "0xc400d6636a25c713"},    {Type::q4_1, "0x71884e7461544e40"},
        {Type::q5_0, "0x7a5f92a3319cbbe9"},    {Type::q5_1, "0xa0981cb03c56508f"},
        {Type::q1_0, "0xee159ec2d54a3a8d"},    {Type::q2_0, "0x5ec811ccd310a65d"},
        {Type::tq1_0, "0x8e707b8fae539c1c"},   {Type::tq2_0, "0xa4baf84f79cabc6b"},
        {Type::mxfp4, "0xb63863b948bcdeff"},   {Type::nvfp4, "0x3eb8099c49b01b6a"},
    };
    for (const auto& [type, expected] : digests) {
        wallaby::testing::Digest digest;
        for (const auto kind : weight_kinds) {
            const Floats in = random_weights(kind, 16 * 1024, 2);
            const Floats importance = random_weights("uniform", in.size(), 3);  // half of it negative
            digest.add(encode(type, in)).add(encode(type, in, importance.data()));
        }
        EXPECT_EQ(digest.text(), expected) << format_of(type).name;
    }
}

// What was decoded stands on the format's own steps; encoding it again may find other steps, but stays close.
TEST(QuantEncode, EncodingAgainStaysClose) {
    for (const Type type : chosen) {
        for (const auto kind : weight_kinds) {
            const Floats in = random_weights(kind, 64 * 256, 4);
            const Floats once = round_trip(type, in);
            const Floats twice = round_trip(type, once);
            EXPECT_LT(relative_error(twice, once), 0.45 * relative_error(once, in)) << format_of(type).name << kind;
            EXPECT_LT(relative_error(twice, in), 1.1 * relative_error(once, in)) << format_of(type).name << kind;
        }
    }
}

// A block depends on its own weights and importance alone.
TEST(QuantEncode, BlocksAreIndependent) {
    const Floats in = random_weights("normal", 4 * 256, 5);
    const Floats importance = random_weights("offset", in.size(), 6);
    for (const Type type : chosen) {
        const size_t len = format_of(type).block_len;
        std::vector<uint8_t> joined;
        for (size_t i = 0; i < in.size(); i += len) {
            const Floats block(in.begin() + std::ptrdiff_t(i), in.begin() + std::ptrdiff_t(i + len));
            const auto bytes = encode(type, block, importance.data() + i);
            joined.insert(joined.end(), bytes.begin(), bytes.end());
        }
        EXPECT_EQ(encode(type, in, importance.data()), joined) << format_of(type).name;
    }
}

TEST(QuantEncode, OneWeightAmongZeros) {
    for (const Type type : chosen) {
        if (is_grid(type) || !has_f16_scale(type) || type == Type::q1_0) { continue; }  // Q1_0 has no zero
        for (const float weight : {1.0f, -1.0f, 0.37f, -1234.5f, 1e-4f}) {
            for (const size_t place : {0u, 15u, 31u, 100u, 255u}) {
                Floats in(256, 0.0f);
                in[place] = weight;
                const Floats out = round_trip(type, in);
                for (size_t i = 0; i < in.size(); i++) {
                    // The group's scale and the super-scale come from this weight alone: what is left is f16's
                    // rounding, of steps of 2^-24 below 2^-14.
                    const double off = std::fabs(double(out[i]) - double(in[i]));
                    const double bound = is_iq4(type) ? 0.01 : 0x1p-10;  // zero has no level of its own there
                    EXPECT_LE(off, bound * std::fabs(double(weight)) + 0x1p-19)
                        << format_of(type).name << " " << weight << " at " << place << ", " << i;
                }
            }
        }
    }
}

// The best that one weight at the outermost level and the rest of its group at the innermost can do, if the grid has
// such an entry: the least over s of (1 - s * most)^2 + (n - 1) * (s * least)^2. Other groups have a 31st of the scale
// or, in IQ1, a 15th.
TEST(QuantEncode, OneWeightAmongZerosWhereNoLevelIsZero) {
    for (const Grid& grid : grids) {
        const double rest = double(grid.group_len - 1) * grid.least * grid.least;
        const double best = std::sqrt(rest / (grid.most * grid.most + rest));
        for (const float weight : {1.0f, -1.0f, 0.37f, -1234.5f}) {
            for (const size_t place : {0u, 15u, 31u, 100u, 255u}) {
                Floats in(256, 0.0f);
                in[place] = weight;
                const double error = relative_error(round_trip(grid.type, in), in);
                EXPECT_LE(error, 1.15 * best) << format_of(grid.type).name << " " << weight << " at " << place;
                EXPECT_GE(error, 0.99 * best) << format_of(grid.type).name << " " << weight << " at " << place;
            }
        }
    }
}

TEST(QuantEncode, ConstantsComeBack) {
    for (const Type type : chosen) {
        if (!has_f16_scale(type)) { continue; }
        for (const float weight : {1.0f, -1.0f, 0.001f, -0.7f, 3.14159f, 40000.0f}) {
            const Floats in(512, weight);
            const Floats out = round_trip(type, in);
            // f16's rounding of the super-scale, which is one of its denormals for the smallest (in IQ4_XS, whose
            // scales reach 32 * 127 steps, one of the first five).
            const double denormal = type == Type::iq4_xs ? 0.02 : 0.004;
            EXPECT_LE(relative_error(out, in), std::fabs(weight) < 0.01f ? denormal : 0x1p-10)
                << format_of(type).name << " " << weight;
        }
    }
}

// Groups of very different sizes share a super-scale; none may be lost that its integers can reach.
TEST(QuantEncode, SmallGroupsBesideLargeOnes) {
    Floats in = random_weights("normal", 256, 7);
    for (size_t i = 128; i < 256; i++) { in[i] *= 0.2f; }
    for (const Type type : {Type::q2_k, Type::q3_k, Type::q4_k, Type::q5_k, Type::q6_k}) {
        const Floats out = round_trip(type, in);
        const Floats small_in(in.begin() + 128, in.end()), small_out(out.begin() + 128, out.end());
        EXPECT_LT(relative_error(small_out, small_in), 1.4 * relative_error(out, in)) << format_of(type).name;
    }
}

// Positive weights far from zero are beyond what minima reach: such blocks are stored mirrored, with negative scales.
TEST(QuantEncode, MinimaServeBothSides) {
    Floats above(256), below(256);
    const Floats noise = random_weights("uniform", 256, 8);
    for (size_t i = 0; i < above.size(); i++) {
        above[i] = 5 + noise[i];
        below[i] = -above[i];
    }
    for (const Type type : {Type::q2_k, Type::q4_k, Type::q5_k}) {
        const double of_above = relative_error(round_trip(type, above), above);
        EXPECT_EQ(of_above, relative_error(round_trip(type, below), below)) << format_of(type).name;
        EXPECT_LT(of_above, 0.006) << format_of(type).name;  // the noise's own size is 0.0115
    }
}

TEST(QuantEncode, WhatIsNotFiniteMakesTheBlockNaN) {
    for (const Type type : chosen) {
        if (!has_f16_scale(type)) { continue; }
        const size_t len = format_of(type).block_len;
        for (const float weight : {infinity, -infinity, not_a_number, -not_a_number}) {
            Floats in = random_weights("normal", 3 * len, 9);
            in[len + 7] = weight;
            const Floats out = round_trip(type, in);
            for (size_t i = 0; i < out.size(); i++) {
                EXPECT_EQ(std::isnan(out[i]), i / len == 1) << format_of(type).name << " " << i;
            }
        }
    }
}

// Up to where the f16 super-scale ends an encoder keeps its precision; beyond it the block is not finite.
TEST(QuantEncode, LargeWeightsKeepTheirPrecisionOrAreNotFinite) {
    const Floats unit = random_weights("normal", 1024, 10);
    for (const Type type : chosen) {
        if (!has_f16_scale(type)) { continue; }
        const bool has_minimum_of_its_own = type == Type::q4_1 || type == Type::q5_1;
        const double at_one = relative_error(round_trip(type, unit), unit);
        bool was_finite = true;
        for (int exponent = -8; exponent < 127; exponent++) {
            Floats in = unit;
            for (float& w : in) { w = std::ldexp(w, exponent); }
            const Floats out = round_trip(type, in);
            const bool is_finite = std::ranges::all_of(out, [](float w) { return std::isfinite(w); });
            EXPECT_TRUE(was_finite || !is_finite) << format_of(type).name << " 2^" << exponent;
            was_finite = is_finite;
            if (is_finite) {
                EXPECT_LE(relative_error(out, in), 1.03 * at_one) << format_of(type).name << " 2^" << exponent;
            }
            if (exponent <= (has_minimum_of_its_own ? 18 : 20)) {
                EXPECT_TRUE(is_finite) << format_of(type).name << " 2^" << exponent;
            }
        }
        EXPECT_FALSE(was_finite);
    }
}

// Down to where f16's steps of 2^-24 are as coarse as the weights, little more is lost than by rounding to such steps
// (IQ4's levels, up to 22 steps apart, end earlier, and so do grids); and never more than by leaving the weights out.
TEST(QuantEncode, SmallWeightsFadeToZero) {
    const Floats unit = random_weights("normal", 1024, 11);
    for (const Type type : chosen) {
        if (!has_f16_scale(type)) { continue; }
        // Integers for groups make finer steps of coarse super-scales.
        const int least_exponent = has_scales_of_groups(type) ? -19 : -13;
        const double at_one = relative_error(round_trip(type, unit), unit);
        double before = 0;
        for (int exponent = -6; exponent > -149; exponent--) {
            Floats in = unit;
            for (float& w : in) { w = std::ldexp(w, exponent); }
            const Floats out = round_trip(type, in);
            if (std::ranges::all_of(in, [](float w) { return w == 0; })) { break; }
            const double error = relative_error(out, in);
            EXPECT_LE(error, 1.0) << format_of(type).name << " 2^" << exponent;
            const double steps = std::ldexp(1.0, -24) / std::ldexp(0.02, exponent);  // in standard deviations
            if (is_iq4(type)) {
                if (exponent >= -15) { EXPECT_LE(error, 0.4) << " 2^" << exponent; }
            } else if (exponent >= (is_grid(type) ? -14 : least_exponent)) {
                EXPECT_LE(error, 1.25 * std::hypot(at_one, steps / std::sqrt(12.0)))
                    << format_of(type).name << " 2^" << exponent;
            }
            if (has_scales_of_groups(type) || is_grid(type)) {
                EXPECT_GE(error, (is_grid(type) ? 0.8 : 0.9) * before) << format_of(type).name << " 2^" << exponent;
            }
            before = error;
        }
        EXPECT_EQ(before, 1.0);
        const float least = std::numeric_limits<float>::denorm_min();
        const Floats zeros(256, 0.0f);
        EXPECT_EQ(round_trip(type, Floats(256, least)), zeros) << format_of(type).name;
        EXPECT_EQ(round_trip(type, Floats(256, -least)), zeros) << format_of(type).name;
    }
}

TEST(QuantEncode, ImportanceMovesTheErrorElsewhere) {
    const Floats in = random_weights("normal", 256 * 256, 12);
    Floats importance(in.size(), 1.0f);
    for (size_t i = 0; i < importance.size(); i += 4) { importance[i] = 100; }
    const auto error_of_important = [&](const Floats& out) {
        Floats a, b;
        for (size_t i = 0; i < in.size(); i += 4) {
            a.push_back(out[i]);
            b.push_back(in[i]);
        }
        return relative_error(a, b);
    };
    for (const Type type : chosen) {
        const Floats plain = round_trip(type, in), weighted = round_trip(type, in, importance.data());
        // Three levels, or scales of powers of two, leave less to choose.
        const bool is_coarse = type >= Type::tq1_0 && type != Type::nvfp4;
        EXPECT_LT(error_of_important(weighted), (is_coarse ? 0.997 : 0.9) * error_of_important(plain))
            << format_of(type).name;
        EXPECT_GT(relative_error(weighted, in), relative_error(plain, in)) << format_of(type).name;
    }
}

TEST(QuantEncode, ImportanceIsRelativeAndWhatMakesNoSenseCountsAsNothing) {
    const Floats in = random_weights("heavy-tailed", 8 * 256, 13);
    const Floats importance = random_weights("offset", in.size(), 14);
    Floats larger = importance, odd = importance, held = importance;
    for (float& f : larger) { f *= 0x1p60f; }
    constexpr float nonsense[] = {-1, not_a_number, infinity, -infinity};
    for (size_t i = 0; i < odd.size(); i += 5) {
        odd[i] = nonsense[i % 4];
        held[i] = 0;
    }
    for (const Type type : chosen) {
        EXPECT_EQ(encode(type, in, larger.data()), encode(type, in, importance.data())) << format_of(type).name;
        EXPECT_EQ(encode(type, in, odd.data()), encode(type, in, held.data())) << format_of(type).name;
        EXPECT_NE(encode(type, in, odd.data()), encode(type, in)) << format_of(type).name;
        for (const float none : {0.0f, -1.0f, not_a_number}) {
            EXPECT_EQ(encode(type, in, Floats(in.size(), none).data()), encode(type, in)) << format_of(type).name;
        }
        EXPECT_EQ(encode(type, in, Floats(in.size(), 3.0f).data()), encode(type, in)) << format_of(type).name;
        // Nothing counts in the second half of each block: it is fitted all the same.
        Floats half(in.size(), 1.0f);
        const size_t len = format_of(type).block_len;
        if (len == 32) { continue; }  // one group
        for (size_t i = 0; i < half.size(); i++) { half[i] = i % len < len / 2 ? 1.0f : 0.0f; }
        EXPECT_LT(relative_error(round_trip(type, in, half.data()), in), 1.3 * relative_error(round_trip(type, in), in))
            << format_of(type).name;
    }
}

}  // namespace
