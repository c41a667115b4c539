// The probe's loops do what they count.
#include <gtest/gtest.h>

#include <bit>

#include "support/tables.h"

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
        // Each chain and lane: codes 4 3 2 1 times 1 -2 3 4, so that four products, or eight operations, add eight.
        EXPECT_EQ(table->probe.int8_operations % (16 * 32 * 2), 0u);
        EXPECT_EQ(table->probe.int8(5), 5 * table->probe.int8_operations);
        // One of each chain's sums s = s / 2 + 1 / 2, or two operations.
        EXPECT_EQ(table->probe.f32_operations % (16 * 2), 0u);
        const uint64_t n_sums = table->probe.f32_operations / 2;
        EXPECT_EQ(table->probe.f32(200), std::bit_cast<uint32_t>(float(n_sums)));
    }
}

}  // namespace
