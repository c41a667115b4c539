#include "convert/imatrix_statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace {

using namespace wallaby;
using namespace wallaby::convert;

// Worked out by hand.
TEST(ConvertImatrixStatistics, OfOneTensor) {
    const Imatrix imatrix{"", {{"blk.0.w", {2, 2, 4, 8}, {2}}}, {}, 1, 2};
    const auto all = statistics_of(imatrix);
    ASSERT_EQ(all.size(), 1u);
    const ImportanceStatistics& s = all[0];  // of 1, 1, 2, 4
    EXPECT_EQ(s.name, "blk.0.w");
    EXPECT_EQ(s.n, 4u);
    EXPECT_EQ(s.sum, 8);
    EXPECT_EQ(s.min, 1);
    EXPECT_EQ(s.max, 4);
    EXPECT_EQ(s.mean, 2);
    EXPECT_DOUBLE_EQ(s.deviation, std::sqrt(6.0 / 3));
    EXPECT_DOUBLE_EQ(s.entropy, (3.0 / 8 + 3.0 / 8 + 2.0 / 4 + 1.0 / 2) / 2);  // bits of 1/8, 1/8, 1/4, 1/2; of 2
    EXPECT_EQ(s.far, 0.25);                                                    // 4
    EXPECT_FALSE(s.cosine.has_value());
}

TEST(ConvertImatrixStatistics, ExpertsThatWereNeverAskedDoNotCount) {
    const Imatrix imatrix{"", {{"a", {3, 3, 0, 0}, {3, 0}}, {"b", {0, 0}, {0}}, {"c", {0, 0}, {1}}}, {}, 1, 2};
    const auto all = statistics_of(imatrix);
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].n, 2u);
    EXPECT_EQ(all[0].min, 1);
    EXPECT_DOUBLE_EQ(all[0].entropy, 1);
    EXPECT_EQ(all[0].far, 0);
    EXPECT_EQ(all[1].name, "c");  // nothing but zeros
    EXPECT_EQ(all[1].entropy, 0);
}

TEST(ConvertImatrixStatistics, LayersAgainstThoseBefore) {
    const Imatrix imatrix{"",
                          {{"blk.0.w", {1, 0}, {1}},
                           {"blk.1.w", {3, 4}, {1}},
                           {"blk.10.w", {1, 1}, {1}},
                           {"blk.2.w", {1, 1, 1}, {1}},
                           {"blk.9.w", {2, 2}, {1}},
                           {"output.weight", {1, 1}, {1}}},
                          {},
                          1,
                          2};
    const auto all = statistics_of(imatrix);
    EXPECT_FALSE(all[0].cosine.has_value());
    EXPECT_DOUBLE_EQ(all[1].cosine.value(), 0.6);
    EXPECT_DOUBLE_EQ(all[2].cosine.value(), 1);
    EXPECT_FALSE(all[3].cosine.has_value());  // of another size
    EXPECT_FALSE(all[4].cosine.has_value());  // no layer 8
    EXPECT_FALSE(all[5].cosine.has_value());
}

}  // namespace
