// Files that lie about their model: each lie is an error that names the key or the tensor.
#include <gtest/gtest.h>

#include "models/models.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

// The message that a file is refused with; empty when it is not.
std::string refusal(const TinyModel& tiny, models::Options options = {}) {
    const auto source = tiny.open();
    const auto model = models::build(*source, options);
    return model.ok() ? std::string() : model.error().message();
}

void expect_refused(const TinyModel& tiny, std::initializer_list<const char*> parts) {
    const std::string message = refusal(tiny);
    EXPECT_FALSE(message.empty());
    for (const char* part : parts) { EXPECT_NE(message.find(part), std::string::npos) << part << " in: " << message; }
}

TEST(ModelsBuild, FamiliesMadeHereAreAccepted) {
    EXPECT_EQ(refusal({}), "");
    EXPECT_EQ(refusal({.tied = true, .biases = true}), "");
    EXPECT_EQ(refusal({.n_expert = 4, .n_used = 2}), "");
    EXPECT_EQ(refusal({.architecture = "mistral3"}), "");
    EXPECT_EQ(refusal({.architecture = "gpt2", .biases = true}), "");
    for (const char* architecture : {"qwen2", "qwen3", "gemma2", "gemma3", "phi3", "olmo2", "mamba2"}) {
        EXPECT_EQ(refusal({.architecture = architecture}), "") << architecture;
    }
    EXPECT_EQ(refusal({.architecture = "qwen3moe", .n_expert = 4, .n_used = 2}), "");
    EXPECT_EQ(
        refusal({.architecture = "gpt-oss", .n_expert = 4, .n_used = 2, .numbers = {{"attention.sliding_window", 8}}}),
        "");
}

// Which layers of a program see how far.
std::vector<uint32_t> windows(const TinyModel& tiny) {
    std::vector<uint32_t> out;
    const ops::Model model = must(models::build(*tiny.open(), {}));
    for (const ops::Op& op : model.programs[0].ops) {
        if (const auto* attend = std::get_if<ops::Attend>(&op.spec)) { out.push_back(attend->window); }
    }
    return out;
}

TEST(ModelsBuild, WindowsByLayer) {
    using W = std::vector<uint32_t>;
    TinyModel tiny{.architecture = "gemma2", .n_layers = 4};
    EXPECT_EQ(windows(tiny), (W{4096, 0, 4096, 0}));
    tiny.numbers = {{"attention.sliding_window", 9}};
    EXPECT_EQ(windows(tiny), (W{9, 0, 9, 0}));
    tiny.architecture = "olmo2";
    EXPECT_EQ(windows(tiny), (W{9, 9, 9, 0}));
    tiny.architecture = "phi3";
    EXPECT_EQ(windows(tiny), (W{9, 9, 9, 9}));
    tiny.numbers = {};
    EXPECT_EQ(windows(tiny), (W{0, 0, 0, 0}));
    tiny.architecture = "gemma3";
    tiny.n_layers = 7;
    EXPECT_EQ(windows(tiny), (W{0, 0, 0, 0, 0, 0, 0}));
    tiny.numbers = {{"attention.sliding_window", 9}};
    EXPECT_EQ(windows(tiny), (W{9, 9, 9, 9, 9, 0, 9}));
}

TEST(ModelsBuild, LiesAboutScansAndWindows) {
    for (const char* key :
         {"ssm.inner_size", "ssm.conv_kernel", "ssm.state_size", "ssm.time_step_rank", "ssm.group_count"}) {
        expect_refused({.architecture = "mamba2", .numbers = {{key, 0}}}, {key, "outside"});
        expect_refused({.architecture = "mamba2", .without = {key}}, {key, "missing"});
    }
    expect_refused({.architecture = "mamba2", .numbers = {{"ssm.group_count", 3}}}, {"ssm.time_step_rank", "3 groups"});
    expect_refused({.architecture = "mamba2", .without = {"blk.0.ssm_d"}}, {"blk.0.ssm_d", "missing"});
    expect_refused({.architecture = "gpt-oss", .n_expert = 4, .n_used = 2}, {"attention.sliding_window", "missing"});
    expect_refused({.architecture = "qwen3", .without = {"blk.1.attn_k_norm.weight"}}, {"blk.1.attn_k_norm.weight"});
}

TEST(ModelsBuild, UnknownArchitectureIsNamedWithThoseThatRun) {
    expect_refused({.architecture = "hyena"},
                   {"general.architecture", "'hyena'", "gemma2, gemma3, gpt-oss, gpt2, llama, mamba2"});
}

TEST(ModelsBuild, HyperParametersOutOfRange) {
    const std::pair<const char*, float> lies[] = {
        {"block_count", 0},
        {"block_count", 3e9f},
        {"embedding_length", 0},
        {"attention.head_count", 0},
        {"attention.head_count_kv", 0},
        {"attention.head_count_kv", 5},
        {"feed_forward_length", 0},
        {"context_length", 0},
        {"attention.layer_norm_rms_epsilon", -1},
        {"attention.layer_norm_rms_epsilon", NAN},
    };
    for (const auto& [key, value] : lies) { expect_refused({.numbers = {{key, value}}}, {key}); }
    expect_refused({.n_expert = 4, .n_used = 5}, {"expert_used_count"});
    expect_refused({.n_expert = 4, .n_used = 0}, {"expert_used_count"});
}

TEST(ModelsBuild, HyperParametersThatContradictEachOther) {
    expect_refused({.n_heads = 4, .n_heads_kv = 3}, {"head_count_kv", "does not divide"});
    expect_refused({.numbers = {{"attention.head_count", 6}}}, {"llama."});
    expect_refused({.numbers = {{"attention.value_length", 8}}}, {"attention.value_length"});
    expect_refused({.numbers = {{"rope.dimension_count", 7}}}, {"rope.dimension_count", "odd"});
}

TEST(ModelsBuild, MissingKeysAreNamed) {
    for (const char* key : {"block_count", "embedding_length", "feed_forward_length", "attention.head_count",
                            "context_length", "attention.layer_norm_rms_epsilon"}) {
        expect_refused({.without = {key}}, {key, "missing"});
    }
}

TEST(ModelsBuild, WrongTypeOfAKey) {
    expect_refused({.strings = {{"block_count", "two"}}, .without = {"block_count"}}, {"block_count", "string"});
}

TEST(ModelsBuild, MissingTensorsAreAllNamed) {
    expect_refused({.without = {"blk.1.ffn_up.weight"}}, {"blk.1.ffn_up.weight", "missing"});
    expect_refused({.without = {"blk.0.attn_q.weight", "blk.0.attn_norm.weight"}},
                   {"blk.0.attn_q.weight", "blk.0.attn_norm.weight"});
    expect_refused({.without = {"token_embd.weight"}}, {"token_embd.weight"});
    expect_refused({.n_expert = 4, .n_used = 2, .without = {"blk.0.ffn_gate_inp.weight"}},
                   {"blk.0.ffn_gate_inp.weight"});
    expect_refused({.architecture = "gpt2", .biases = true, .without = {"position_embd.weight"}},
                   {"position_embd.weight"});
}

TEST(ModelsBuild, WrongShapes) {
    expect_refused({.vectors = {{"blk.0.attn_norm.weight", {1, 2, 3}}}, .without = {"blk.0.attn_norm.weight"}},
                   {"blk.0.attn_norm.weight", "64"});
    expect_refused({.numbers = {{"feed_forward_length", 95}}}, {"ffn_gate", "64 x 95"});
    expect_refused({.n_layers = 2, .numbers = {{"block_count", 3}}}, {"blk.2."});
    expect_refused({.n_expert = 4, .n_used = 2, .numbers = {{"expert_count", 3}}},
                   {"blk.0.ffn_gate_inp.weight", "blk.0.ffn_gate_exps.weight", "64 x 96 x 3"});
}

TEST(ModelsBuild, TensorsThatTheFamilyDoesNotKnowAreRefused) {
    expect_refused({.vectors = {{"blk.0.attn_q_norm.weight", std::vector<float>(16, 1.0f)}}},
                   {"blk.0.attn_q_norm.weight", "newer build"});
    EXPECT_EQ(refusal({.vectors = {{"blk.0.attn_q.input_scale", {1}}}}), "");
    EXPECT_EQ(refusal({.vectors = {{"blk.0.attn_q.scale", {0.5f}}}}), "");
}

TEST(ModelsBuild, ASlidingWindowIsRefusedOnlyWhereItMatters) {
    const TinyModel tiny{.numbers = {{"attention.sliding_window", 128}}};
    EXPECT_EQ(refusal(tiny, {128, 0, 0}), "");
    EXPECT_NE(refusal(tiny, {129, 0, 0}).find("sliding"), std::string::npos);
}

TEST(ModelsBuild, HeadCountsPerLayer) {
    TinyModel tiny;
    const auto source = tiny.open();
    const ops::Model model = must(models::build(*source, {}));
    EXPECT_EQ(model.states.size(), 2u);
    EXPECT_EQ(model.states[1].n_heads, 2u);
    EXPECT_EQ(model.states[1].head, 16u);
    EXPECT_EQ(model.n_layers, 2u);
}

TEST(ModelsBuild, VocabularyOfAnotherLengthThanTheEmbedding) {
    GgufBytes file;
    file.kv("general.architecture", "llama").kv("llama.context_length", 16u).kv("llama.block_count", 1u);
    file.array("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "c"})
        .tensor_f32("token_embd.weight", {4, 2}, std::vector<float>(8));
    const auto source = TinyModel::open_bytes(file.build());
    const auto model = models::build(*source, {});
    ASSERT_FALSE(model.ok());
    EXPECT_NE(model.error().message().find("3 tokens, but the embedding has 2 rows"), std::string::npos)
        << model.error().message();
}

}  // namespace
