#include "convert/random_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "sampling/random.h"
#include "support/digest.h"

namespace {

using namespace wallaby;
using convert::RandomBlocks;
using quant::Type;

bool is_integer(Type type) { return type >= Type::i8 && type <= Type::i64; }

std::vector<uint8_t> bytes_of(const quant::Format& format, double mean, double sigma, size_t n_weights) {
    std::vector<uint8_t> bytes(n_weights / format.block_len * format.block_bytes);
    RandomBlocks(format.type, mean, sigma).fill(convert::stream_key(1, "a tensor"), 0, bytes);
    return bytes;
}

std::vector<float> weights_of(const quant::Format& format, double mean, double sigma, size_t n_weights) {
    const auto bytes = bytes_of(format, mean, sigma, n_weights);
    std::vector<float> weights(n_weights);
    format.decode(bytes.data(), weights.data(), n_weights / format.block_len);
    return weights;
}

struct Moments {
    double mean = 0, sigma = 0;
    bool finite = true;
};

Moments moments_of(const std::vector<float>& weights) {
    Moments m;
    for (const float w : weights) {
        m.finite = m.finite && std::isfinite(w);
        m.mean += double(w) / double(weights.size());
    }
    for (const float w : weights) { m.sigma += (w - m.mean) * (w - m.mean) / double(weights.size()); }
    m.sigma = std::sqrt(m.sigma);
    return m;
}

TEST(ConvertRandomBlocks, Moments) {
    constexpr size_t n = 1 << 17;
    for (const quant::Format& format : quant::formats()) {
        if (is_integer(format.type)) { continue; }
        for (const double sigma : {1.0, 0.03}) {
            SCOPED_TRACE(std::string(format.name) + " " + std::to_string(sigma));
            const Moments m = moments_of(weights_of(format, 0, sigma, n));
            EXPECT_TRUE(m.finite);
            // 512 scales of 256 weights each, or more: their mean square scatters by about 2 %.
            EXPECT_NEAR(m.sigma, sigma, 0.05 * sigma);
            EXPECT_NEAR(m.mean, 0, 0.03 * sigma);
        }
    }
}

TEST(ConvertRandomBlocks, AMeanWhereThereAreNoBlocks) {
    for (const Type type : {Type::f32, Type::f16, Type::bf16, Type::f64}) {
        const Moments m = moments_of(weights_of(quant::format_of(type), 1, 0.1, 1 << 16));
        EXPECT_NEAR(m.mean, 1, 0.005);
        EXPECT_NEAR(m.sigma, 0.1, 0.005);
    }
}

TEST(ConvertRandomBlocks, FiniteForAnySigma) {
    for (const quant::Format& format : quant::formats()) {
        for (const double sigma : {0.0, 1e-9, 1e-4, 100.0, 1e9}) {
            const Moments m = moments_of(weights_of(format, 0, sigma, 1 << 13));
            EXPECT_TRUE(m.finite) << format.name << " " << sigma;
            EXPECT_EQ(m.sigma == 0, is_integer(format.type)) << format.name << " " << sigma;
        }
    }
}

// Any range of a stream, cut anywhere, is the same bytes.
TEST(ConvertRandomBlocks, AnyRange) {
    sampling::Random random(5);
    for (const quant::Format& format : quant::formats()) {
        const RandomBlocks blocks(format.type, 0, 0.1);
        const uint64_t key = convert::stream_key(7, "x");
        std::vector<uint8_t> whole(3000), cut(3000);
        blocks.fill(key, 0, whole);
        for (size_t at = 0; at < cut.size();) {
            const size_t n = std::min<size_t>(random.next() % 500, cut.size() - at);
            blocks.fill(key, at, std::span(cut).subspan(at, n));
            at += n;
        }
        EXPECT_EQ(cut, whole) << format.name;
    }
}

TEST(ConvertRandomBlocks, SeedAndNameMakeTheStream) {
    EXPECT_NE(convert::stream_key(1, "a"), convert::stream_key(2, "a"));
    EXPECT_NE(convert::stream_key(1, "a"), convert::stream_key(1, "b"));
    EXPECT_EQ(convert::stream_key(1, "a"), convert::stream_key(1, "a"));
}

// What no encoder writes is not made: -128 in Q8_0, and a fourth level in ternary blocks.
TEST(ConvertRandomBlocks, OnlyCodesThatEncodersWrite) {
    const auto q8_0 = bytes_of(quant::format_of(Type::q8_0), 0, 1, 1 << 16);
    for (size_t i = 0; i < q8_0.size(); i++) { EXPECT_FALSE(i % 34 >= 2 && q8_0[i] == 0x80); }
    for (const Type type : {Type::tq1_0, Type::tq2_0}) {
        const auto weights = weights_of(quant::format_of(type), 0, 1, 1 << 14);
        for (size_t block = 0; block < weights.size(); block += 256) {
            float d = 0;
            for (size_t i = 0; i < 256; i++) { d = std::max(d, -weights[block + i]); }
            for (size_t i = 0; i < 256; i++) {
                const float w = weights[block + i];
                ASSERT_TRUE(w == d || w == -d || w == 0) << w << " of ±" << d;
            }
        }
    }
}

// The bytes of every format, here and on every other machine: digests of logits rest on them.
TEST(ConvertRandomBlocks, SameBytesEverywhere) {
    wallaby::testing::Digest digest;
    for (const quant::Format& format : quant::formats()) { digest.add(bytes_of(format, 0.5, 0.044, 4096)); }
    EXPECT_EQ(digest.text(), "0xb62af978ec61527c");
}

}  // namespace
