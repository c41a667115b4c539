// Logits to the bit: synthetic models of every weight format, a digest of whose logits stands here, for the reference
// back end and for the CPU back end with whatever instruction set is the best here (docs/numerics.md): they are the
// same on every machine. `./dev check` repeats this on an emulated CPU of 2008. A digest that changes is a change of
// the numerics (a new version of that page) or of convert's random blocks (ConvertRandomBlocks.SameBytesEverywhere
// changes with it).
#include <gtest/gtest.h>

#include <algorithm>

#include "convert/synthetic.h"
#include "support/digest.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using backends::WeightsIn;
using wallaby::testing::Digest;
using wallaby::testing::must;
using wallaby::testing::Runner;

// Logits of a prompt in one step and of n_decode greedy steps after it.
std::string digest_of(const char* model, const char* type, quant::Type kv, size_t n_prompt, size_t n_decode,
                      const char* backend = "reference", WeightsIn weights_in = WeightsIn::memory) {
    const auto source = must(convert::open_synthetic(model, type, 1));
    Runner runner(*source, {.n_ctx = 320, .kv = kv, .backend = backend, .weights_in = weights_in});
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
    {"Q4_1", "0xf8fc2bcb83996270", "0x15d79d70ebda2291", "0xa5b4e3d91a3d8c4b", "0xa78a1f2e23168191",
     "0x827df46c29a24e0d", "0x1757027e01f73df1"},
    {"Q5_0", "0xf2fea3c7fb0dfc8d", "0x4790dd3e729d963a", "0xe96a31e253ae67e7", "0xaf19286bb39f5228",
     "0xe98ac9842078e50e", "0x4aaa83f4fa52dad7"},
    {"Q5_1", "0xc12df21a67c91654", "0x4bbdf3b87a5845b4", "0x6d5e59da850ff309", "0xec076a2bce0e426c",
     "0x2c4cbf93cb84d693", "0x7b1aed6cb81fb617"},
    {"Q8_0", "0x9ec86824387ebdb5", "0xb7349ee46df85d48", "0x93bdf473059e46f2", "0x1862f82f47ad09fa",
     "0x3f42f9999d05930c", "0xac9001d50d81ac77"},
    {"Q2_K", "0x657026f270b8d313", "0xfd947507e431d941", "0x2307a0cbb8f00f9a", "0x30fc89b82223e191",
     "0xd88c7413f265dbe0", "0x221ac4d3cd947f9d"},
    {"Q3_K", "0xc46d879bc77503e8", "0xeb717a5cce4e818d", "0x1b931c2589011e2d", "0x682bb6e85e3b3381",
     "0xd6e84af5acda4f63", "0xce42ddd53ee23e97"},
    {"Q4_K", "0x3ce823b305181745", "0x548d858f810d480d", "0xf050d298473735d5", "0x738e6ae9b1498ca2",
     "0x3106f47969be3257", "0x43fd9dcf2c404c1e"},
    {"Q5_K", "0x344aeacd5192904e", "0x657ca1140fda7f37", "0x400231b7a68cc49b", "0x95d4926101bda28c",
     "0x601823dea1db4540", "0xe318481552a14d34"},
    {"Q6_K", "0x26b79c3bd131479d", "0xb4f716a71a44bd28", "0x2d743af02957be3c", "0x308f2121fcdf4ee2",
     "0xc405de45e510ad40", "0x35270411992e359f"},
    {"IQ1_S", "0x920a2fe9f8f01540", "0x6737ff0756ce1d74", "0xdf050a71209fefe3", "0x4b13ec767f412d1d",
     "0x2ff7e9f75150f551", "0x3d2538ed101a43ed"},
    {"IQ1_M", "0x91b5ae4aa63216d3", "0x4346c6e18e514a21", "0x67f8802db720cac3", "0x28e57f0b7047318a",
     "0x6670253d1f42c59f", "0xc43bacb3b305ac35"},
    {"IQ2_XXS", "0xe05b178612bb6d99", "0x1a0c6eb14a01d6a4", "0x64ff1f8ce64e341c", "0xd9210f75ff357d3d",
     "0x8539e10c023ebd06", "0x7f138e18ff723ff4"},
    {"IQ2_XS", "0x5e2d64c8f280d89f", "0xf58bdbe76babfd65", "0x54bd04c407647148", "0x61c01a2c15098db2",
     "0x84fbc77e5a564a51", "0xe33cbd4a7e5676fe"},
    {"IQ2_S", "0x57e4f0291a5b8bf8", "0x4c9d2f516fc2ed7f", "0xd5de78b302ca6214", "0xf8ae6ac0d12b0345",
     "0xc78b903dec3f4fd3", "0x7b816e41d31930a0"},
    {"IQ3_XXS", "0xa1599a0eb6701b10", "0x338812866f7688c5", "0x75d2f4e5c1c3b936", "0x3d352453a02ac36f",
     "0xc07c0e965d686aa9", "0xba9352764b56068b"},
    {"IQ3_S", "0xdf4031eca0e9c262", "0xa3c2560938769231", "0x67e98a9c17d9bddd", "0x07d3e36ae3c80b46",
     "0x2dee599fa1b8e6f3", "0x217003c745e6a7ff"},
    {"IQ4_NL", "0x3407890321903126", "0x2a35ad01e5bdfc3e", "0xcc322396de3d8b1c", "0xe57fa6d61937815c",
     "0xca7cfa105d54b72e", "0x611f11a48d7d7ba0"},
    {"IQ4_XS", "0x975b85348e7ca579", "0x74eee2f262b12aa1", "0xb30d2cd85d974902", "0x74ec2c9bdd1e91b5",
     "0x91496a379bc232f5", "0x2414e33f2d69f8c5"},
    {"TQ1_0", "0xd72fdb8c59e0e3e4", "0xc5aefad959f431d4", "0xe60fe3c16ccc2856", "0xb4bd5bae83583395",
     "0x4c7b4e52a348cdce", "0x3c668b0e589ff773"},
    {"TQ2_0", "0x4d8d0191076aff3d", "0x7b7d3e85b0e6d20d", "0x2dfe3c247d5b00ae", "0x8a80dcaab2feeba6",
     "0x9a57c50dc33d0973", "0x79b10ce9d40b6012"},
    {"MXFP4", "0xef1e8cedaca59357", "0xa32ad240851c82a5", "0x54c4732ec07157aa", "0x29b4acf6d704f7c2",
     "0x6faa26717e005dac", "0x346f2772f1ce0a99"},
    {"NVFP4", "0x729ae92226cab412", "0x514d629162381c9a", "0x18bfb0fe05038b9d", "0xe48a9ecfdbb1ade1",
     "0x24969bbff30ce50a", "0x856e4dc998cbf207"},
    {"Q1_0", "0xfa6afa41b5b5ded6", "0x1a8aa3b49c840fac", "0xb342560b2b5286d6", "0xe504a8ff897972e3",
     "0x1b6a7e6b3d733e6f", "0x27c8c5e394c5fac8"},
    {"Q2_0", "0xfe8ee62b72dd851b", "0xcac55c3f8d702081", "0x5185f00694264edc", "0xc51f1b594bee7ede",
     "0x97bec5776d23867d", "0x45e1bd84c39bf467"},
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
    EXPECT_EQ(digest_of("tiny-dense", GetParam().type, quant::Type::f32, 8, 1, "auto"), GetParam().cpu_dense);
}

TEST_P(GoldenTinyDigests, CpuMoe) {
    EXPECT_EQ(digest_of("tiny-moe", GetParam().type, quant::Type::f16, 4, 1, "auto"), GetParam().cpu_moe);
}

TEST_P(GoldenTinyDigests, CpuWindow) {
    EXPECT_EQ(digest_of("tiny-window", GetParam().type, quant::Type::f16, 10, 1, "auto"), GetParam().cpu_window);
}

// Packed as they are used, from a source that has to be read.
TEST_P(GoldenTinyDigests, CpuInFile) {
    const Row& row = GetParam();
    EXPECT_EQ(digest_of("tiny-dense", row.type, quant::Type::f32, 8, 1, "auto", WeightsIn::file), row.cpu_dense);
    EXPECT_EQ(digest_of("tiny-moe", row.type, quant::Type::f16, 4, 1, "auto", WeightsIn::file), row.cpu_moe);
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
    EXPECT_EQ(digest_of("tiny-dense", "Q4_K", quant::Type::f16, 126, 4, "auto"), "0xa0ee92012e01cdbd");
    EXPECT_EQ(digest_of("tiny-dense", "Q4_0", quant::Type::q8_0, 126, 4, "auto"), "0x7eaef6330609f516");
}

TEST(GoldenTinyDigestsLong, CpuRange) {
    EXPECT_EQ(digest_of("tiny-dense", "Q8_0", quant::Type::f32, 254, 4, "auto"), "0xce4c65d7db9b53db");
}

TEST(GoldenTinyDigestsLong, CpuWindowPages) {
    EXPECT_EQ(digest_of("tiny-window", "Q6_K", quant::Type::bf16, 126, 4, "auto"), "0xd024ae795ce8d2b3");
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTinyDigests, ::testing::ValuesIn(rows),
                         [](const auto& test) { return std::string(test.param.type); });

}  // namespace
