#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "quant/format.h"

namespace {

using namespace wallaby::quant;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

// Decodes from and into heap memory of exactly the right size, the blocks `skew` bytes off alignment. A weight that the
// decoder leaves out keeps its filling.
std::vector<float> decode_exactly(const Format& format, const std::vector<uint8_t>& bytes, size_t skew, float filling) {
    const size_t n_blocks = bytes.size() / format.block_bytes;
    std::vector<uint8_t> skewed(skew + bytes.size());
    std::copy(bytes.begin(), bytes.end(), skewed.begin() + ptrdiff_t(skew));
    std::vector<float> out(n_blocks * format.block_len, filling);
    format.decode(skewed.data() + skew, out.data(), n_blocks);
    return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    const auto bits = [](float x) { return std::bit_cast<uint32_t>(x); };
    return std::ranges::equal(a, b, {}, bits, bits);
}

// Any bytes decode, at any address, to values that depend on those bytes alone. (The address sanitizer sees overruns.)
TEST(QuantCodec, DecodesAnyBytesAtAnyAlignment) {
    std::mt19937_64 random(11);
    for (const Format& format : formats()) {
        for (int round = 0; round < 200; round++) {
            std::vector<uint8_t> bytes((round % 5) * format.block_bytes);
            for (uint8_t& byte : bytes) { byte = uint8_t(round < 5 ? 0xff : round < 10 ? 0 : random()); }
            const auto first = decode_exactly(format, bytes, 0, -12345.5f);
            EXPECT_TRUE(same_bits(first, decode_exactly(format, bytes, 0, 999.25f))) << format.name;
            EXPECT_TRUE(same_bits(first, decode_exactly(format, bytes, 1 + round % 7, 0.0f))) << format.name;
        }
    }
}

TEST(QuantCodec, BlocksAreIndependent) {
    std::mt19937_64 random(12);
    for (const Format& format : formats()) {
        std::vector<uint8_t> bytes(7 * format.block_bytes);
        for (uint8_t& byte : bytes) { byte = uint8_t(random()); }
        std::vector<float> joined;
        for (size_t i = 0; i < 7; i++) {
            const auto begin = bytes.begin() + ptrdiff_t(i * format.block_bytes);
            const auto one = decode_exactly(format, {begin, begin + ptrdiff_t(format.block_bytes)}, 0, 0.0f);
            joined.insert(joined.end(), one.begin(), one.end());
        }
        EXPECT_TRUE(same_bits(joined, decode_exactly(format, bytes, 0, 0.0f))) << format.name;
    }
}

template <class Number>
std::vector<float> decode_numbers(Type type, const std::vector<Number>& numbers) {
    std::vector<uint8_t> bytes(numbers.size() * sizeof(Number));
    std::memcpy(bytes.data(), numbers.data(), bytes.size());
    return decode_exactly(format_of(type), bytes, 1, 0.0f);
}

TEST(QuantCodec, PlainNumbersRoundToNearestEven) {
    EXPECT_EQ(decode_numbers<int8_t>(Type::i8, {-128, -1, 0, 127}), (std::vector<float>{-128, -1, 0, 127}));
    EXPECT_EQ(decode_numbers<int16_t>(Type::i16, {-32768, 32767}), (std::vector<float>{-32768, 32767}));
    EXPECT_EQ(decode_numbers<int32_t>(Type::i32, {-5, 16777217, 16777219, INT32_MIN}),
              (std::vector<float>{-5, 16777216, 16777220, -0x1p31f}));
    EXPECT_EQ(decode_numbers<int64_t>(Type::i64, {-5, INT64_MAX}), (std::vector<float>{-5, 0x1p63f}));
    EXPECT_EQ(decode_numbers<double>(Type::f64, {0.1, 16777217.0, 1e300, -1e-300}),
              (std::vector<float>{0.1f, 16777216.0f, infinity, -0.0f}));
    EXPECT_EQ(decode_numbers<float>(Type::f32, {0.1f, -infinity}), (std::vector<float>{0.1f, -infinity}));
}

TEST(QuantCodec, Fp4ScalesAreTheirStandardsValues) {
    for (int code = 0; code < 256; code++) {
        std::vector<uint8_t> mx(17, 0x22);  // 0x2 is 1.0
        mx[0] = uint8_t(code);
        EXPECT_EQ(decode_exactly(format_of(Type::mxfp4), mx, 0, 0.0f)[0], float(std::ldexp(1.0, code - 127))) << code;

        std::vector<uint8_t> nv(36, 0x22);
        nv[1] = uint8_t(code);
        const int exponent = code >> 3 & 15;
        const double mantissa = (code & 7) / 8.0;
        const double value = exponent == 0 ? std::ldexp(mantissa, -6) : std::ldexp(1 + mantissa, exponent - 7);
        EXPECT_EQ(decode_exactly(format_of(Type::nvfp4), nv, 0, 0.0f)[16], code == 0x7f ? 0.0f : float(value)) << code;
    }
}

TEST(QuantCodec, TernaryBytesHoldFiveDigits) {
    for (int number = 0; number < 243; number++) {
        std::vector<uint8_t> block(54, 0);
        block[0] = uint8_t((number * 256 + 242) / 243);
        block[53] = 0x3c;  // d = 1
        const auto weights = decode_exactly(format_of(Type::tq1_0), block, 0, 0.0f);
        int decoded = 0;
        for (size_t digit = 0; digit < 5; digit++) { decoded = 3 * decoded + int(weights[32 * digit]) + 1; }
        EXPECT_EQ(decoded, number);
    }
}

// Encoding and decoding again moves a weight by at most `bound`, which is derived for each format below. The largest
// error seen, as a fraction of its bound, is returned: near 1, or the bound is slack.
template <class Bound>
double largest_error(Type type, Bound bound) {
    const Format& format = format_of(type);
    std::mt19937_64 random(13);
    std::normal_distribution<float> normal;
    double largest = 0;
    for (int round = 0; round < 4000; round++) {
        // Scales from 2^-8 to 2^8, some blocks off centre: away from f16's denormals and its overflow.
        const float size = std::ldexp(1.0f, round % 17 - 8);
        const float centre = round % 3 == 0 ? 2.0f : 0.0f;
        std::vector<float> in(format.block_len);
        for (float& x : in) { x = size * (normal(random) + centre); }
        std::vector<uint8_t> bytes(format.block_bytes);
        format.encode(in.data(), bytes.data(), 1, nullptr);
        const auto out = decode_exactly(format, bytes, 0, 0.0f);
        for (size_t i = 0; i < in.size(); i++) {
            largest = std::max(largest, std::fabs(double(out[i]) - double(in[i])) / bound(in, double(in[i])));
        }
    }
    return largest;
}

constexpr double f16_rounding = 0x1p-11;   // of a normal number, relative
constexpr double f32_slack = 1 + 0x1p-18;  // for the few f32 roundings on the way to a code

double farthest(const std::vector<float>& in) {
    double found = 0;
    for (const float x : in) {
        if (std::fabs(x) > std::fabs(found)) { found = x; }
    }
    return found;
}

void expect_tight(double fraction, const char* what) {
    EXPECT_LE(fraction, 1.0) << what;
    EXPECT_GE(fraction, 0.9) << what;
}

TEST(QuantCodec, RoundTripErrorIsWithinTheFormatsBound) {
    EXPECT_EQ(largest_error(Type::f32, [](auto&, double) { return 1.0; }), 0.0);
    const auto f16_bound = [](auto&, double x) { return f16_rounding * std::fabs(x) + 0x1p-25; };
    const auto bf16_bound = [](auto&, double x) { return 0x1p-8 * std::fabs(x); };
    const auto q8_0_bound = [](const std::vector<float>& in, double) {
        const double d = std::fabs(farthest(in)) / 127;
        return f32_slack * (0.5 * d + f16_rounding * 127 * d);
    };
    expect_tight(largest_error(Type::f16, f16_bound), "F16");
    expect_tight(largest_error(Type::bf16, bf16_bound), "BF16");
    expect_tight(largest_error(Type::q8_0, q8_0_bound), "Q8_0");
}

std::vector<uint8_t> encode(Type type, const std::vector<float>& in) {
    const Format& format = format_of(type);
    std::vector<uint8_t> bytes(in.size() / format.block_len * format.block_bytes, 0xcd);
    format.encode(in.data(), bytes.data(), in.size() / format.block_len, nullptr);
    return bytes;
}

// The scale is 1 (the largest weight is 127), so codes are the weights rounded: halves away from zero, and the number
// just below one half, to which adding one half in f32 gives one, down.
TEST(QuantCodec, Q8RoundsHalvesAwayFromZero) {
    std::vector<float> in(32, 0.0f);
    in[0] = 127.0f;
    in[1] = 0.5f;
    in[2] = -0.5f;
    in[3] = 2.5f;
    in[4] = -2.5f;
    in[5] = 0.49999997f;
    in[6] = -0.49999997f;
    in[7] = 126.5f;
    in[8] = -126.49999f;
    const auto bytes = encode(Type::q8_0, in);
    const int expected[] = {127, 1, -1, 3, -3, 0, 0, 127, -126, 0};
    for (size_t i = 0; i < 10; i++) { EXPECT_EQ(int8_t(bytes[2 + i]), expected[i]) << i; }
}

TEST(QuantCodec, ZeroesDecodeToZeroes) {
    for (const Format& format : formats()) {
        if (format.encode == nullptr) { continue; }
        for (const float zero : {0.0f, -0.0f}) {
            const std::vector<float> in(2 * format.block_len, zero);
            for (const float w : decode_exactly(format, encode(format.type, in), 0, 1.0f)) { EXPECT_EQ(w, 0.0f); }
        }
    }
}

// Defined (the undefined-behaviour sanitizer sees the rest) and reproducible, though no useful value is promised.
TEST(QuantCodec, EncodersAreDefinedForEveryFloat) {
    std::mt19937_64 random(14);
    constexpr float extremes[] = {infinity, -infinity, not_a_number, -not_a_number, 3.4e38f, -3.4e38f,
                                  1e-45f,   -1e-45f,   1.2e-38f,     65520.0f,      0.0f,    -0.0f};
    for (const Format& format : formats()) {
        if (format.encode == nullptr) { continue; }
        for (int round = 0; round < 2000; round++) {
            std::vector<float> in(format.block_len);
            for (float& x : in) {
                if (round < 12) {
                    x = extremes[round];
                } else if (round % 2 == 0) {
                    x = extremes[random() % 12];
                } else {
                    x = std::bit_cast<float>(uint32_t(random()));
                }
            }
            EXPECT_EQ(encode(format.type, in), encode(format.type, in)) << format.name;
        }
    }
}

}  // namespace
