#include "convert/hf_tensors.h"

#include <algorithm>
#include <array>

namespace wallaby::convert {
namespace {

using Order = RowOrder::Kind;
using Form = TensorRule::Form;
using Change = Recipe::Change;

// clang-format off

// --- What most decoders share.
constexpr TensorRule decoder[] = {
    {"token_embd.*",           "@embed_tokens.*"},
    {"output_norm.*",          "@norm.*"},
    {"output.*",               "lm_head.*"},
    {"blk.#.attn_norm.*",      "@layers.#.input_layernorm.*"},
    {"blk.#.attn_q.*",         "@layers.#.self_attn.q_proj.*"},
    {"blk.#.attn_k.*",         "@layers.#.self_attn.k_proj.*"},
    {"blk.#.attn_v.*",         "@layers.#.self_attn.v_proj.*"},
    {"blk.#.attn_output.*",    "@layers.#.self_attn.o_proj.*"},
    {"blk.#.attn_q_norm.*",    "@layers.#.self_attn.q_norm.*"},
    {"blk.#.attn_k_norm.*",    "@layers.#.self_attn.k_norm.*"},
    {"blk.#.ffn_norm.*",       "@layers.#.post_attention_layernorm.*"},
    {"blk.#.ffn_gate.*",       "@layers.#.mlp.gate_proj.*"},
    {"blk.#.ffn_up.*",         "@layers.#.mlp.up_proj.*"},
    {"blk.#.ffn_down.*",       "@layers.#.mlp.down_proj.*"},
};

// Transformers rotates element i of a head together with i + head/2, our programs of this family with its neighbour.
constexpr TensorRule llama[] = {
    {"blk.#.attn_q.*",         "@layers.#.self_attn.q_proj.*", Order::pairs},
    {"blk.#.attn_k.*",         "@layers.#.self_attn.k_proj.*", Order::pairs},
    {"blk.#.ffn_gate_inp.*",   "@layers.#.block_sparse_moe.gate.*"},
    {"blk.#.ffn_gate_exps.*",  "@layers.#.block_sparse_moe.experts.%.w1.*"},
    {"blk.#.ffn_up_exps.*",    "@layers.#.block_sparse_moe.experts.%.w3.*"},
    {"blk.#.ffn_down_exps.*",  "@layers.#.block_sparse_moe.experts.%.w2.*"},
};

constexpr TensorRule qwen[] = {
    {"blk.#.ffn_gate_inp.*",   "@layers.#.mlp.gate.*"},
    {"blk.#.ffn_gate_exps.*",  "@layers.#.mlp.experts.%.gate_proj.*"},
    {"blk.#.ffn_up_exps.*",    "@layers.#.mlp.experts.%.up_proj.*"},
    {"blk.#.ffn_down_exps.*",  "@layers.#.mlp.experts.%.down_proj.*"},
};

// Gains are stored less the 1 that they are near.
constexpr TensorRule gemma[] = {
    {"output_norm.*",               "@norm.*",                                Order::same, Form::rows, Change::plus_one},
    {"blk.#.attn_norm.*",           "@layers.#.input_layernorm.*",            Order::same, Form::rows, Change::plus_one},
    {"blk.#.attn_q_norm.*",         "@layers.#.self_attn.q_norm.*",           Order::same, Form::rows, Change::plus_one},
    {"blk.#.attn_k_norm.*",         "@layers.#.self_attn.k_norm.*",           Order::same, Form::rows, Change::plus_one},
    {"blk.#.post_attention_norm.*", "@layers.#.post_attention_layernorm.*",   Order::same, Form::rows, Change::plus_one},
    {"blk.#.ffn_norm.*",            "@layers.#.pre_feedforward_layernorm.*",  Order::same, Form::rows, Change::plus_one},
    {"blk.#.post_ffw_norm.*",       "@layers.#.post_feedforward_layernorm.*", Order::same, Form::rows, Change::plus_one},
};

// Fused as ours are.
constexpr TensorRule phi3[] = {
    {"blk.#.attn_qkv.*",       "@layers.#.self_attn.qkv_proj.*"},
    {"blk.#.ffn_up.*",         "@layers.#.mlp.gate_up_proj.*"},
};

constexpr TensorRule olmo2[] = {
    {"blk.#.post_attention_norm.*", "@layers.#.post_attention_layernorm.*"},
    {"blk.#.post_ffw_norm.*",       "@layers.#.post_feedforward_layernorm.*"},
};

// All experts in one tensor, rows of gate and up in turn: in MXFP4 as published, or as matrices of inputs by outputs.
constexpr TensorRule gpt_oss[] = {
    {"blk.#.attn_sinks.weight",     "@layers.#.self_attn.sinks"},
    {"blk.#.post_attention_norm.*", "@layers.#.post_attention_layernorm.*"},
    {"blk.#.ffn_gate_inp.*",        "@layers.#.mlp.router.*"},
    {"blk.#.ffn_gate_exps.weight",  "@layers.#.mlp.experts.gate_up_proj_blocks", Order::even, Form::mxfp4},
    {"blk.#.ffn_up_exps.weight",    "@layers.#.mlp.experts.gate_up_proj_blocks", Order::odd,  Form::mxfp4},
    {"blk.#.ffn_down_exps.weight",  "@layers.#.mlp.experts.down_proj_blocks",    Order::same, Form::mxfp4},
    {"blk.#.ffn_gate_exps.weight",  "@layers.#.mlp.experts.gate_up_proj",        Order::even, Form::columns},
    {"blk.#.ffn_up_exps.weight",    "@layers.#.mlp.experts.gate_up_proj",        Order::odd,  Form::columns},
    {"blk.#.ffn_down_exps.weight",  "@layers.#.mlp.experts.down_proj",           Order::same, Form::columns},
    {"blk.#.ffn_gate_exps.bias",    "@layers.#.mlp.experts.gate_up_proj_bias",   Order::even},
    {"blk.#.ffn_up_exps.bias",      "@layers.#.mlp.experts.gate_up_proj_bias",   Order::odd},
    {"blk.#.ffn_down_exps.bias",    "@layers.#.mlp.experts.down_proj_bias"},
};

// Its matrices multiply from the right (Conv1D): inputs by outputs.
constexpr TensorRule gpt2[] = {
    {"token_embd.*",             "@wte.*"},
    {"position_embd.*",          "@wpe.*"},
    {"output_norm.*",            "@ln_f.*"},
    {"output.*",                 "lm_head.*"},
    {"blk.#.attn_norm.*",        "@h.#.ln_1.*"},
    {"blk.#.ffn_norm.*",         "@h.#.ln_2.*"},
    {"blk.#.attn_qkv.weight",    "@h.#.attn.c_attn.weight", Order::same, Form::columns},
    {"blk.#.attn_output.weight", "@h.#.attn.c_proj.weight", Order::same, Form::columns},
    {"blk.#.ffn_up.weight",      "@h.#.mlp.c_fc.weight",    Order::same, Form::columns},
    {"blk.#.ffn_down.weight",    "@h.#.mlp.c_proj.weight",  Order::same, Form::columns},
    {"blk.#.attn_qkv.bias",      "@h.#.attn.c_attn.bias"},
    {"blk.#.attn_output.bias",   "@h.#.attn.c_proj.bias"},
    {"blk.#.ffn_up.bias",        "@h.#.mlp.c_fc.bias"},
    {"blk.#.ffn_down.bias",      "@h.#.mlp.c_proj.bias"},
};

constexpr TensorRule mamba2[] = {
    {"token_embd.*",           "@embeddings.*"},
    {"output_norm.*",          "@norm_f.*"},
    {"output.*",               "lm_head.*"},
    {"blk.#.attn_norm.*",      "@layers.#.norm.*"},
    {"blk.#.ssm_in.*",         "@layers.#.mixer.in_proj.*"},
    {"blk.#.ssm_conv1d.*",     "@layers.#.mixer.conv1d.*"},
    {"blk.#.ssm_dt.bias",      "@layers.#.mixer.dt_bias"},
    {"blk.#.ssm_a",            "@layers.#.mixer.A_log", Order::same, Form::rows, Change::minus_exp},
    {"blk.#.ssm_d",            "@layers.#.mixer.D"},
    {"blk.#.ssm_norm.*",       "@layers.#.mixer.norm.*", Order::same, Form::flat},
    {"blk.#.ssm_out.*",        "@layers.#.mixer.out_proj.*"},
};

// Alone, or as the decoder of a model that sees images, whose names changed with Transformers 4.52.
constexpr Root decoder_roots[] = {
    {"model.", ""}, {"language_model.model.", "language_model."}, {"model.language_model.", ""},
};
constexpr Root gpt2_roots[] = {{"transformer.", ""}, {"", ""}};
constexpr Root mamba2_roots[] = {{"backbone.", ""}};

constexpr std::string_view llama_types[] = {"llama", "mistral", "mixtral"};
constexpr std::string_view qwen_types[] = {"qwen2", "qwen3", "qwen3_moe"};
constexpr std::string_view gemma_types[] = {"gemma2", "gemma3_text"};
constexpr std::string_view phi3_types[] = {"phi3"};
constexpr std::string_view olmo2_types[] = {"olmo2", "olmo3"};
constexpr std::string_view gpt_oss_types[] = {"gpt_oss"};
constexpr std::string_view gpt2_types[] = {"gpt2"};
constexpr std::string_view mamba2_types[] = {"mamba2"};

constexpr std::array families{
    HfFamily{llama_types,   llama,   decoder, decoder_roots},
    HfFamily{qwen_types,    qwen,    decoder, decoder_roots},
    HfFamily{gemma_types,   gemma,   decoder, decoder_roots},
    HfFamily{phi3_types,    phi3,    decoder, decoder_roots},
    HfFamily{olmo2_types,   olmo2,   decoder, decoder_roots},
    HfFamily{gpt_oss_types, gpt_oss, decoder, decoder_roots},
    HfFamily{gpt2_types,    gpt2,    {},      gpt2_roots},
    HfFamily{mamba2_types,  mamba2,  {},      mamba2_roots},
};

constexpr std::string_view left_out_endings[] = {".rotary_emb.inv_freq", ".attn.bias", ".masked_bias"};
constexpr std::string_view left_out_beginnings[] = {
    "vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."};

// clang-format on

// Which part of a name the wildcards of a pattern stand for.
struct Match {
    std::string_view layer, suffix;
};

std::optional<Match> match(std::string_view pattern, std::string_view name) {
    Match found;
    if (pattern.ends_with(".*")) {
        for (const std::string_view suffix : {".weight", ".bias"}) {
            if (name.ends_with(suffix)) { found.suffix = suffix; }
        }
        if (found.suffix.empty()) { return std::nullopt; }
        pattern.remove_suffix(2);
        name.remove_suffix(found.suffix.size());
    }
    const size_t at = pattern.find('#');
    if (at == std::string_view::npos) { return pattern == name ? std::optional(found) : std::nullopt; }
    const std::string_view before = pattern.substr(0, at), after = pattern.substr(at + 1);
    if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after)) {
        return std::nullopt;
    }
    found.layer = name.substr(at, name.size() - before.size() - after.size());
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    return std::ranges::all_of(found.layer, is_digit) ? std::optional(found) : std::nullopt;
}

std::string fill(std::string_view pattern, const Match& match, const Root& root) {
    std::string name;
    if (pattern.ends_with(".*")) { pattern.remove_suffix(2); }
    if (!pattern.starts_with('@')) { name = root.head; }
    for (const char c : pattern) {
        if (c == '@') {
            name += root.decoder;
        } else if (c == '#') {
            name += match.layer;
        } else {
            name += c;
        }
    }
    return name.append(match.suffix);
}

}  // namespace

const HfFamily* find_hf_family(std::string_view model_type) {
    const auto* const at = std::ranges::find_if(families, [&](const HfFamily& family) {
        return std::ranges::find(family.model_types, model_type) != family.model_types.end();
    });
    return at == families.end() ? nullptr : at;
}

std::vector<Source> sources_of(const HfFamily& family, const Root& root, std::string_view our_name) {
    std::vector<Source> sources;
    for (const std::span<const TensorRule> rules : {family.own, family.common}) {
        for (const TensorRule& rule : rules) {
            if (const auto found = match(rule.ours, our_name)) {
                sources.push_back({&rule, fill(rule.theirs, *found, root)});
            }
        }
        if (!sources.empty()) { break; }
    }
    return sources;
}

bool is_left_out(std::string_view their_name) {
    return std::ranges::any_of(left_out_endings, [&](std::string_view e) { return their_name.ends_with(e); }) ||
           std::ranges::any_of(left_out_beginnings, [&](std::string_view b) { return their_name.starts_with(b); });
}

}  // namespace wallaby::convert
