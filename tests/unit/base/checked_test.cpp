#include "base/checked.h"

#include <gtest/gtest.h>

namespace {

using namespace wallaby::base;

constexpr uint64_t most = UINT64_MAX;

TEST(BaseChecked, Add) {
    EXPECT_EQ(checked_add(2, 3), 5u);
    EXPECT_EQ(checked_add(most, 0), most);
    EXPECT_EQ(checked_add(most - 1, 1), most);
    EXPECT_EQ(checked_add(most, 1), std::nullopt);
    EXPECT_EQ(checked_add(uint64_t(1) << 63, uint64_t(1) << 63), std::nullopt);
}

TEST(BaseChecked, Multiply) {
    EXPECT_EQ(checked_mul(6, 7), 42u);
    EXPECT_EQ(checked_mul(most, 0), 0u);
    EXPECT_EQ(checked_mul(most, 1), most);
    EXPECT_EQ(checked_mul(uint64_t(1) << 32, (uint64_t(1) << 32) - 1), most - ((uint64_t(1) << 32) - 1));
    EXPECT_EQ(checked_mul(uint64_t(1) << 32, uint64_t(1) << 32), std::nullopt);
    EXPECT_EQ(checked_mul((uint64_t(1) << 42) + 1, uint64_t(1) << 22), std::nullopt);
}

TEST(BaseChecked, Align) {
    EXPECT_EQ(checked_align(0, 32), 0u);
    EXPECT_EQ(checked_align(1, 32), 32u);
    EXPECT_EQ(checked_align(32, 32), 32u);
    EXPECT_EQ(checked_align(33, 32), 64u);
    EXPECT_EQ(checked_align(7, 1), 7u);
    EXPECT_EQ(checked_align(most - 31, 32), most - 31);
    EXPECT_EQ(checked_align(most - 30, 32), std::nullopt);
    EXPECT_EQ(checked_align(most, 1), most);
}

}  // namespace
