#include "convert/mixes.h"

#include <gtest/gtest.h>

#include <map>

#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using wallaby::testing::must;

// A LLaMA of any depth, 512 wide with 8 heads.
std::vector<TensorShape> llama(uint32_t n_layers, uint32_t n_experts, uint32_t heads_per_kv) {
    std::vector<TensorShape> out{{"token_embd.weight", {512, 512}}};
    for (uint32_t i = 0; i < n_layers; i++) {
        const auto add = [&](const std::string& name, std::vector<uint64_t> dims) {
            out.push_back({"blk." + std::to_string(i) + "." + name + ".weight", std::move(dims)});
        };
        add("attn_norm", {512});
        add("attn_q", {512, 512});
        add("attn_k", {512, 512 / heads_per_kv});
        add("attn_v", {512, 512 / heads_per_kv});
        add("attn_output", {512, 512});
        add("ffn_norm", {512});
        if (n_experts != 0) { add("ffn_gate_inp", {512, n_experts}); }
        for (const char* name : {"ffn_gate", "ffn_up", "ffn_down"}) {
            const bool down = std::string(name) == "ffn_down";
            std::vector<uint64_t> dims{down ? 768u : 512u, down ? 512u : 768u};
            if (n_experts != 0) { dims.push_back(n_experts); }
            add(std::string(name) + (n_experts != 0 ? "_exps" : ""), dims);
        }
    }
    out.push_back({"output_norm.weight", {512}});
    out.push_back({"output.weight", {512, 512}});
    return out;
}

using Counts = std::map<std::string, size_t>;

Counts counts_of(const Types& types) {
    Counts counts;
    for (const quant::Type type : types.of) { counts[std::string(quant::format_of(type).name)]++; }
    return counts;
}

std::string type_of(const Types& types, const std::vector<TensorShape>& tensors, std::string_view name) {
    for (size_t i = 0; i < tensors.size(); i++) {
        if (tensors[i].name == name) { return std::string(quant::format_of(types.of[i]).name); }
    }
    return "";
}

// What llama.cpp's own quantiser (v0.5.0, llama_model_quantize) chose for F16 files of these forms; the lists were
// compared tensor by tensor, here their counts stand.
TEST(ConvertMixes, AsLlamaCppChooses) {
    struct Case {
        uint32_t n_layers, n_experts, heads_per_kv;
        const char* mix;
        Counts counts;
    };
    const Case cases[] = {
        {20, 0, 4, "Q3_K_S", {{"F32", 41}, {"Q3_K", 141}, {"Q6_K", 1}}},
        {20, 0, 4, "Q3_K_M", {{"F32", 41}, {"Q3_K", 81}, {"Q4_K", 57}, {"Q5_K", 3}, {"Q6_K", 1}}},
        {20, 0, 4, "Q3_K_L", {{"F32", 41}, {"Q3_K", 81}, {"Q5_K", 60}, {"Q6_K", 1}}},
        {20, 0, 4, "Q4_K_S", {{"F32", 41}, {"Q4_K", 135}, {"Q5_K", 6}, {"Q6_K", 1}}},
        {20, 0, 4, "Q4_K_M", {{"F32", 41}, {"Q4_K", 121}, {"Q6_K", 21}}},
        {20, 0, 4, "Q5_K_S", {{"F32", 41}, {"Q5_K", 141}, {"Q6_K", 1}}},
        {20, 0, 4, "Q5_K_M", {{"F32", 41}, {"Q5_K", 121}, {"Q6_K", 21}}},
        {33, 0, 1, "Q3_K_M", {{"F32", 67}, {"Q3_K", 133}, {"Q4_K", 95}, {"Q5_K", 4}, {"Q6_K", 1}}},
        {33, 0, 1, "Q4_K_S", {{"F32", 67}, {"Q4_K", 224}, {"Q5_K", 8}, {"Q6_K", 1}}},
        {33, 0, 1, "Q4_K_M", {{"F32", 67}, {"Q4_K", 198}, {"Q6_K", 35}}},
        {9, 8, 4, "Q3_K_S", {{"F32", 28}, {"Q3_K", 37}, {"Q5_K", 9}, {"Q6_K", 1}, {"Q8_0", 18}}},
        {9, 8, 4, "Q3_K_L", {{"F32", 28}, {"Q3_K", 37}, {"Q5_K", 9}, {"Q6_K", 1}, {"Q8_0", 18}}},
        {9, 8, 4, "Q4_K_M", {{"F32", 28}, {"Q4_K", 32}, {"Q5_K", 9}, {"Q6_K", 6}, {"Q8_0", 18}}},
        {16, 8, 2, "Q3_K_M", {{"F32", 49}, {"Q3_K", 49}, {"Q4_K", 15}, {"Q5_K", 17}, {"Q6_K", 1}, {"Q8_0", 32}}},
        {16, 8, 2, "Q5_K_S", {{"F32", 49}, {"Q5_K", 81}, {"Q6_K", 1}, {"Q8_0", 32}}},
        {10, 4, 4, "Q4_K_S", {{"F32", 31}, {"Q4_K", 66}, {"Q5_K", 5}, {"Q6_K", 1}}},
        {10, 4, 4, "Q4_K_M", {{"F32", 31}, {"Q4_K", 61}, {"Q6_K", 11}}},
    };
    for (const Case& c : cases) {
        const Types types = must(choose_types(c.mix, llama(c.n_layers, c.n_experts, c.heads_per_kv)));
        EXPECT_EQ(counts_of(types), c.counts) << c.mix << " of " << c.n_layers << " layers, " << c.n_experts;
        EXPECT_EQ(types.n_replaced, 0u);
    }
}

TEST(ConvertMixes, PlacesOfQ4KM) {
    const auto tensors = llama(20, 0, 4);  // more bits: layers 0, 1, then every third from 4, then 17 and after
    const Types types = must(choose_types("q4_k_m", tensors));
    EXPECT_EQ(types.file_type, 15u);
    for (uint32_t il = 0; il < 20; il++) {
        const bool more = il < 2 || il >= 17 || (il - 2) % 3 == 2;
        for (const char* name : {".attn_v.weight", ".ffn_down.weight"}) {
            EXPECT_EQ(type_of(types, tensors, "blk." + std::to_string(il) + name), more ? "Q6_K" : "Q4_K") << il;
        }
        EXPECT_EQ(type_of(types, tensors, "blk." + std::to_string(il) + ".attn_k.weight"), "Q4_K");
        EXPECT_EQ(type_of(types, tensors, "blk." + std::to_string(il) + ".ffn_norm.weight"), "F32");
    }
    EXPECT_EQ(type_of(types, tensors, "token_embd.weight"), "Q4_K");
    EXPECT_EQ(type_of(types, tensors, "output.weight"), "Q6_K");
}

TEST(ConvertMixes, ATiedEmbeddingIsAnOutputToo) {
    auto tensors = llama(2, 0, 1);
    tensors.pop_back();
    EXPECT_EQ(type_of(must(choose_types("Q4_K_M", tensors)), tensors, "token_embd.weight"), "Q6_K");
}

TEST(ConvertMixes, AFormatIsForEveryMatrix) {
    const auto tensors = llama(2, 4, 1);
    for (const std::string_view name : type_names()) {
        if (name.find("_K_") != std::string_view::npos) { continue; }
        Counts expected{{"F32", 7}};
        expected[std::string(name)] += 16;
        EXPECT_EQ(counts_of(must(choose_types(name, tensors))), expected) << name;
    }
}

// qwen2.5-0.5b's rows of 896, as llama.cpp's quantiser handles them: 145 of its files' matrices.
TEST(ConvertMixes, RowsThatAreNoWholeBlocksGetAnotherFormat) {
    const auto replaced = [](std::string_view name, uint64_t row) {
        const Types types = must(choose_types(name, std::vector<TensorShape>{{"blk.0.attn_q.weight", {row, 64}}}));
        EXPECT_EQ(types.n_replaced, 1u);
        return quant::format_of(types.of[0]).name;
    };
    EXPECT_EQ(replaced("Q4_K", 896), "Q5_0");
    EXPECT_EQ(replaced("Q5_K", 896), "Q5_1");
    EXPECT_EQ(replaced("Q6_K", 896), "Q8_0");
    EXPECT_EQ(replaced("Q3_K", 896), "IQ4_NL");
    EXPECT_EQ(replaced("IQ2_XS", 896), "IQ4_NL");
    EXPECT_EQ(replaced("TQ2_0", 896), "Q4_0");
    EXPECT_EQ(replaced("Q8_0", 100), "F16");
    const Shape qwen = must(named_shape("qwen2.5-0.5b"));
    EXPECT_EQ(must(choose_types("Q4_K_M", qwen.tensors)).n_replaced, 145u);
}

TEST(ConvertMixes, UnknownTypesAreRefusedNamingTheKnown) {
    for (const char* name : {"", "Q4", "Q4_K_XL", "I8", "Q9_0"}) {
        const auto refused = choose_types(name, llama(1, 0, 1));
        ASSERT_FALSE(refused.ok()) << name;
        EXPECT_EQ(refused.error().code, ErrorCode::argument);
        EXPECT_NE(refused.error().remedy.find("IQ4_XS"), std::string::npos);
    }
}

TEST(ConvertMixes, FileTypesHaveNames) {
    EXPECT_EQ(convert::file_type_name(15), "Q4_K_M");
    EXPECT_EQ(convert::file_type_name(2), "Q4_0");
    EXPECT_EQ(convert::file_type_name(0), "F32");
    EXPECT_EQ(convert::file_type_name(5), "");
    EXPECT_EQ(convert::file_type_name(~0u), "");
}

}  // namespace
