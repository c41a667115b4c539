// The probe's loops do what they count.
#include <gtest/gtest.h>

#include <bit>

#include "unit/kernels/tables.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

TEST(KernelsProbe, ReadsEveryDword) {
    sampling::Random random(1);
    std::vector<uint32_t> words(1003);
    uint32_t expected = 0;
    for (uint32_t& w : words) {
        w = uint32_t(random.next());
        expected ^= w;
    }
    for (const kernels::Table* table : usable_tables()) {
        EXPECT_EQ(table->probe.read(reinterpret_cast<const uint8_t*>(words.data()), words.size() * 4), expected);
    }
}

TEST(KernelsProbe, ChainsGiveTheSameEverywhere) {
    for (const kernels::Table* table : usable_tables()) {
        // Codes 4 3 2 1 times 1 -2 3 4, in 16 lanes of 12 chains.
        EXPECT_EQ(table->probe.int8(5), 5u * 16 * 12 * (4 - 6 + 6 + 4));
        EXPECT_EQ(table->probe.f32(200), std::bit_cast<uint32_t>(16 * 12 * 1.0f));  // s = s / 2 + 1 / 2
        EXPECT_EQ(table->probe.int8_operations, 16u * 12 * 4 * 2);
        EXPECT_EQ(table->probe.f32_operations, 16u * 12 * 2);
    }
}

}  // namespace
