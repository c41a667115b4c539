// Qwen2 (Yang et al. 2024, arXiv 2407.10671), Qwen3 and Qwen3-MoE (Yang et al. 2025, arXiv 2505.09388). Per layer:
//   x += o(attention(rope(q(n)), rope(k(n)), v(n))),  n = rms_norm(x)
//   x += down(silu(gate(m)) * up(m)),                 m = rms_norm(x);  or that by the chosen experts
// Rotation in halves. Qwen2 has biases on q, k and v; Qwen3 normalises each head of q and k before the rotation.
#include "models/decoder.h"

namespace wallaby::models {
namespace {

struct Variant {
    bool normalises_heads, is_moe;
};

Result<ops::Model> build_qwen(Builder& b, Variant v) {
    Decoder d = read_decoder(b);
    d.scales_feed_forward = v.normalises_heads;
    const std::vector<uint32_t> n_ff = v.is_moe ? std::vector<uint32_t>{} : read_n_ff(b, d);
    const Experts experts = v.is_moe ? read_experts(b, b.u32_or("feed_forward_length", 1, 1, 1u << 22)) : Experts{};
    refuse_short_window(b);
    if (b.failed()) { return b.finish(); }

    const ops::WeightId embedding = b.matrix("token_embd.weight", d.n_embd, b.model().n_vocab);
    const uint32_t table = b.rope_table(d.n_rot, b.model().n_ctx_train);
    ops::ValueId x = b.embed(embedding, ops::Embed::By::token);
    for (uint32_t il = 0; il < d.n_layers && !b.failed(); il++) {
        const std::string blk = fmt::format("blk.{}.", il);
        b.layer(il);
        const auto turned = [&](ops::ValueId y, const char* name) {
            if (v.normalises_heads) { y = b.rms_norm(y, b.vector(blk + name, d.head), d.eps, d.head); }
            return b.rope(y, ops::Rope::Kind::halves, d.n_rot, d.head, table);
        };
        Projections p = project(b, d, il, blk, b.rms_norm(x, b.vector(blk + "attn_norm.weight", d.n_embd), d.eps));
        p.q = turned(p.q, "attn_q_norm.weight");
        p.k = turned(p.k, "attn_k_norm.weight");
        ops::ValueId attended = attend(b, d, il, blk, p);
        keep_outputs(b, d, il, attended, x);
        x = b.add(attended, x);
        const ops::ValueId m = b.rms_norm(x, b.vector(blk + "ffn_norm.weight", d.n_embd), d.eps);
        x = b.add(v.is_moe ? expert_feed_forward(b, d, experts, blk, m) : gated_feed_forward(b, d, n_ff[il], blk, m),
                  x);
    }
    b.logits(logits_of(b, d, embedding, x));
    b.ignore_ending("cls.output.weight");  // of a classifier's head beside the language model's
    return b.finish();
}

}  // namespace

Result<ops::Model> build_qwen2(Builder& b) { return build_qwen(b, {false, false}); }
Result<ops::Model> build_qwen3(Builder& b) { return build_qwen(b, {true, false}); }
Result<ops::Model> build_qwen3moe(Builder& b) { return build_qwen(b, {true, true}); }

}  // namespace wallaby::models
