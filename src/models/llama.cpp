// LLaMA (Touvron et al. 2023, arXiv 2302.13971) and what keeps its shape: Llama 2 and 3, Mistral and Mixtral (as
// "llama"), Ministral and Mistral Small 3 ("mistral3"). Per layer:
//   x += o(attention(rope(q(n)), rope(k(n)), v(n))),  n = rms_norm(x)
//   x += down(silu(gate(m)) * up(m)),                 m = rms_norm(x);  or that by the chosen experts
// Variations that the tensors themselves show: grouped heads, biases, per-tensor scales, a tied output.
#include <cmath>

#include "models/builder.h"
#include "models/families.h"

namespace wallaby::models {
namespace {

struct Shape {
    uint32_t n_embd, n_layers, n_heads, n_expert, n_used, head, n_rot;
    std::vector<uint32_t> n_heads_kv, n_ff;
    double eps, expert_scale;
    ops::Attend attend;
};

Shape read_shape(Builder& b) {
    Shape s{};
    s.n_layers = b.u32("block_count", 1, 4096);
    s.n_embd = b.u32("embedding_length", 1, 1u << 20);
    s.n_heads = b.u32("attention.head_count", 1, 1u << 14);
    s.n_heads_kv = b.has("attention.head_count_kv") ? b.per_layer("attention.head_count_kv", s.n_layers, 1, s.n_heads)
                                                    : std::vector<uint32_t>(s.n_layers, s.n_heads);
    s.n_ff = b.per_layer("feed_forward_length", s.n_layers, 1, 1u << 22);
    s.head = b.u32_or("attention.key_length", s.n_embd / s.n_heads, 1, 1u << 14);
    s.n_rot = b.u32_or("rope.dimension_count", s.head, 2, s.head);
    s.n_expert = b.u32_or("expert_count", 0, 0, 1u << 14);
    s.n_used = s.n_expert == 0 ? 0 : b.u32("expert_used_count", 1, s.n_expert);
    s.eps = b.number("attention.layer_norm_rms_epsilon", 1e-30, 1);
    s.expert_scale = b.number_or("expert_weights_scale", 0, -1e9, 1e9);

    const auto contradiction = [&](std::string_view suffix, std::string what) {
        b.problem(b.source().metadata().error(ErrorCode::model, b.key(suffix), std::move(what)));
    };
    if (!b.has("attention.key_length") && s.n_embd % s.n_heads != 0) {
        contradiction("attention.head_count",
                      fmt::format("is {}, which does not divide the width {}", s.n_heads, s.n_embd));
    }
    if (b.u32_or("attention.value_length", s.head, 1, 1u << 14) != s.head) {
        contradiction("attention.value_length", "differs from the key length");
    }
    if (s.n_rot % 2 != 0) { contradiction("rope.dimension_count", fmt::format("is {}, an odd number", s.n_rot)); }
    for (const uint32_t n : s.n_heads_kv) {
        if (s.n_heads % n != 0) {
            contradiction("attention.head_count_kv",
                          fmt::format("is {}, which does not divide the {} heads", n, s.n_heads));
            break;
        }
    }
    const double scale = b.number_or("attention.scale", 0, 0, 1e9);
    s.attend = {s.n_heads, s.head, scale == 0 ? float(1 / std::sqrt(double(s.head))) : float(scale), 0, 0};
    return s;
}

// Ministral 3 multiplies queries by 1 + t * log(1 + floor(position / trained length)).
void read_temperature(Builder& b, Shape& s) {
    s.attend.temperature = float(b.number_or("attention.temperature_scale", 0, -1e9, 1e9));
    if (s.attend.temperature != 0) { s.attend.floor = b.u32("rope.scaling.original_context_length", 1, 1u << 30); }
}

ops::ValueId experts(Builder& b, const Shape& s, uint32_t il, const std::string& blk, ops::ValueId m) {
    const Linear router = b.linear(blk + "ffn_gate_inp", s.n_embd, s.n_expert);
    const Linear gate = b.linear(blk + "ffn_gate_exps", s.n_embd, s.n_ff[il], s.n_expert);
    const Linear up = b.linear(blk + "ffn_up_exps", s.n_embd, s.n_ff[il], s.n_expert);
    const Linear down = b.linear(blk + "ffn_down_exps", s.n_ff[il], s.n_embd, s.n_expert);
    const float scale = s.expert_scale == 0 ? 1.0f : float(s.expert_scale);
    const auto chosen = b.route(b.matmul(m, router), {s.n_expert, s.n_used, true, scale});
    const ops::ValueId h =
        b.gate(b.routed_matmul(m, chosen.ids, gate, s.n_used), b.routed_matmul(m, chosen.ids, up, s.n_used));
    return b.combine(b.routed_matmul(h, chosen.ids, down, s.n_used), chosen.weights, s.n_used);
}

ops::ValueId feed_forward(Builder& b, const Shape& s, uint32_t il, const std::string& blk, ops::ValueId m) {
    Linear gate = b.linear(blk + "ffn_gate", s.n_embd, s.n_ff[il]);
    Linear up = b.linear(blk + "ffn_up", s.n_embd, s.n_ff[il]);
    Linear down = b.linear(blk + "ffn_down", s.n_ff[il], s.n_embd);
    // Here a scale multiplies the bias too, as the engine that writes such files has it. NVFP4's is a part of the
    // weight and does not.
    for (Linear* l : {&gate, &up, &down}) { l->scale_bias = !b.is_type(l->weight, quant::Type::nvfp4); }
    return b.matmul(b.gate(b.matmul(m, gate), b.matmul(m, up)), down);
}

ops::ValueId attention(Builder& b, const Shape& s, uint32_t il, const std::string& blk, ops::ValueId n,
                       uint32_t table) {
    const uint32_t n_kv = s.n_heads_kv[il];
    const Linear q = b.linear(blk + "attn_q", s.n_embd, s.n_heads * s.head);
    const Linear k = b.linear(blk + "attn_k", s.n_embd, n_kv * s.head);
    const Linear v = b.linear(blk + "attn_v", s.n_embd, n_kv * s.head);
    const Linear o = b.linear(blk + "attn_output", s.n_heads * s.head, s.n_embd);
    const auto rope = [&](ops::ValueId x) { return b.rope(x, ops::Rope::Kind::pairs, s.n_rot, s.head, table); };
    const ops::StateId state = b.state(n_kv, s.head);
    const ops::ValueId queries = rope(b.matmul(n, q));
    b.append(state, rope(b.matmul(n, k)), b.matmul(n, v));
    return b.matmul(b.attend(state, queries, s.attend), o);
}

void build_layers(Builder& b, const Shape& s) {
    const uint32_t n_vocab = b.model().n_vocab;
    const ops::WeightId embedding = b.matrix("token_embd.weight", s.n_embd, n_vocab);
    const uint32_t table = b.rope_table(s.n_rot, b.model().n_ctx_train);
    ops::ValueId x = b.embed(embedding, ops::Embed::By::token);
    for (uint32_t il = 0; il < s.n_layers && !b.failed(); il++) {
        const std::string blk = fmt::format("blk.{}.", il);
        b.layer(il);
        const ops::ValueId n = b.rms_norm(x, b.vector(blk + "attn_norm.weight", s.n_embd), s.eps);
        ops::ValueId attended = attention(b, s, il, blk, n, table);
        if (il + 1 == s.n_layers) {  // from here on only rows whose logits are wanted
            attended = b.select(attended);
            x = b.select(x);
        }
        x = b.add(attended, x);
        const ops::ValueId m = b.rms_norm(x, b.vector(blk + "ffn_norm.weight", s.n_embd), s.eps);
        x = b.add(s.n_expert == 0 ? feed_forward(b, s, il, blk, m) : experts(b, s, il, blk, m), x);
    }
    b.outside_layers();
    x = b.rms_norm(x, b.vector("output_norm.weight", s.n_embd), s.eps);
    b.logits(b.matmul(x, b.linear_or_tied("output", embedding, s.n_embd, n_vocab)));
    b.ignore_ending(".input_scale");           // for activation formats that this engine does not use
    b.ignore_ending(".attn_rot_embd.weight");  // written by old converters, never read
    b.ignore_ending(".rope_freqs.weight");
}

Result<ops::Model> build_llama_like(Builder& b, bool with_temperature) {
    Shape s = read_shape(b);
    if (with_temperature) { read_temperature(b, s); }
    refuse_short_window(b);
    if (!b.failed()) { build_layers(b, s); }
    return b.finish();
}

}  // namespace

Result<ops::Model> build_llama(Builder& b) { return build_llama_like(b, false); }
Result<ops::Model> build_mistral3(Builder& b) { return build_llama_like(b, true); }

}  // namespace wallaby::models
