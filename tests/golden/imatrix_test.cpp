// The importance matrix of a trained model, against llama.cpp's activations.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/model.h"
#include "eval/imatrix.h"
#include "support/data.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

// llama.cpp v0.5.0's library over the same chunks (float32 cache), its matmuls' inputs squared and added up in double
// by an evaluation callback: of the mean squares the sum, and the largest with its column.
struct Expected {
    const char* name;
    double sum, largest;
    size_t column;
};
constexpr Expected expected[] = {
    {"blk.2.attn_k.weight", 100.884684, 9.16142464, 20},   {"blk.2.attn_output.weight", 5.28606767, 0.214052156, 2},
    {"blk.2.attn_q.weight", 100.884684, 9.16142464, 20},   {"blk.2.attn_v.weight", 100.884684, 9.16142464, 20},
    {"blk.2.ffn_down.weight", 13.9970831, 1.04055691, 15}, {"blk.2.ffn_gate.weight", 37.3775888, 1.47614729, 20},
    {"blk.2.ffn_up.weight", 37.3775888, 1.47614729, 20},   {"blk.4.ffn_down.weight", 53.1146732, 1.07413697, 100},
    {"output.weight", 263.229737, 37.8689499, 5},
};

TEST(GoldenImatrix, AgreesWithLlamaCpp) {
    WALLABY_NEED_DATA(data);
    std::string text = read_file(data / "text" / "tinystories_sample.txt");
    if (text.ends_with('\n')) { text.pop_back(); }
    threads::Pool pool(2);
    for (const char* backend : {"cpu", "reference"}) {
        engine::LoadOptions options;
        options.backend.name = backend;
        options.n_ctx = 256;
        options.k_type = options.v_type = quant::Type::f32;
        const auto model = must(
            engine::Model::load((data / "models/stories260K/stories260K.gguf").string(), options, {pool, {}, {}, {}}));
        const eval::Chunks chunks = must(eval::cut_text(*model, text, 256, {}));
        convert::Imatrix imatrix;
        const auto done = eval::collect_imatrix(model, chunks, {.process_output = true}, imatrix, {}, {});
        ASSERT_TRUE(done.ok()) << done.error().message();
        EXPECT_EQ(imatrix.tensors.size(), 36u);
        for (const Expected& e : expected) {
            const convert::InputSums* sums = imatrix.find(e.name);
            ASSERT_NE(sums, nullptr) << e.name;
            EXPECT_EQ(sums->counts, (std::vector<uint64_t>{7 * 256})) << e.name;
            const std::vector<float> factors = convert::importance_of(*sums);
            double sum = 0;
            for (const float f : factors) { sum += f; }
            EXPECT_NEAR(sum / e.sum, 1, 1e-6) << e.name;  // measured: 1.1e-6 at most in any column of any matrix
            const auto largest = std::ranges::max_element(factors);
            EXPECT_EQ(largest - factors.begin(), std::ptrdiff_t(e.column)) << e.name;
            EXPECT_NEAR(*largest / e.largest, 1, 2e-6) << e.name;
        }
    }
}

}  // namespace
