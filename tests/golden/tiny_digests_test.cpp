// Logits to the bit: synthetic models of every weight format, a digest of whose logits stands here, for the reference
// back end and for the CPU back end with every instruction set that this machine has (docs/numerics.md): they are the
// same on every machine. `./dev check` repeats this on emulated CPUs. A digest that changes is a change of
// the numerics (a new version of that page) or of convert's random blocks (ConvertRandomBlocks.SameBytesEverywhere
// changes with it).
#include <gtest/gtest.h>

#include <algorithm>

#include "convert/synthetic.h"
#include "support/digest.h"
#include "support/runner.h"
#include "support/tables.h"

namespace {

using namespace wallaby;
using backends::WeightsIn;
using wallaby::testing::Digest;
using wallaby::testing::must;
using wallaby::testing::Runner;
using wallaby::testing::usable_tables;

// Logits of a prompt in one step and of n_decode greedy steps after it.
std::string digest_of(const char* model, const char* type, quant::Type kv, size_t n_prompt, size_t n_decode,
                      std::string_view backend = "reference", WeightsIn weights_in = WeightsIn::memory) {
    const auto source = must(convert::open_synthetic(model, type, 1));
    Runner runner(*source, {.n_ctx = 320, .kv = kv, .backend = std::string(backend), .weights_in = weights_in});
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

// The same of the CPU back end with every instruction set that this machine has.
void expect_digest(const char* expected, const char* model, const char* type, quant::Type kv, size_t n_prompt,
                   size_t n_decode, WeightsIn weights_in = WeightsIn::memory) {
    for (const kernels::Table* table : usable_tables()) {
        EXPECT_EQ(digest_of(model, type, kv, n_prompt, n_decode, table->isa.name, weights_in), expected)
            << table->isa.name;
    }
}

struct Row {
    const char* type;
    const char* dense;  // F32 KV cache
    const char* moe;    // F16 KV cache
    const char* window;
    const char* cpu_dense;  // the same of the CPU back end
    const char* cpu_moe;
    const char* cpu_window;
};

const Row rows[] = {
    {"F32", "0x03603b8a13d956a7", "0xeede18c1b2bc5639", "0x99c21f0b03eb38a6", "0x1b649ba41571a3e1",
     "0xa74ea1405fd8470a", "0xdb97decc78196d18"},
    {"F16", "0x6146e1a5bf61c502", "0x75a81607a2f6cddf", "0xc47801894a1508c5", "0x72735f48ccd02555",
     "0x64136d463660f902", "0xed11336e6258d241"},
    {"BF16", "0xcd4c3d6a899a029d", "0xc40ce1f0188b1e4c", "0x290c55372a0b23f6", "0x6b95b6b01f86bae1",
     "0xf6300ae61cd3eab6", "0x20edc869ce5d5cfe"},
    {"Q4_0", "0x639fd84415f20178", "0x4379daf292ff054f", "0x2a98818cf5c1cbf7", "0xbd2e8d2816180c26",
     "0xb395a67181085913", "0x63fa2733cc1de974"},
    {"Q4_1", "0xf8fc2bcb83996270", "0x15d79d70ebda2291", "0xa5b4e3d91a3d8c4b", "0xf723d5a38a46a4e7",
     "0x56e45e7b343aa033", "0xc23e23b586f7dfda"},
    {"Q5_0", "0xf2fea3c7fb0dfc8d", "0x4790dd3e729d963a", "0xe96a31e253ae67e7", "0x03141a472b9cd1c5",
     "0x15cd1fea706738ba", "0x5dbbe93772c6ce53"},
    {"Q5_1", "0xc12df21a67c91654", "0x4bbdf3b87a5845b4", "0x6d5e59da850ff309", "0xdd998da80a34b324",
     "0xc9c5b6ec997efea2", "0x6d637d74274e5619"},
    {"Q8_0", "0x9ec86824387ebdb5", "0xb7349ee46df85d48", "0x93bdf473059e46f2", "0x1862f82f47ad09fa",
     "0x3f42f9999d05930c", "0xac9001d50d81ac77"},
    {"Q2_K", "0x657026f270b8d313", "0xfd947507e431d941", "0x2307a0cbb8f00f9a", "0xc19be82b2be88dc3",
     "0x88e194b96ace4d1d", "0xb55ecfbaf4e97e98"},
    {"Q3_K", "0xc46d879bc77503e8", "0xeb717a5cce4e818d", "0x1b931c2589011e2d", "0x1ea7e74f4f8a21ca",
     "0x301a6f931111bde0", "0xf19c6f00245d46f5"},
    {"Q4_K", "0x3ce823b305181745", "0x548d858f810d480d", "0xf050d298473735d5", "0x738e6ae9b1498ca2",
     "0x3106f47969be3257", "0x43fd9dcf2c404c1e"},
    {"Q5_K", "0x344aeacd5192904e", "0x657ca1140fda7f37", "0x400231b7a68cc49b", "0xb8f15087afbf35aa",
     "0x5a6c9354b594c97d", "0xf8a558876869bf68"},
    {"Q6_K", "0x26b79c3bd131479d", "0xb4f716a71a44bd28", "0x2d743af02957be3c", "0x308f2121fcdf4ee2",
     "0xc405de45e510ad40", "0x35270411992e359f"},
    {"IQ1_S", "0x920a2fe9f8f01540", "0x6737ff0756ce1d74", "0xdf050a71209fefe3", "0xfa3119b84af0f595",
     "0x47f1dd18f127c080", "0x1a30b75c8ff5a083"},
    {"IQ1_M", "0x91b5ae4aa63216d3", "0x4346c6e18e514a21", "0x67f8802db720cac3", "0x36fda8e9fc0788d5",
     "0xecf78e7166315017", "0x9d35220bc2c861ad"},
    {"IQ2_XXS", "0xe05b178612bb6d99", "0x1a0c6eb14a01d6a4", "0x64ff1f8ce64e341c", "0x76e9dedb240af9e8",
     "0x905172d97c27874e", "0x10f93d053d825478"},
    {"IQ2_XS", "0x5e2d64c8f280d89f", "0xf58bdbe76babfd65", "0x54bd04c407647148", "0x98a296951e1981be",
     "0x365b3e4a5fdbb621", "0xcc707ae8e3ab34ce"},
    {"IQ2_S", "0x57e4f0291a5b8bf8", "0x4c9d2f516fc2ed7f", "0xd5de78b302ca6214", "0xca241a6a45683d14",
     "0xf3c2ea413b4964aa", "0x52617747a464a4fd"},
    {"IQ3_XXS", "0xa1599a0eb6701b10", "0x338812866f7688c5", "0x75d2f4e5c1c3b936", "0x09460a13dc5cb23d",
     "0xb0879374c73c0e86", "0x0ffd564d6ae0a232"},
    {"IQ3_S", "0xdf4031eca0e9c262", "0xa3c2560938769231", "0x67e98a9c17d9bddd", "0x7705919af04adbca",
     "0x081497f29f3878d9", "0x00a9a1b831aa0241"},
    {"IQ4_NL", "0x3407890321903126", "0x2a35ad01e5bdfc3e", "0xcc322396de3d8b1c", "0xf7f77993fbdc3e1a",
     "0x877743f5006a3cfc", "0x027cd53e002021c5"},
    {"IQ4_XS", "0x975b85348e7ca579", "0x74eee2f262b12aa1", "0xb30d2cd85d974902", "0x3806a4c21ce9650b",
     "0xb497806b3a75ecbb", "0xb09a149b27bc8419"},
    {"TQ1_0", "0xd72fdb8c59e0e3e4", "0xc5aefad959f431d4", "0xe60fe3c16ccc2856", "0xf4cae55169370602",
     "0x5eb501c6e9de0113", "0xfb53c7e0e3ee8a5e"},
    {"TQ2_0", "0x4d8d0191076aff3d", "0x7b7d3e85b0e6d20d", "0x2dfe3c247d5b00ae", "0xd618b9b957515506",
     "0xedb5de86c196e622", "0xb7963723c7d14a0b"},
    {"MXFP4", "0xef1e8cedaca59357", "0xa32ad240851c82a5", "0x54c4732ec07157aa", "0x8ebb30ac62cd1eaa",
     "0x1924c73b75985819", "0xdcdcea2bc16de173"},
    {"NVFP4", "0x729ae92226cab412", "0x514d629162381c9a", "0x18bfb0fe05038b9d", "0x9f495f161ec66a64",
     "0xf2be959dcc7b7c50", "0xafd1e08a35cafbff"},
    {"Q1_0", "0xfa6afa41b5b5ded6", "0x1a8aa3b49c840fac", "0xb342560b2b5286d6", "0xdfce94ee6da86d2f",
     "0x39a635e26a3b6a93", "0x2e86a31f3c39d1b6"},
    {"Q2_0", "0xfe8ee62b72dd851b", "0xcac55c3f8d702081", "0x5185f00694264edc", "0x1c7e3a89f3d2c25a",
     "0x113b18778d7aa257", "0x14cce13ce3ed9906"},
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

TEST_P(GoldenTinyDigests, CpuDense) {
    expect_digest(GetParam().cpu_dense, "tiny-dense", GetParam().type, quant::Type::f32, 8, 1);
}

TEST_P(GoldenTinyDigests, CpuMoe) {
    expect_digest(GetParam().cpu_moe, "tiny-moe", GetParam().type, quant::Type::f16, 4, 1);
}

TEST_P(GoldenTinyDigests, CpuWindow) {
    expect_digest(GetParam().cpu_window, "tiny-window", GetParam().type, quant::Type::f16, 10, 1);
}

// Packed as they are used, from a source that has to be read.
TEST_P(GoldenTinyDigests, CpuInFile) {
    const Row& row = GetParam();
    expect_digest(row.cpu_dense, "tiny-dense", row.type, quant::Type::f32, 8, 1, WeightsIn::file);
    expect_digest(row.cpu_moe, "tiny-moe", row.type, quant::Type::f16, 4, 1, WeightsIn::file);
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

TEST(GoldenTinyDigestsLong, CpuPages) {
    expect_digest("0xa0ee92012e01cdbd", "tiny-dense", "Q4_K", quant::Type::f16, 126, 4);
    expect_digest("0x7eaef6330609f516", "tiny-dense", "Q4_0", quant::Type::q8_0, 126, 4);
}

TEST(GoldenTinyDigestsLong, CpuRange) {
    expect_digest("0xce4c65d7db9b53db", "tiny-dense", "Q8_0", quant::Type::f32, 254, 4);
}

TEST(GoldenTinyDigestsLong, CpuWindowPages) {
    expect_digest("0xd024ae795ce8d2b3", "tiny-window", "Q6_K", quant::Type::bf16, 126, 4);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTinyDigests, ::testing::ValuesIn(rows),
                         [](const auto& test) { return std::string(test.param.type); });

}  // namespace
