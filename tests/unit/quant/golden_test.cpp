// The codecs against llama.cpp's: quantised bytes and their dequantisation, 8 rows of 1024 weights in 27 formats.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
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

// Formats whose encoders choose nothing give the same bytes.
constexpr std::array rounded = {Type::f16, Type::bf16, Type::q8_0};

TEST(QuantGolden, EncodesToTheByte) {
    WALLABY_NEED_DATA(data);
    const auto folder = data / "golden" / "quants";
    const auto input = read_array<float>(folder / "input.f32");
    ASSERT_EQ(input.size(), n_weights);
    for (const Type type : rounded) {
        const Format& format = format_of(type);
        std::string name(format.name);
        std::ranges::transform(name, name.begin(), [](char c) { return char(std::tolower(c)); });
        const auto expected = read_array<uint8_t>(folder / (name + ".blocks"));
        ASSERT_EQ(expected.size(), n_weights / format.block_len * format.block_bytes) << name;
        std::vector<uint8_t> blocks(expected.size());
        format.encode(input.data(), blocks.data(), n_weights / format.block_len, nullptr);
        EXPECT_EQ(first_difference(blocks, expected), expected.size()) << name;
    }
}

// The others leave no larger an error than llama.cpp's encoders.
TEST(QuantGolden, EncodersThatChooseChooseAsWell) {
    WALLABY_NEED_DATA(data);
    const auto folder = data / "golden" / "quants";
    const auto input = read_array<float>(folder / "input.f32");
    ASSERT_EQ(input.size(), n_weights);
    size_t n_tried = 0;
    for (const GoldenType& type : golden_types(folder)) {
        const Format& format = *find_format(type.id);
        if (format.encode == nullptr || std::ranges::find(rounded, format.type) != rounded.end()) { continue; }
        n_tried++;
        std::vector<uint8_t> blocks(n_weights / format.block_len * format.block_bytes);
        std::vector<float> decoded(n_weights);
        format.encode(input.data(), blocks.data(), n_weights / format.block_len, nullptr);
        format.decode(blocks.data(), decoded.data(), n_weights / format.block_len);
        double off = 0, size = 0;
        for (size_t i = 0; i < n_weights; i++) {
            off += (double(decoded[i]) - double(input[i])) * (double(decoded[i]) - double(input[i]));
            size += double(input[i]) * double(input[i]);
        }
        const double error = std::sqrt(off / size);
        std::printf("[ measured ] %s: %.5f, llama.cpp %.5f (%+.1f %%)\n", type.name.c_str(), error, type.relative_rmse,
                    100 * (error / type.relative_rmse - 1));
        EXPECT_LE(error, type.relative_rmse + 1e-5) << type.name;  // required: 1.01 times that
    }
    EXPECT_EQ(n_tried, 24u);
}

}  // namespace
