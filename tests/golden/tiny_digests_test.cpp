// Logits to the bit: synthetic models of every weight format, a digest of whose logits stands here. The reference back
// end defines them (docs/numerics.md), so they are the same on every machine; `./dev check` repeats this on an emulated
// CPU of 2008. A digest that changes is a change of the numerics (a new version of that page) or of convert's random
// blocks (ConvertRandomBlocks.SameBytesEverywhere changes with it).
#include <gtest/gtest.h>

#include <algorithm>

#include "convert/synthetic.h"
#include "support/digest.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using wallaby::testing::Digest;
using wallaby::testing::must;
using wallaby::testing::Runner;

// Logits of a prompt in one step and of n_decode greedy steps after it.
std::string digest_of(const char* model, const char* type, quant::Type kv, size_t n_prompt, size_t n_decode) {
    const auto source = must(convert::open_synthetic(model, type, 1));
    Runner runner(*source, {.n_ctx = 320, .kv = kv});
    std::vector<int32_t> tokens;
    for (size_t i = 0; i < n_prompt; i++) { tokens.push_back(int32_t((1 + 7919 * i) % 509)); }
    Digest digest;
    for (size_t i = 0; i <= n_decode; i++) {
        const std::vector<float> logits = runner.feed(tokens);
        digest.add(logits);
        const auto last = logits.end() - std::ptrdiff_t(runner.n_vocab());
        tokens = {int32_t(std::max_element(last, logits.end()) - last)};
    }
    return digest.text();
}

struct Row {
    const char* type;
    const char* dense;  // F32 KV cache
    const char* moe;    // F16 KV cache
    const char* window;
};

const Row rows[] = {
    {"F32", "0x03603b8a13d956a7", "0xeede18c1b2bc5639", "0x99c21f0b03eb38a6"},
    {"F16", "0x6146e1a5bf61c502", "0x75a81607a2f6cddf", "0xc47801894a1508c5"},
    {"BF16", "0xcd4c3d6a899a029d", "0xc40ce1f0188b1e4c", "0x290c55372a0b23f6"},
    {"Q4_0", "0x639fd84415f20178", "0x4379daf292ff054f", "0x2a98818cf5c1cbf7"},
    {"Q4_1", "0xf8fc2bcb83996270", "0x15d79d70ebda2291", "0xa5b4e3d91a3d8c4b"},
    {"Q5_0", "0xf2fea3c7fb0dfc8d", "0x4790dd3e729d963a", "0xe96a31e253ae67e7"},
    {"Q5_1", "0xc12df21a67c91654", "0x4bbdf3b87a5845b4", "0x6d5e59da850ff309"},
    {"Q8_0", "0x9ec86824387ebdb5", "0xb7349ee46df85d48", "0x93bdf473059e46f2"},
    {"Q2_K", "0x657026f270b8d313", "0xfd947507e431d941", "0x2307a0cbb8f00f9a"},
    {"Q3_K", "0xc46d879bc77503e8", "0xeb717a5cce4e818d", "0x1b931c2589011e2d"},
    {"Q4_K", "0x3ce823b305181745", "0x548d858f810d480d", "0xf050d298473735d5"},
    {"Q5_K", "0x344aeacd5192904e", "0x657ca1140fda7f37", "0x400231b7a68cc49b"},
    {"Q6_K", "0x26b79c3bd131479d", "0xb4f716a71a44bd28", "0x2d743af02957be3c"},
    {"IQ1_S", "0x920a2fe9f8f01540", "0x6737ff0756ce1d74", "0xdf050a71209fefe3"},
    {"IQ1_M", "0x91b5ae4aa63216d3", "0x4346c6e18e514a21", "0x67f8802db720cac3"},
    {"IQ2_XXS", "0xe05b178612bb6d99", "0x1a0c6eb14a01d6a4", "0x64ff1f8ce64e341c"},
    {"IQ2_XS", "0x5e2d64c8f280d89f", "0xf58bdbe76babfd65", "0x54bd04c407647148"},
    {"IQ2_S", "0x57e4f0291a5b8bf8", "0x4c9d2f516fc2ed7f", "0xd5de78b302ca6214"},
    {"IQ3_XXS", "0xa1599a0eb6701b10", "0x338812866f7688c5", "0x75d2f4e5c1c3b936"},
    {"IQ3_S", "0xdf4031eca0e9c262", "0xa3c2560938769231", "0x67e98a9c17d9bddd"},
    {"IQ4_NL", "0x3407890321903126", "0x2a35ad01e5bdfc3e", "0xcc322396de3d8b1c"},
    {"IQ4_XS", "0x975b85348e7ca579", "0x74eee2f262b12aa1", "0xb30d2cd85d974902"},
    {"TQ1_0", "0xd72fdb8c59e0e3e4", "0xc5aefad959f431d4", "0xe60fe3c16ccc2856"},
    {"TQ2_0", "0x4d8d0191076aff3d", "0x7b7d3e85b0e6d20d", "0x2dfe3c247d5b00ae"},
    {"MXFP4", "0xef1e8cedaca59357", "0xa32ad240851c82a5", "0x54c4732ec07157aa"},
    {"NVFP4", "0x729ae92226cab412", "0x514d629162381c9a", "0x18bfb0fe05038b9d"},
    {"Q1_0", "0xfa6afa41b5b5ded6", "0x1a8aa3b49c840fac", "0xb342560b2b5286d6"},
    {"Q2_0", "0xfe8ee62b72dd851b", "0xcac55c3f8d702081", "0x5185f00694264edc"},
};

class GoldenTinyDigests : public ::testing::TestWithParam<Row> {};

TEST_P(GoldenTinyDigests, Dense) {
    EXPECT_EQ(digest_of("tiny-dense", GetParam().type, quant::Type::f32, 8, 1), GetParam().dense);
}

TEST_P(GoldenTinyDigests, Moe) {
    EXPECT_EQ(digest_of("tiny-moe", GetParam().type, quant::Type::f16, 4, 1), GetParam().moe);
}

TEST_P(GoldenTinyDigests, Window) {  // of 8 keys
    EXPECT_EQ(digest_of("tiny-window", GetParam().type, quant::Type::f16, 10, 1), GetParam().window);
}

// Over the ends of pages (64 keys) and of a range (256).
TEST(GoldenTinyDigestsLong, Pages) {
    EXPECT_EQ(digest_of("tiny-dense", "Q4_K", quant::Type::f16, 126, 4), "0xc518842542a022b6");
}

TEST(GoldenTinyDigestsLong, Range) {
    EXPECT_EQ(digest_of("tiny-dense", "Q8_0", quant::Type::f32, 254, 4), "0xc268b6f7b30e9c84");
}

TEST(GoldenTinyDigestsLong, WindowPages) {
    EXPECT_EQ(digest_of("tiny-window", "Q6_K", quant::Type::f32, 126, 4), "0xb4a4a3b5bda8b080");
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTinyDigests, ::testing::ValuesIn(rows),
                         [](const auto& test) { return std::string(test.param.type); });

}  // namespace
