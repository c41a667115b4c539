#include "convert/hyper.h"

#include <algorithm>

#include "base/math.h"

namespace wallaby::convert {
namespace {

uint32_t n_rot(const Hyper& h) { return h.extras.n_rot != 0 ? h.extras.n_rot : h.head; }

// Divisors of the rotary frequencies of Llama 3.1 and later, as its reference code has them:
// https://github.com/meta-llama/llama-models, apply_scaling. Files carry them as rope_freqs.weight.
std::vector<float> llama3_divisors(const Hyper& h) {
    constexpr double two_pi = 6.283185307179586;
    const Scaling& s = h.extras.scaling;
    const double trained = s.n_ctx_original, low = double(s.low), high = double(s.high);
    std::vector<float> out;
    for (uint32_t i = 0; i < n_rot(h) / 2; i++) {
        const double wavelength = two_pi * base::pow(double(h.rope_base), 2.0 * i / n_rot(h));
        const double share = std::clamp((trained / wavelength - low) / (high - low), 0.0, 1.0);
        out.push_back(float(1 / ((1 - share) / double(s.factor) + share)));
    }
    return out;
}

void set_rope_keys(gguf::Draft& draft, const Hyper& h) {
    const auto key = [&](std::string_view suffix) { return fmt::format("{}.rope.{}", h.family.architecture, suffix); };
    const auto set_unless = [&](std::string_view suffix, float value, float usual) {
        if (value != usual) { draft.set(key(suffix), value); }
    };
    const Scaling& s = h.extras.scaling;
    if (h.extras.window_rope_base != 0) { draft.set(key("freq_base_swa"), h.extras.window_rope_base); }
    if (s.kind == Scaling::Kind::none || s.kind == Scaling::Kind::llama3) { return; }  // llama3's is a tensor
    if (s.kind == Scaling::Kind::longrope) {
        draft.set(key("scaling.type"), "longrope");
    } else {
        draft.set(key("scaling.type"), s.kind == Scaling::Kind::yarn ? "yarn" : "linear");
        draft.set(key("scaling.factor"), s.factor);
    }
    if (s.n_ctx_original != 0) { draft.set(key("scaling.original_context_length"), s.n_ctx_original); }
    set_unless("scaling.yarn_beta_fast", s.beta_fast, 32);
    set_unless("scaling.yarn_beta_slow", s.beta_slow, 1);
    set_unless("scaling.attn_factor", s.magnitude, 1);
}

void set_scan_keys(gguf::Draft& draft, const Hyper& h) {
    const auto key = [&](std::string_view suffix) { return fmt::format("{}.{}", h.family.architecture, suffix); };
    draft.set(key("attention.head_count"), 0u);  // llama.cpp asks for one
    draft.set(key("ssm.conv_kernel"), h.extras.n_taps);
    draft.set(key("ssm.inner_size"), h.n_heads * h.head);
    draft.set(key("ssm.state_size"), h.extras.n_state);
    draft.set(key("ssm.time_step_rank"), h.n_heads);
    draft.set(key("ssm.group_count"), h.extras.n_groups);
}

void set_attention_keys(gguf::Draft& draft, const Hyper& h) {
    const auto key = [&](std::string_view suffix) { return fmt::format("{}.{}", h.family.architecture, suffix); };
    const Extras& e = h.extras;
    draft.set(key("attention.head_count"), h.n_heads);
    draft.set(key("attention.head_count_kv"), h.n_heads_kv);
    draft.set(key("attention.key_length"), h.head);
    draft.set(key("attention.value_length"), h.head);
    if (h.family.rotates()) {
        draft.set(key("rope.freq_base"), h.rope_base);
        draft.set(key("rope.dimension_count"), n_rot(h));
    }
    if (e.n_expert != 0) {
        draft.set(key("expert_count"), e.n_expert);
        draft.set(key("expert_used_count"), e.n_used);
        draft.set(key("expert_feed_forward_length"), h.n_ff);
    }
    if (e.window != 0) { draft.set(key("attention.sliding_window"), e.window); }
    if (!e.windowed.empty()) { draft.set_array(key("attention.sliding_window_pattern"), e.windowed); }
    if (e.attention_scale != 0) { draft.set(key("attention.scale"), e.attention_scale); }
    if (e.score_cap) { draft.set(key("attn_logit_softcapping"), *e.score_cap); }
    if (e.logit_cap) { draft.set(key("final_logit_softcapping"), *e.logit_cap); }
    if (h.family.rotates()) { set_rope_keys(draft, h); }
}

void set_keys(gguf::Draft& draft, const Hyper& h) {
    const auto key = [&](std::string_view suffix) { return fmt::format("{}.{}", h.family.architecture, suffix); };
    draft.set("general.architecture", h.family.architecture);
    // Not the model's own name: llama.cpp looks for the tokens of a real Phi-3 in whatever is called so.
    draft.set("general.name", "synthetic");
    draft.set(key("context_length"), h.n_ctx);
    draft.set(key("embedding_length"), h.n_embd);
    draft.set(key("block_count"), h.n_layers);
    draft.set(key("feed_forward_length"), h.n_ff);
    draft.set(key(h.family.layer_norms ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon"), h.eps);
    draft.set(key("vocab_size"), h.n_vocab);
    h.family.scan ? set_scan_keys(draft, h) : set_attention_keys(draft, h);
}

// Appends the tensors of one layer, or, with an empty prefix, those outside the layers.
class Lister {
  public:
    Lister(std::vector<TensorShape>& out, const Hyper& h, std::string prefix)
        : out_(out), h_(h), prefix_(std::move(prefix)) {}

    void add(std::string_view name, std::vector<uint64_t> dims, std::vector<float> values = {}) {
        out_.push_back({fmt::format("{}{}", prefix_, name), std::move(dims), std::move(values)});
    }
    void linear(std::string_view name, uint64_t n_in, uint64_t n_out, bool has_bias) {
        add(fmt::format("{}.weight", name), {n_in, n_out});
        if (has_bias) { add(fmt::format("{}.bias", name), {n_out}); }
    }
    void norm(std::string_view name, uint64_t n) {
        add(fmt::format("{}.weight", name), {n});
        if (h_.family.layer_norms) { add(fmt::format("{}.bias", name), {n}); }
    }

    void attention() {
        const Family& f = h_.family;
        const uint64_t n_q = uint64_t(h_.n_heads) * h_.head, n_kv = uint64_t(h_.n_heads_kv) * h_.head;
        if (f.pre_norms) { norm("attn_norm", h_.n_embd); }
        if (f.fused_qkv) {
            linear("attn_qkv", h_.n_embd, n_q + 2 * n_kv, f.qkv_bias);
        } else {
            linear("attn_q", h_.n_embd, n_q, f.qkv_bias);
            linear("attn_k", h_.n_embd, n_kv, f.qkv_bias);
            linear("attn_v", h_.n_embd, n_kv, f.qkv_bias);
        }
        if (f.qk_norms != Family::Norms::none) {
            const bool is_each = f.qk_norms == Family::Norms::each_head;
            norm("attn_q_norm", is_each ? h_.head : n_q);
            norm("attn_k_norm", is_each ? h_.head : n_kv);
        }
        if (f.sinks) { add("attn_sinks.weight", {h_.n_heads}); }
        linear("attn_output", n_q, h_.n_embd, f.out_bias);
        if (f.post_norms) { norm("post_attention_norm", h_.n_embd); }
    }

    void scan() {
        const Extras& e = h_.extras;
        const uint64_t n_inner = uint64_t(h_.n_heads) * h_.head;
        const uint64_t n_conv = n_inner + 2 * uint64_t(e.n_groups) * e.n_state;
        norm("attn_norm", h_.n_embd);
        linear("ssm_in", h_.n_embd, n_inner + n_conv + h_.n_heads, h_.family.qkv_bias);
        add("ssm_conv1d.weight", {e.n_taps, n_conv});
        add("ssm_conv1d.bias", {n_conv});
        add("ssm_dt.bias", {h_.n_heads});
        add("ssm_a", {1, h_.n_heads});
        add("ssm_d", {1, h_.n_heads});
        add("ssm_norm.weight", {n_inner / e.n_groups, e.n_groups});
        linear("ssm_out", n_inner, h_.n_embd, h_.family.out_bias);
    }

    void feed_forward() {
        const Family& f = h_.family;
        const uint64_t n_embd = h_.n_embd, n_ff = h_.n_ff;
        if (f.pre_norms) { norm(f.second_norm, n_embd); }
        if (h_.extras.n_expert != 0) {
            experts(h_.extras.n_expert);
        } else if (f.feed_forward == Family::FeedForward::gated) {
            linear("ffn_gate", n_embd, n_ff, f.ff_bias);
            linear("ffn_up", n_embd, n_ff, f.ff_bias);
            linear("ffn_down", n_ff, n_embd, f.ff_bias);
        } else {
            linear("ffn_up", n_embd, f.feed_forward == Family::FeedForward::plain ? n_ff : 2 * n_ff, f.ff_bias);
            linear("ffn_down", n_ff, n_embd, f.ff_bias);
        }
        if (f.post_norms) { norm("post_ffw_norm", n_embd); }
    }

  private:
    void experts(uint64_t n) {
        const uint64_t n_embd = h_.n_embd, n_ff = h_.n_ff;
        add("ffn_gate_inp.weight", {n_embd, n});
        add("ffn_gate_exps.weight", {n_embd, n_ff, n});
        add("ffn_up_exps.weight", {n_embd, n_ff, n});
        add("ffn_down_exps.weight", {n_ff, n_embd, n});
        if (!h_.family.ff_bias) { return; }
        add("ffn_gate_inp.bias", {n});
        add("ffn_gate_exps.bias", {n_ff, n});
        add("ffn_up_exps.bias", {n_ff, n});
        add("ffn_down_exps.bias", {n_embd, n});
    }

    std::vector<TensorShape>& out_;
    const Hyper& h_;
    std::string prefix_;
};

}  // namespace

Shape make_shape(const Hyper& h, bool with_tokenizer) {
    Shape shape;
    set_keys(shape.metadata, h);
    if (with_tokenizer && h.n_vocab >= min_placeholder_vocab) { set_placeholder_tokenizer(shape.metadata, h.n_vocab); }
    Lister outside(shape.tensors, h, "");
    outside.linear("token_embd", h.n_embd, h.n_vocab, false);
    if (h.family.learned_positions) { outside.linear("position_embd", h.n_embd, h.n_ctx, false); }
    for (uint32_t il = 0; il < h.n_layers; il++) {
        Lister layer(shape.tensors, h, fmt::format("blk.{}.", il));
        if (h.family.scan) {
            layer.scan();
            continue;
        }
        layer.attention();
        layer.feed_forward();
    }
    outside.norm("output_norm", h.n_embd);
    if (!h.extras.tied) { outside.linear("output", h.n_embd, h.n_vocab, false); }
    const Scaling& s = h.extras.scaling;
    if (s.kind == Scaling::Kind::llama3) { outside.add("rope_freqs.weight", {n_rot(h) / 2}, llama3_divisors(h)); }
    if (s.kind == Scaling::Kind::longrope) {
        outside.add("rope_factors_long.weight", {n_rot(h) / 2}, {s.long_factors.begin(), s.long_factors.end()});
        outside.add("rope_factors_short.weight", {n_rot(h) / 2}, {s.short_factors.begin(), s.short_factors.end()});
    }
    return shape;
}

}  // namespace wallaby::convert
