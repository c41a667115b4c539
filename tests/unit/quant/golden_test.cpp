// The codecs against llama.cpp's: quantised bytes and their dequantisation, 8 rows of 1024 weights in 27 formats.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <sstream>

#include "quant/format.h"
#include "support/data.h"

namespace {

using namespace wallaby::quant;
using wallaby::testing::read_array;
using wallaby::testing::read_file;

constexpr size_t n_weights = 8 * 1024;

struct GoldenType {
    uint32_t id;
    std::string name;
    uint32_t block_len;
    uint32_t block_bytes;
    double relative_rmse;
};

// Lines such as " 2 q4_0     block 32 bytes 18 bpw 4.5000 rel-rmse 0.11769".
std::vector<GoldenType> golden_types(const std::filesystem::path& folder) {
    std::vector<GoldenType> types;
    std::istringstream lines(read_file(folder / "types.txt"));
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        GoldenType type = {};
        std::string block, bytes, bpw, rel_rmse;
        double bits = 0;
        words >> type.id >> type.name >> block >> type.block_len >> bytes >> type.block_bytes;
        words >> bpw >> bits >> rel_rmse >> type.relative_rmse;
        EXPECT_TRUE(words) << line;
        types.push_back(type);
    }
    return types;
}

size_t first_difference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
    return size_t(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

TEST(QuantGolden, TableAgreesOnIdsNamesAndSizes) {
    WALLABY_NEED_DATA(data);
    size_t n_agreeing = 0;
    for (const GoldenType& type : golden_types(data / "golden" / "quants")) {
        const Format* format = find_format(type.id);
        ASSERT_NE(format, nullptr) << type.name;
        EXPECT_EQ(find_format(type.name), format) << type.name;
        EXPECT_EQ(format->block_len, type.block_len) << type.name;
        EXPECT_EQ(format->block_bytes, type.block_bytes) << type.name;
        n_agreeing++;
    }
    EXPECT_EQ(n_agreeing, 27u);
}

TEST(QuantGolden, DecodesToTheBit) {
    WALLABY_NEED_DATA(data);
    const auto folder = data / "golden" / "quants";
    size_t n_exact = 0;
    for (const GoldenType& type : golden_types(folder)) {
        const Format* format = find_format(type.id);
        ASSERT_NE(format, nullptr) << type.name;
        const auto blocks = read_array<uint8_t>(folder / (type.name + ".blocks"));
        const auto expected = read_array<uint32_t>(folder / (type.name + ".f32"));
        ASSERT_EQ(blocks.size(), n_weights / format->block_len * format->block_bytes) << type.name;
        ASSERT_EQ(expected.size(), n_weights) << type.name;
        std::vector<float> decoded(n_weights);
        format->decode(blocks.data(), decoded.data(), n_weights / format->block_len);
        size_t n_wrong = 0;
        for (size_t i = 0; i < n_weights; i++) { n_wrong += std::bit_cast<uint32_t>(decoded[i]) != expected[i]; }
        EXPECT_EQ(n_wrong, 0u) << type.name;
        n_exact += n_wrong == 0;
    }
    EXPECT_EQ(n_exact, 27u);
}

TEST(QuantGolden, EncodesToTheByte) {
    WALLABY_NEED_DATA(data);
    const auto folder = data / "golden" / "quants";
    const auto input = read_array<float>(folder / "input.f32");
    ASSERT_EQ(input.size(), n_weights);
    size_t n_exact = 0;
    for (const GoldenType& type : golden_types(folder)) {
        const Format* format = find_format(type.id);
        ASSERT_NE(format, nullptr) << type.name;
        if (format->encode == nullptr) { continue; }
        const auto expected = read_array<uint8_t>(folder / (type.name + ".blocks"));
        std::vector<uint8_t> blocks(expected.size());
        ASSERT_EQ(blocks.size(), n_weights / format->block_len * format->block_bytes) << type.name;
        format->encode(input.data(), blocks.data(), n_weights / format->block_len);
        EXPECT_EQ(first_difference(blocks, expected), expected.size()) << type.name;
        n_exact += blocks == expected;
    }
    EXPECT_EQ(n_exact, 7u);  // F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0
}

}  // namespace
