#include "quant/format.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <string>

namespace {

using namespace wallaby::quant;

TEST(QuantFormat, TableIsSortedUniqueAndWhole) {
    EXPECT_EQ(formats().size(), 33u);
    std::set<std::string_view> names;
    for (size_t i = 0; i < formats().size(); i++) {
        const Format& format = formats()[i];
        if (i > 0) { EXPECT_LT(uint32_t(formats()[i - 1].type), uint32_t(format.type)) << format.name; }
        EXPECT_TRUE(names.insert(format.name).second) << format.name;
        EXPECT_GT(format.block_len, 0u) << format.name;
        EXPECT_EQ(256 % format.block_len, 0u) << format.name;  // so rows that hold K-quants hold anything
        EXPECT_GT(format.block_bytes, 0u) << format.name;
        EXPECT_NE(format.decode, nullptr) << format.name;
    }
}

TEST(QuantFormat, IsFoundByIdAndByNameInAnyCase) {
    for (const Format& format : formats()) {
        EXPECT_EQ(find_format(uint32_t(format.type)), &format) << format.name;
        EXPECT_EQ(&format_of(format.type), &format) << format.name;
        EXPECT_EQ(find_format(format.name), &format) << format.name;
        std::string lower;
        for (const char c : format.name) { lower += char(std::tolower(c)); }
        EXPECT_EQ(find_format(lower), &format) << lower;
    }
    EXPECT_EQ(find_format("q4_K"), &format_of(Type::q4_k));
}

TEST(QuantFormat, UnknownIdsAndNamesAreNotFound) {
    // 4, 5, 9, 31..33 and 36..38 are ids that ggml retired or keeps for formats never stored in files.
    for (const uint32_t id : {4u, 5u, 9u, 15u, 31u, 32u, 33u, 36u, 37u, 38u, 43u, 1000u, 0xffffffffu}) {
        EXPECT_EQ(find_format(id), nullptr) << id;
    }
    for (const char* name : {"", "Q4", "Q4_", "Q4_KK", "Q4_K ", " Q4_K", "Q4-K", "F16\n"}) {
        EXPECT_EQ(find_format(std::string_view(name)), nullptr) << name;
    }
}

TEST(QuantFormat, BitsPerWeight) {
    EXPECT_EQ(format_of(Type::f32).bits_per_weight(), 32.0);
    EXPECT_EQ(format_of(Type::q4_k).bits_per_weight(), 4.5);
    EXPECT_EQ(format_of(Type::iq1_s).bits_per_weight(), 1.5625);
    EXPECT_EQ(format_of(Type::mxfp4).bits_per_weight(), 4.25);
}

}  // namespace
