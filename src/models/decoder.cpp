#include "models/decoder.h"

#include <algorithm>
#include <cmath>

namespace wallaby::models {

Decoder read_decoder(Builder& b) {
    Decoder d{};
    d.n_layers = b.u32("block_count", 1, 4096);
    d.n_embd = b.u32("embedding_length", 1, 1u << 20);
    d.n_heads = b.u32("attention.head_count", 1, 1u << 14);
    d.n_heads_kv = b.has("attention.head_count_kv") ? b.per_layer("attention.head_count_kv", d.n_layers, 1, d.n_heads)
                                                    : std::vector<uint32_t>(d.n_layers, d.n_heads);
    d.head = b.u32_or("attention.key_length", d.n_embd / d.n_heads, 1, 1u << 14);
    d.n_rot = b.u32_or("rope.dimension_count", d.head, 2, d.head);
    d.eps = b.number("attention.layer_norm_rms_epsilon", 1e-30, 1);
    const double scale = b.number_or("attention.scale", 0, 0, 1e9);
    d.attention_scale = scale == 0 ? float(1 / std::sqrt(double(d.head))) : float(scale);

    const auto contradiction = [&](std::string_view suffix, std::string what) {
        b.problem(b.source().metadata().error(ErrorCode::model, b.key(suffix), std::move(what)));
    };
    if (!b.has("attention.key_length") && d.n_embd % d.n_heads != 0) {
        contradiction("attention.head_count",
                      fmt::format("is {}, which does not divide the width {}", d.n_heads, d.n_embd));
    }
    if (b.u32_or("attention.value_length", d.head, 1, 1u << 14) != d.head) {
        contradiction("attention.value_length", "differs from the key length");
    }
    if (d.n_rot % 2 != 0) { contradiction("rope.dimension_count", fmt::format("is {}, an odd number", d.n_rot)); }
    const auto odd = std::ranges::find_if(d.n_heads_kv, [&](uint32_t n) { return d.n_heads % n != 0; });
    if (odd != d.n_heads_kv.end()) {
        contradiction("attention.head_count_kv",
                      fmt::format("is {}, which does not divide the {} heads", *odd, d.n_heads));
    }
    return d;
}

std::vector<uint32_t> read_n_ff(Builder& b, const Decoder& d) {
    return b.per_layer("feed_forward_length", d.n_layers, 1, 1u << 22);
}

Projections project(Builder& b, const Decoder& d, uint32_t il, const std::string& blk, ops::ValueId x) {
    const uint32_t n_q = d.n_heads * d.head, n_kv = d.n_heads_kv[il] * d.head;
    if (b.has_tensor(blk + "attn_qkv.weight")) {
        const auto rows = [&](uint32_t first, uint32_t n) {
            return b.matmul(x, b.linear_rows(blk + "attn_qkv", d.n_embd, n_q + 2 * n_kv, first, n));
        };
        return {rows(0, n_q), rows(n_q, n_kv), rows(n_q + n_kv, n_kv)};
    }
    return {b.matmul(x, b.linear(blk + "attn_q", d.n_embd, n_q)), b.matmul(x, b.linear(blk + "attn_k", d.n_embd, n_kv)),
            b.matmul(x, b.linear(blk + "attn_v", d.n_embd, n_kv))};
}

ops::ValueId attend(Builder& b, const Decoder& d, uint32_t il, const std::string& blk, const Projections& p,
                    ops::Attend spec, bool with_sinks) {
    spec.n_heads = d.n_heads;
    spec.head = d.head;
    spec.scale = d.attention_scale;
    const ops::WeightId sinks = with_sinks ? b.vector(blk + "attn_sinks.weight", d.n_heads, true) : ops::none;
    const ops::StateId state = b.state(d.n_heads_kv[il], d.head);
    b.append(state, p.k, p.v);
    return b.matmul(b.attend(state, p.q, spec, sinks), b.linear(blk + "attn_output", d.n_heads * d.head, d.n_embd));
}

Linear feed_forward_matrix(Builder& b, const Decoder& d, Linear matrix) {
    if (b.is_type(matrix.weight, quant::Type::nvfp4)) { return matrix; }
    if (!d.scales_feed_forward) { matrix.scale = ops::none; }
    matrix.scale_bias = true;  // here a scale multiplies the bias too, as the engine that writes such files has it
    return matrix;
}

ops::ValueId gated_feed_forward(Builder& b, const Decoder& d, uint32_t n_ff, const std::string& blk, ops::ValueId x,
                                const ops::Gate& act) {
    const auto matrix = [&](const char* name, uint32_t n_in, uint32_t n_out) {
        return feed_forward_matrix(b, d, b.linear(blk + name, n_in, n_out));
    };
    const Linear gate = matrix("ffn_gate", d.n_embd, n_ff);
    const Linear up = matrix("ffn_up", d.n_embd, n_ff);
    const Linear down = matrix("ffn_down", n_ff, d.n_embd);
    return b.matmul(b.gate(b.matmul(x, gate), b.matmul(x, up), act), down);
}

Experts read_experts(Builder& b, uint32_t n_ff) {
    Experts e{};
    e.n_expert = b.u32("expert_count", 1, 1u << 14);
    e.n_used = b.u32("expert_used_count", 1, std::max(1u, e.n_expert));
    e.n_ff = b.u32_or("expert_feed_forward_length", 0, 0, 1u << 22);
    if (e.n_ff == 0) { e.n_ff = n_ff; }
    const double scale = b.number_or("expert_weights_scale", 0, -1e9, 1e9);
    e.scale = scale == 0 ? 1.0f : float(scale);
    return e;
}

ops::ValueId expert_feed_forward(Builder& b, const Decoder& d, const Experts& e, const std::string& blk, ops::ValueId x,
                                 const ops::Gate& act) {
    const auto matrix = [&](const char* name, uint32_t n_in, uint32_t n_out) {
        Linear l = b.linear(blk + name, n_in, n_out, e.n_expert);
        if (!d.scales_feed_forward && !b.is_type(l.weight, quant::Type::nvfp4)) { l.scale = ops::none; }
        return l;
    };
    const Linear router = b.linear(blk + "ffn_gate_inp", d.n_embd, e.n_expert);
    const Linear gate = matrix("ffn_gate_exps", d.n_embd, e.n_ff);
    const Linear up = matrix("ffn_up_exps", d.n_embd, e.n_ff);
    const Linear down = matrix("ffn_down_exps", e.n_ff, d.n_embd);
    const auto chosen = b.route(b.matmul(x, router), {e.n_expert, e.n_used, true, e.scale});
    const ops::ValueId h =
        b.gate(b.routed_matmul(x, chosen.ids, gate, e.n_used), b.routed_matmul(x, chosen.ids, up, e.n_used), act);
    return b.combine(b.routed_matmul(h, chosen.ids, down, e.n_used), chosen.weights, e.n_used);
}

void keep_outputs(Builder& b, const Decoder& d, uint32_t il, ops::ValueId& branch, ops::ValueId& residual) {
    if (il + 1 != d.n_layers) { return; }
    branch = b.select(branch);
    residual = b.select(residual);
}

ops::ValueId logits_of(Builder& b, const Decoder& d, ops::WeightId embedding, ops::ValueId x) {
    b.outside_layers();
    b.ignore_ending(".input_scale");  // for activation formats that this engine does not use
    x = b.rms_norm(x, b.vector("output_norm.weight", d.n_embd), d.eps);
    return b.matmul(x, b.linear_or_tied("output", embedding, d.n_embd, b.model().n_vocab));
}

void refuse_short_window(Builder& b) {
    const uint32_t window = b.u32_or("attention.sliding_window", 0, 0, ~0u);
    if (window == 0 || b.options().n_ctx <= window) { return; }
    b.problem(b.source().metadata().error(
        ErrorCode::unsupported, b.key("attention.sliding_window"),
        fmt::format("is {}, and this family's sliding window is not implemented", window),
        fmt::format("Use -c {} or less: within the window the answer is the same", window)));
}

}  // namespace wallaby::models
