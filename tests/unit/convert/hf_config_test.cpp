#include "convert/hf_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "convert/synthetic.h"
#include "models/models.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using wallaby::testing::must;
using Json = nlohmann::json;

// The published files' fields (huggingface.co, config.json of each), less those about training and generation.
constexpr const char* llama_3_1_8b = R"({
  "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 128000,
  "eos_token_id": 128001, "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
  "intermediate_size": 14336, "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
  "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "pretraining_tp": 1,
  "rms_norm_eps": 1e-05,
  "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": 8192, "rope_type": "llama3"},
  "rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true,
  "vocab_size": 128256})";
constexpr const char* llama_3_2_1b = R"({
  "architectures": ["LlamaForCausalLM"], "attention_bias": false, "head_dim": 64, "hidden_act": "silu",
  "hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": false,
  "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
  "rms_norm_eps": 1e-05,
  "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                   "original_max_position_embeddings": 8192, "rope_type": "llama3"},
  "rope_theta": 500000.0, "tie_word_embeddings": true, "vocab_size": 128256})";
constexpr const char* llama_2_7b = R"({
  "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 11008,
  "max_position_embeddings": 4096, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
  "num_key_value_heads": 32, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": null,
  "tie_word_embeddings": false, "torch_dtype": "float16", "vocab_size": 32000})";
constexpr const char* llama_1_7b = R"({
  "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 11008,
  "max_sequence_length": 2048, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
  "rms_norm_eps": 1e-06, "vocab_size": 32000})";
constexpr const char* mistral_7b = R"({
  "architectures": ["MistralForCausalLM"], "attention_dropout": 0.0, "hidden_act": "silu", "hidden_size": 4096,
  "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral", "num_attention_heads": 32,
  "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0,
  "sliding_window": null, "tie_word_embeddings": false, "vocab_size": 32768})";
constexpr const char* mixtral_8x7b = R"({
  "architectures": ["MixtralForCausalLM"], "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336,
  "max_position_embeddings": 32768, "model_type": "mixtral", "num_attention_heads": 32, "num_experts_per_tok": 2,
  "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 8, "output_router_logits": false,
  "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "router_aux_loss_coef": 0.02, "sliding_window": null,
  "tie_word_embeddings": false, "vocab_size": 32000})";
constexpr const char* qwen2_5_0_5b = R"({
  "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864,
  "max_position_embeddings": 32768, "max_window_layers": 24, "model_type": "qwen2", "num_attention_heads": 14,
  "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
  "sliding_window": 32768, "tie_word_embeddings": true, "use_mrope": false, "use_sliding_window": false,
  "vocab_size": 151936})";
constexpr const char* qwen2_5_7b = R"({
  "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "hidden_size": 3584, "intermediate_size": 18944,
  "max_position_embeddings": 32768, "max_window_layers": 28, "model_type": "qwen2", "num_attention_heads": 28,
  "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
  "sliding_window": 131072, "tie_word_embeddings": false, "use_sliding_window": false, "vocab_size": 152064})";
constexpr const char* qwen3_8b = R"({
  "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "head_dim": 128, "hidden_act": "silu",
  "hidden_size": 4096, "intermediate_size": 12288, "max_position_embeddings": 40960, "max_window_layers": 36,
  "model_type": "qwen3", "num_attention_heads": 32, "num_hidden_layers": 36, "num_key_value_heads": 8,
  "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": null,
  "tie_word_embeddings": false, "use_sliding_window": false, "vocab_size": 151936})";
constexpr const char* qwen3_30b_a3b = R"({
  "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false, "decoder_sparse_step": 1, "head_dim": 128,
  "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 6144, "max_position_embeddings": 40960,
  "max_window_layers": 48, "mlp_only_layers": [], "model_type": "qwen3_moe", "moe_intermediate_size": 768,
  "norm_topk_prob": true, "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8,
  "num_hidden_layers": 48, "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_scaling": null,
  "rope_theta": 1000000.0, "router_aux_loss_coef": 0.001, "sliding_window": null, "tie_word_embeddings": false,
  "use_sliding_window": false, "vocab_size": 151936})";
constexpr const char* gemma_2_2b = R"({
  "architectures": ["Gemma2ForCausalLM"], "attention_bias": false, "attn_logit_softcapping": 50.0,
  "cache_implementation": "hybrid", "final_logit_softcapping": 30.0, "head_dim": 256,
  "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 2304, "intermediate_size": 9216,
  "max_position_embeddings": 8192, "model_type": "gemma2", "num_attention_heads": 8, "num_hidden_layers": 26,
  "num_key_value_heads": 4, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
  "sliding_window": 4096, "vocab_size": 256000})";
constexpr const char* gemma_3_1b = R"({
  "architectures": ["Gemma3ForCausalLM"], "attention_bias": false, "attn_logit_softcapping": null,
  "cache_implementation": "hybrid", "final_logit_softcapping": null, "head_dim": 256,
  "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 1152, "intermediate_size": 6912,
  "max_position_embeddings": 32768, "model_type": "gemma3_text", "num_attention_heads": 4, "num_hidden_layers": 26,
  "num_key_value_heads": 1, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "rope_local_base_freq": 10000,
  "rope_scaling": null, "rope_theta": 1000000, "sliding_window": 512, "sliding_window_pattern": 6,
  "vocab_size": 262144})";
constexpr const char* phi_3_mini = R"({
  "architectures": ["Phi3ForCausalLM"], "attention_bias": false, "hidden_act": "silu", "hidden_size": 3072,
  "intermediate_size": 8192, "max_position_embeddings": 4096, "model_type": "phi3", "num_attention_heads": 32,
  "num_hidden_layers": 32, "num_key_value_heads": 32, "original_max_position_embeddings": 4096, "pad_token_id": 32000,
  "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000.0, "sliding_window": 2047,
  "tie_word_embeddings": false, "vocab_size": 32064})";
constexpr const char* gpt_oss_20b = R"({
  "architectures": ["GptOssForCausalLM"], "attention_bias": true, "experts_per_token": 4, "head_dim": 64,
  "hidden_act": "silu", "hidden_size": 2880, "initial_context_length": 4096, "intermediate_size": 2880,
  "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention", "sliding_attention",
    "full_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention",
    "sliding_attention", "full_attention", "sliding_attention", "full_attention", "sliding_attention",
    "full_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention",
    "sliding_attention", "full_attention", "sliding_attention", "full_attention"],
  "max_position_embeddings": 131072, "model_type": "gpt_oss", "num_attention_heads": 64, "num_experts_per_tok": 4,
  "num_hidden_layers": 24, "num_key_value_heads": 8, "num_local_experts": 32,
  "quantization_config": {"modules_to_not_convert": ["model.layers.*.self_attn"], "quant_method": "mxfp4"},
  "rms_norm_eps": 1e-05,
  "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096,
                   "rope_type": "yarn", "truncate": false},
  "rope_theta": 150000, "sliding_window": 128, "swiglu_limit": 7.0, "tie_word_embeddings": false,
  "vocab_size": 201088})";
constexpr const char* olmo_2_7b = R"({
  "architectures": ["Olmo2ForCausalLM"], "attention_bias": false, "hidden_act": "silu", "hidden_size": 4096,
  "intermediate_size": 11008, "max_position_embeddings": 4096, "model_type": "olmo2", "num_attention_heads": 32,
  "num_hidden_layers": 32, "num_key_value_heads": 32, "rms_norm_eps": 1e-06, "rope_scaling": null,
  "rope_theta": 500000, "tie_word_embeddings": false, "vocab_size": 100352})";
constexpr const char* gpt2 = R"({
  "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "layer_norm_epsilon": 1e-05,
  "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024,
  "resid_pdrop": 0.1, "vocab_size": 50257})";

constexpr std::pair<const char*, const char*> published[] = {
    {"llama-3.1-8b", llama_3_1_8b},   {"llama-3.2-1b", llama_3_2_1b},
    {"llama-2-7b", llama_2_7b},       {"llama-1-7b", llama_1_7b},
    {"mistral-7b", mistral_7b},       {"mixtral-8x7b", mixtral_8x7b},
    {"qwen2.5-0.5b", qwen2_5_0_5b},   {"qwen2.5-7b", qwen2_5_7b},
    {"qwen3-8b", qwen3_8b},           {"gemma-2-2b", gemma_2_2b},
    {"qwen3-30b-a3b", qwen3_30b_a3b}, {"gemma-3-1b", gemma_3_1b},
    {"phi-3-mini", phi_3_mini},       {"gpt-oss-20b", gpt_oss_20b},
    {"olmo-2-7b", olmo_2_7b},         {"gpt2", gpt2},
};

std::unique_ptr<SyntheticSource> source_of(Shape shape) {
    return must(SyntheticSource::create(std::move(shape), "F32", 1, "x"));
}

// The published file, changed, as a source that a program is built from.
std::unique_ptr<SyntheticSource> built(const char* text, const Json& change = Json::object()) {
    Json json = Json::parse(text);
    json["vocab_size"] = 400;  // small, so that the placeholder tokenizer takes no time
    json.merge_patch(change);  // null removes a field
    auto source = source_of(must(shape_of_config(json.dump(), "config.json")));
    const auto model = models::build(*source, {});
    EXPECT_TRUE(model.ok()) << model.error().message();
    return source;
}

Error refusal(std::string_view text) {
    const auto shape = shape_of_config(text, "config.json");
    if (shape.ok()) {
        ADD_FAILURE() << "accepted: " << text.substr(0, 200);
        return {};
    }
    return shape.error();
}

TEST(ConvertHfConfig, PublishedFilesGiveTheNamedShapes) {
    for (const auto& [name, text] : published) {
        SCOPED_TRACE(name);
        Shape shape = must(shape_of_config(text, "config.json")), named = must(named_shape(name));
        ASSERT_EQ(shape.tensors.size(), named.tensors.size());
        for (size_t i = 0; i < shape.tensors.size(); i++) {
            EXPECT_EQ(shape.tensors[i].name, named.tensors[i].name);
            EXPECT_EQ(shape.tensors[i].dims, named.tensors[i].dims);
            EXPECT_EQ(shape.tensors[i].values, named.tensors[i].values);
        }
        const auto source = source_of(std::move(shape)), expected = source_of(std::move(named));
        const auto keys = source->metadata().entries(), wanted = expected->metadata().entries();
        ASSERT_EQ(keys.size(), wanted.size());
        for (size_t i = 0; i < keys.size(); i++) {
            EXPECT_EQ(keys[i].key, wanted[i].key);
            EXPECT_EQ(keys[i].value.type, wanted[i].value.type);
            EXPECT_TRUE(std::ranges::equal(keys[i].value.bytes, wanted[i].value.bytes)) << keys[i].key;
        }
        const auto model = models::build(*source, {});
        EXPECT_TRUE(model.ok()) << model.error().message();
    }
}

TEST(ConvertHfConfig, EveryKnownTypeIsTested) {
    std::set<std::string_view> tested{"mamba2", "olmo3"};
    for (const auto& [name, text] : published) {
        const Json json = Json::parse(text);
        for (const std::string_view type : known_model_types()) {
            if (json["model_type"] == type) { tested.insert(type); }
        }
    }
    EXPECT_EQ(tested.size(), known_model_types().size());
}

// Mamba-Codestral-7B-v0.1, which has 7,285,403,648 parameters by its announcement.
TEST(ConvertHfConfig, MambaOfThePublishedSize) {
    constexpr const char* codestral = R"({
      "architectures": ["Mamba2ForCausalLM"], "chunk_size": 256, "conv_kernel": 4, "expand": 2, "head_dim": 64,
      "hidden_act": "silu", "hidden_size": 4096, "layer_norm_epsilon": 1e-05, "model_type": "mamba2", "n_groups": 8,
      "norm_before_gate": true, "num_heads": 128, "num_hidden_layers": 64, "rms_norm": true, "state_size": 128,
      "tie_word_embeddings": false, "use_bias": false, "use_conv_bias": true, "vocab_size": 32768})";
    const auto source = source_of(must(shape_of_config(codestral, "config.json", false)));
    uint64_t n = 0;
    for (const gguf::Tensor& tensor : source->tensors()) { n += tensor.n_elements(); }
    EXPECT_EQ(n, 7'285'403'648u);
    EXPECT_EQ(must(source->metadata().u32("mamba2.ssm.inner_size")), 8192u);
    built(codestral);
    built(codestral, {{"n_groups", 1}, {"use_bias", true}});
    for (const auto& [field, value] : {std::pair<const char*, Json>("num_heads", 64),
                                       {"n_groups", 7},
                                       {"use_conv_bias", false},
                                       {"conv_kernel", 0},
                                       {"hidden_act", "gelu"}}) {
        Json json = Json::parse(codestral);
        json[field] = value;
        EXPECT_EQ(refusal(json.dump()).where.field, fmt::format("field '{}'", field));
    }
}

TEST(ConvertHfConfig, TheTextPartOfAModelThatSeesImages) {
    // Gemma 3 4B leaves out what is as usual.
    const auto source = built(R"({"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
          "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024},
        "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"}})");
    const gguf::Metadata& keys = source->metadata();
    EXPECT_EQ(must(keys.u32("gemma3.attention.head_count")), 8u);
    EXPECT_EQ(must(keys.u32("gemma3.attention.head_count_kv")), 4u);
    EXPECT_EQ(must(keys.u32("gemma3.attention.key_length")), 256u);
    EXPECT_EQ(must(keys.u32("gemma3.context_length")), 131072u);
    EXPECT_EQ(must(keys.string("gemma3.rope.scaling.type")), "linear");
    EXPECT_EQ(must(keys.number("gemma3.rope.scaling.factor")), 8.0);
    EXPECT_EQ(source->find("token_embd.weight")->shape(), "2560 x 262208");
    EXPECT_EQ(source->find("output.weight"), nullptr);
    EXPECT_EQ(refusal(R"({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}})").where.field,
              "field 'text_config.hidden_size'");
}

TEST(ConvertHfConfig, BiasesAreThoseThatTheFamilyHas) {
    const auto llama = built(llama_2_7b, {{"attention_bias", true}, {"mlp_bias", true}});
    for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
        EXPECT_NE(llama->find(fmt::format("blk.31.{}.bias", name)), nullptr) << name;
    }
    const auto qwen2 = built(qwen2_5_7b, {{"attention_bias", false}});
    EXPECT_NE(qwen2->find("blk.0.attn_k.bias"), nullptr);
    EXPECT_EQ(qwen2->find("blk.0.attn_output.bias"), nullptr);
    const auto oss = built(gpt_oss_20b, {{"attention_bias", nullptr}});
    EXPECT_NE(oss->find("blk.0.attn_output.bias"), nullptr);
}

TEST(ConvertHfConfig, WindowsAndWhichLayersHaveThem) {
    const auto window = [](const char* text, const Json& change, const char* architecture) {
        const auto source = built(text, change);
        return must(source->metadata().u32_or(fmt::format("{}.attention.sliding_window", architecture), 0));
    };
    Json absent = Json::parse(mistral_7b);
    absent.erase("sliding_window");
    EXPECT_EQ(window(absent.dump().c_str(), Json::object(), "llama"), 4096u);  // what absence means
    EXPECT_EQ(window(mistral_7b, {{"sliding_window", 1024}}, "llama"), 1024u);
    EXPECT_EQ(window(qwen2_5_7b, {{"use_sliding_window", true}}, "qwen2"), 131072u);

    const auto pattern = [](const char* text, const Json& change, const char* architecture) {
        const auto source = built(text, change);
        const std::string key = fmt::format("{}.attention.sliding_window_pattern", architecture);
        return source->metadata().has(key) ? must(source->metadata().integers(key)) : std::vector<int32_t>{};
    };
    const Json types{"sliding_attention", "full_attention", "full_attention"};
    const Json change{{"num_hidden_layers", 3}, {"layer_types", types}};
    EXPECT_EQ(pattern(gpt_oss_20b, change, "gpt-oss"), (std::vector<int32_t>{1, 0, 0}));
    EXPECT_EQ(pattern(gemma_3_1b, {{"num_hidden_layers", 4}, {"sliding_window_pattern", 2}}, "gemma3"),
              (std::vector<int32_t>{1, 0, 1, 0}));
    EXPECT_EQ(pattern(gemma_3_1b, {{"sliding_window_pattern", 6}}, "gemma3"), std::vector<int32_t>{});
    const Json every_other{"sliding_attention", "full_attention", "sliding_attention", "full_attention"};
    EXPECT_EQ(pattern(gemma_2_2b, {{"num_hidden_layers", 4}, {"layer_types", every_other}}, "gemma2"),
              std::vector<int32_t>{});
    // OLMo 3: each fourth layer sees everything, which is usual and not said again.
    const Json olmo3{
        {"model_type", "olmo3"},
        {"num_hidden_layers", 4},
        {"sliding_window", 4096},
        {"layer_types", {"sliding_attention", "sliding_attention", "sliding_attention", "full_attention"}}};
    EXPECT_EQ(pattern(olmo_2_7b, olmo3, "olmo2"), std::vector<int32_t>{});
    EXPECT_EQ(window(olmo_2_7b, olmo3, "olmo2"), 4096u);
}

TEST(ConvertHfConfig, RotationReachesFurther) {
    const auto longrope = [](size_t n) {
        return Json{{"type", "longrope"},
                    {"short_factor", std::vector<double>(n, 1.5)},
                    {"long_factor", std::vector<double>(n, 4)}};
    };
    // Phi-4 mini: three quarters of a head rotate. 131072 is 32 times 4096: sqrt(1 + 5/12).
    const auto phi =
        built(phi_3_mini,
              {{"max_position_embeddings", 131072}, {"partial_rotary_factor", 0.75}, {"rope_scaling", longrope(36)}});
    EXPECT_EQ(phi->find("rope_factors_long.weight")->shape(), "36");
    EXPECT_EQ(must(phi->metadata().u32("phi3.rope.dimension_count")), 72u);
    EXPECT_EQ(must(phi->metadata().u32("phi3.rope.scaling.original_context_length")), 4096u);
    EXPECT_NEAR(must(phi->metadata().number("phi3.rope.scaling.attn_factor")), std::sqrt(17.0 / 12), 1e-7);
    EXPECT_EQ(must(gguf::read_floats(*phi, *phi->find("rope_factors_short.weight"), 36)), std::vector<float>(36, 1.5f));

    const auto yarn = built(
        qwen3_8b,
        {{"rope_scaling",
          {{"rope_type", "yarn"}, {"factor", 4.0}, {"beta_fast", 16}, {"original_max_position_embeddings", 32768}}}});
    EXPECT_EQ(must(yarn->metadata().string("qwen3.rope.scaling.type")), "yarn");
    EXPECT_EQ(must(yarn->metadata().number("qwen3.rope.scaling.yarn_beta_fast")), 16.0);
    EXPECT_EQ(must(yarn->metadata().u32("qwen3.rope.scaling.original_context_length")), 32768u);
    EXPECT_FALSE(yarn->metadata().has("qwen3.rope.scaling.attn_factor"));

    // Wavelengths 2 pi and 8 pi turn 15.9 and 3.98 times in 100 tokens: one is kept, the other lies 0.33 between 2
    // and 8.
    const auto llama3 = built(llama_2_7b, {{"head_dim", 4},
                                           {"rope_theta", 16},
                                           {"rope_scaling",
                                            {{"rope_type", "llama3"},
                                             {"factor", 2},
                                             {"original_max_position_embeddings", 100},
                                             {"low_freq_factor", 2},
                                             {"high_freq_factor", 8}}}});
    const auto divisors = must(gguf::read_floats(*llama3, *llama3->find("rope_freqs.weight"), 2));
    EXPECT_EQ(divisors[0], 1.0f);
    EXPECT_NEAR(divisors[1], 1 / (0.6702 / 2 + 0.3298), 1e-3);

    // As Transformers 5 writes it.
    const auto flat = built(llama_2_7b, {{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 2e4}}}});
    EXPECT_EQ(must(flat->metadata().number("llama.rope.freq_base")), 2e4);
    const auto twice = built(gemma_3_1b, {{"rope_local_base_freq", nullptr},
                                          {"rope_theta", nullptr},
                                          {"rope_parameters",
                                           {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 3e6}}},
                                            {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 2e4}}}}}});
    EXPECT_EQ(must(twice->metadata().number("gemma3.rope.freq_base")), 3e6);
    EXPECT_EQ(must(twice->metadata().number("gemma3.rope.freq_base_swa")), 2e4);
}

TEST(ConvertHfConfig, GemmasScaleAndCaps) {
    const auto scaled = built(gemma_2_2b, {{"query_pre_attn_scalar", 144}});
    EXPECT_NEAR(must(scaled->metadata().number("gemma2.attention.scale")), 1.0 / 12, 1e-8);
    Json no_cap = Json::parse(gemma_2_2b);
    no_cap["attn_logit_softcapping"] = nullptr;  // none, not the usual one
    EXPECT_EQ(must(built(no_cap.dump().c_str())->metadata().number("gemma2.attn_logit_softcapping")), 0.0);
}

TEST(ConvertHfConfig, AVocabularyTooSmallForATokenizerGetsNone) {
    const auto source = built(llama_2_7b, {{"vocab_size", 256}});
    EXPECT_FALSE(source->metadata().has("tokenizer.ggml.tokens"));
}

// Each hostile change gives an error that names its field and the file.
TEST(ConvertHfConfig, ErrorsNameTheFieldAndTheFile) {
    struct Case {
        const char* text;
        Json change;
        const char* field;
        const char* says;
    };
    const Json llama3{{"rope_type", "llama3"},
                      {"factor", 8},
                      {"original_max_position_embeddings", 8192},
                      {"low_freq_factor", 4},
                      {"high_freq_factor", 4}};
    const Json short_factors{{"type", "su"}, {"short_factor", {1, 1}}, {"long_factor", {1, 1}}};
    Json factors = short_factors;
    factors["short_factor"] = std::vector<double>(48, 1);
    factors["long_factor"] = std::vector<Json>(48, "x");
    Json huge = short_factors;
    huge["short_factor"] = std::vector<double>(48, 1e300);  // beyond any float
    const Case cases[] = {
        {llama_2_7b, {{"model_type", nullptr}}, "model_type", "is missing"},
        {llama_2_7b, {{"model_type", 3}}, "model_type", "of type number"},
        {llama_2_7b, {{"model_type", "bert"}}, "model_type", "'bert'"},
        {llama_2_7b, {{"hidden_size", nullptr}}, "hidden_size", "is missing"},
        {llama_2_7b, {{"num_hidden_layers", nullptr}}, "num_hidden_layers", "is missing"},
        {llama_2_7b, {{"num_attention_heads", nullptr}}, "num_attention_heads", "is missing"},
        {llama_2_7b, {{"intermediate_size", nullptr}}, "intermediate_size", "is missing"},
        {llama_2_7b, {{"hidden_size", 0}}, "hidden_size", "outside 1 to 131072"},
        {llama_2_7b, {{"hidden_size", -4096}}, "hidden_size", "is -4096"},
        {llama_2_7b, {{"hidden_size", "4096"}}, "hidden_size", "of type string"},
        {llama_2_7b, {{"hidden_size", 4096.0}}, "hidden_size", "of type number"},
        {llama_2_7b, {{"hidden_size", UINT64_MAX}}, "hidden_size", "18446744073709551615"},
        {llama_2_7b, {{"num_hidden_layers", 1025}}, "num_hidden_layers", "outside 1 to 1024"},
        {llama_2_7b, {{"vocab_size", (1 << 21) + 1}}, "vocab_size", "outside 1 to 2097152"},
        {llama_2_7b, {{"vocab_size", 0}}, "vocab_size", "is 0"},
        {llama_2_7b, {{"num_attention_heads", 31}}, "num_key_value_heads", "does not divide"},
        {llama_2_7b, {{"num_key_value_heads", 5}}, "num_key_value_heads", "does not divide"},
        {llama_2_7b, {{"num_key_value_heads", {8, 8}}}, "num_key_value_heads", "of type array"},
        {llama_2_7b, {{"hidden_size", 4100}}, "num_attention_heads", "cannot be made"},
        {llama_2_7b, {{"head_dim", 127}}, "head_dim", "even number"},
        {llama_2_7b, {{"head_dim", 1 << 20}}, "head_dim", "outside"},
        {llama_2_7b, {{"max_position_embeddings", 0}}, "max_position_embeddings", "is 0"},
        {llama_2_7b, {{"rms_norm_eps", -1e-5}}, "rms_norm_eps", "outside"},
        {llama_2_7b, {{"rope_theta", 1}}, "rope_theta", "outside"},
        {llama_2_7b, {{"rope_theta", "1"}}, "rope_theta", "of type string"},
        {llama_2_7b, {{"tie_word_embeddings", 1}}, "tie_word_embeddings", "true or false"},
        {llama_2_7b, {{"attention_bias", "no"}}, "attention_bias", "true or false"},
        {llama_2_7b, {{"rope_scaling", 2}}, "rope_scaling", "an object"},
        {llama_2_7b, {{"rope_scaling", {{"type", "dynamic"}}}}, "rope_scaling.type", "'dynamic'"},
        {llama_2_7b, {{"rope_scaling", {{"rope_type", 1}}}}, "rope_scaling.rope_type", "a string"},
        {llama_2_7b, {{"rope_scaling", {{"rope_type", "linear"}}}}, "rope_scaling.factor", "is missing"},
        {llama_2_7b, {{"rope_scaling", {{"type", "linear"}, {"factor", 0}}}}, "rope_scaling.factor", "outside"},
        {llama_2_7b, {{"rope_scaling", llama3}}, "rope_scaling.high_freq_factor", "not above"},
        {llama_2_7b, {{"text_config", 1}}, "text_config", "an object"},
        {mixtral_8x7b, {{"num_local_experts", 5000}}, "num_local_experts", "outside"},
        {mixtral_8x7b, {{"num_local_experts", nullptr}}, "num_local_experts", "is missing"},
        {mixtral_8x7b, {{"num_experts_per_tok", 9}}, "num_experts_per_tok", "outside 1 to 8"},
        {mistral_7b, {{"sliding_window", 0}}, "sliding_window", "is 0"},
        {qwen3_30b_a3b, {{"moe_intermediate_size", nullptr}}, "moe_intermediate_size", "is missing"},
        {qwen3_30b_a3b, {{"mlp_only_layers", {0}}}, "mlp_only_layers", "0 are required"},
        {qwen3_30b_a3b, {{"decoder_sparse_step", 2}}, "decoder_sparse_step", "outside 1 to 1"},
        {gemma_2_2b, {{"query_pre_attn_scalar", 0}}, "query_pre_attn_scalar", "outside"},
        {gemma_2_2b, {{"final_logit_softcapping", -1}}, "final_logit_softcapping", "outside"},
        {gemma_3_1b, {{"attn_logit_softcapping", 50}}, "attn_logit_softcapping", "does not have"},
        {gemma_3_1b, {{"sliding_window_pattern", 0}}, "sliding_window_pattern", "is 0"},
        {gemma_3_1b, {{"rope_local_base_freq", 0}}, "rope_local_base_freq", "outside"},
        {gemma_3_1b,
         {{"rope_parameters", {{"full_attention", {{"rope_theta", 0}}}}}},
         "rope_parameters.full_attention.rope_theta",
         "outside"},
        {gpt_oss_20b, {{"layer_types", {"full_attention"}}}, "layer_types", "24 are required"},
        {gpt_oss_20b, {{"layer_types", std::vector<int>(24, 1)}}, "layer_types", "a string"},
        {gpt_oss_20b, {{"layer_types", std::vector<Json>(24, "linear")}}, "layer_types", "'linear'"},
        {phi_3_mini, {{"partial_rotary_factor", 0.33}}, "partial_rotary_factor", "even number"},
        {phi_3_mini, {{"partial_rotary_factor", 1.5}}, "partial_rotary_factor", "outside"},
        {phi_3_mini, {{"rope_scaling", short_factors}}, "rope_scaling.short_factor", "48 are required"},
        {phi_3_mini, {{"rope_scaling", factors}}, "rope_scaling.long_factor", "each element"},
        {phi_3_mini, {{"rope_scaling", huge}}, "rope_scaling.short_factor", "outside"},
        {gpt2, {{"n_head", 11}}, "n_head", "cannot be made"},
        {gpt2, {{"n_positions", 1ll << 31}}, "n_positions", "outside"},
    };
    for (const Case& c : cases) {
        Json json = Json::parse(c.text);
        json.merge_patch(c.change);
        const Error error = refusal(json.dump());
        EXPECT_EQ(error.where.field, fmt::format("field '{}'", c.field)) << c.change.dump();
        EXPECT_EQ(error.where.file, "config.json");
        EXPECT_NE(error.what.find(c.says), std::string::npos) << c.field << ": " << error.what;
    }
    const Error unknown = refusal(R"({"model_type": "bert"})");
    EXPECT_EQ(unknown.code, ErrorCode::unsupported);
    for (const std::string_view type : known_model_types()) {
        EXPECT_NE(unknown.remedy.find(type), std::string::npos) << type;
    }
}

TEST(ConvertHfConfig, WhatIsNoObjectInJsonIsRefusedWithItsPlace) {
    EXPECT_EQ(refusal(R"({"model_type": "llama",})").where.offset, 23u);
    EXPECT_EQ(refusal(R"({"model_type": 'llama'})").where.offset, 15u);
    EXPECT_TRUE(refusal("").where.offset.has_value());
    EXPECT_NE(refusal("[1]").what.find("array"), std::string::npos);
    EXPECT_EQ(refusal(R"({"hidden_size": 1e999})").code, ErrorCode::format);
    EXPECT_EQ(refusal(std::string("{\"a\xff\": 1}")).code, ErrorCode::format);
    // Depth: brackets in strings do not count.
    const auto nested = [](size_t n) { return R"({"a": )" + std::string(n - 1, '[') + std::string(n - 1, ']') + "}"; };
    EXPECT_EQ(refusal(nested(64)).where.field, "field 'model_type'");
    EXPECT_EQ(refusal(nested(65)).where.offset, 6u + 63);
    EXPECT_EQ(refusal(std::string(max_config_bytes, '[')).where.offset, 64u);
    EXPECT_EQ(refusal(R"({"a": "\"[)" + std::string(100, '[') + "\"}").where.field, "field 'model_type'");
    EXPECT_NE(refusal("{}" + std::string(max_config_bytes, ' ')).what.find("at most 1048576"), std::string::npos);
    EXPECT_EQ(refusal("{}" + std::string(max_config_bytes - 2, ' ')).where.field, "field 'model_type'");
}

// A program is built from whatever is accepted: the bounds here are inside those there.
TEST(ConvertHfConfig, WhateverIsAcceptedBuilds) {
    const Json values[] = {nullptr,
                           true,
                           -1,
                           0,
                           1,
                           2,
                           3,
                           64,
                           1000,
                           1 << 17,
                           UINT64_MAX,
                           0.5,
                           1e-30,
                           1e300,
                           "x",
                           Json::array(),
                           Json::object(),
                           {1},
                           {{"factor", 2}, {"type", "yarn"}},
                           {{"factor", 1e6}, {"type", "linear"}}};
    size_t n_accepted = 0, n_refused = 0;
    const auto try_one = [&](const Json& json) {
        auto shape = shape_of_config(json.dump(), "config.json");
        if (!shape.ok()) {
            EXPECT_NE(shape.error().where.field, "") << json.dump();
            n_refused++;
            return;
        }
        auto source = SyntheticSource::create(*std::move(shape), "F32", 1, "x");
        ASSERT_TRUE(source.ok()) << json.dump() << source.error().message();
        const auto model = models::build(**source, {});
        EXPECT_TRUE(model.ok()) << json.dump() << model.error().message();
        n_accepted++;
    };
    for (const auto& [name, text] : published) {
        Json json = Json::parse(text);
        json["vocab_size"] = 300;
        json[json.contains("n_layer") ? "n_layer" : "num_hidden_layers"] = 2;
        json.erase("layer_types");
        try_one(json);
        for (const auto& [field, original] : json.items()) {
            for (const Json& value : values) {
                Json changed = json;
                if (field == "vocab_size" && value == 1 << 17) { continue; }  // its tokenizer takes time
                changed[field] = value;
                try_one(changed);
                if (!original.is_object()) { continue; }
                for (const auto& [inner, unused] : original.items()) {
                    Json deep = json;
                    deep[field][inner] = value;
                    try_one(deep);
                }
            }
        }
    }
    EXPECT_GT(n_accepted, 1000u);
    EXPECT_GT(n_refused, 1000u);
}

// Cut anywhere or with bytes changed: an error or a shape, nothing else.
TEST(ConvertHfConfig, CutAndChangedTextsAreErrorsOrShapes) {
    uint64_t state = 1;
    const auto random = [&](uint64_t n) {  // Knuth's MMIX constants
        state = state * 6364136223846793005u + 1442695040888963407u;
        return (state >> 33) % n;
    };
    size_t n_accepted = 0;
    for (const auto& [name, original] : published) {
        Json json = Json::parse(original);
        json["vocab_size"] = 300;
        const std::string text = json.dump();
        for (size_t n = 0; n < text.size(); n++) {
            EXPECT_FALSE(shape_of_config(text.substr(0, n), "config.json").ok()) << n;
        }
        for (int i = 0; i < 400; i++) {
            std::string changed = text;
            for (uint64_t n = 1 + random(4); n > 0; n--) {
                constexpr std::string_view likely = "{}[]\",:0123456789.e-+\\ \n\0\xff";
                changed[random(changed.size())] = likely[random(likely.size())];
            }
            const auto shape = shape_of_config(changed, "config.json");
            n_accepted += shape.ok() ? 1 : 0;
            if (!shape.ok()) { EXPECT_FALSE(shape.error().message().empty()); }
        }
    }
    EXPECT_GT(n_accepted, 100u);
}

}  // namespace
