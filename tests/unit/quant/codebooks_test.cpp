#include "quant/codebooks.h"

#include <gtest/gtest.h>

namespace {

using namespace wallaby::quant;

// FNV-1a over the entries' bytes, first weight first.
template <class Grid>
uint64_t digest(const Grid& grid) {
    uint64_t hash = 1469598103934665603u;
    for (const auto& entry : grid) {
        for (const int8_t weight : entry) { hash = (hash ^ uint8_t(weight)) * 1099511628211u; }
    }
    return hash;
}

// The constants were computed from the tables of ggml's own source (ggml-common.h), not from ours: golden blocks use
// only some of the entries.
TEST(QuantCodebooks, GridsAreGgmls) {
    EXPECT_EQ(digest(iq2_xxs_grid), 0x5bd45ef8a547a7e8u);
    EXPECT_EQ(digest(iq2_xs_grid), 0xa3e52388268ca2a3u);
    EXPECT_EQ(digest(iq2_s_grid), 0xcdb5ae5bcfe7fb32u);
    EXPECT_EQ(digest(iq1_grid), 0x31aaba1fc89a41d0u);
    EXPECT_EQ(digest(iq3_xxs_grid), 0x2748ed45beb63233u);
    EXPECT_EQ(digest(iq3_s_grid), 0x5f1781aa06d14fbfu);
}

TEST(QuantCodebooks, SignsOfSevenBitsAreEvenInNumber) {
    for (uint32_t bits = 0; bits < 128; bits++) {
        const uint32_t signs = signs_from_7_bits(bits);
        EXPECT_EQ(signs & 127u, bits);
        EXPECT_LT(signs, 256u);
        int n_negative = 0;
        for (int j = 0; j < 8; j++) { n_negative += int(signs >> j & 1u); }
        EXPECT_EQ(n_negative % 2, 0) << bits;
        EXPECT_EQ(signs_from_7_bits(bits | 0xffffff80u), signs);
    }
}

}  // namespace
