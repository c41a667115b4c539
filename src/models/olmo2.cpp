// OLMo 2 (OLMo team 2024, arXiv 2501.00656), and OLMo 3, which adds a sliding window in three of four layers. Norms
// stand after the branches, and q and k are normalised over their whole width. Per layer:
//   x += norm(o(attention(rope(norm(q(x))), rope(norm(k(x))), v(x))))
//   x += norm(down(silu(gate(x)) * up(x)))
// Layers with a window rotate without the scaling that the others use.
#include "models/decoder.h"

namespace wallaby::models {

Result<ops::Model> build_olmo2(Builder& b) {
    Decoder d = read_decoder(b);
    d.scales_feed_forward = false;
    const std::vector<uint32_t> n_ff = read_n_ff(b, d);
    const std::vector<uint32_t> windows =
        b.windows(b.u32_or("attention.sliding_window", 0, 0, 1u << 30), d.n_layers, 4);
    if (b.failed()) { return b.finish(); }

    const ops::WeightId embedding = b.matrix("token_embd.weight", d.n_embd, b.model().n_vocab);
    const uint32_t table = b.rope_table(d.n_rot, b.model().n_ctx_train);
    const uint32_t window_table = b.plain_rope_table(d.n_rot, b.rope_base());
    ops::ValueId x = b.embed(embedding, ops::Embed::By::token);
    for (uint32_t il = 0; il < d.n_layers && !b.failed(); il++) {
        const std::string blk = fmt::format("blk.{}.", il);
        b.layer(il);
        const auto norm = [&](ops::ValueId y, const char* name, uint32_t width) {
            return b.rms_norm(y, b.vector(blk + name, width), d.eps);
        };
        const auto turned = [&](ops::ValueId y, const char* name, uint32_t n_heads) {
            return b.rope(norm(y, name, n_heads * d.head), ops::Rope::Kind::halves, d.n_rot, d.head,
                          windows[il] == 0 ? table : window_table);
        };
        Projections p = project(b, d, il, blk, x);
        p.q = turned(p.q, "attn_q_norm.weight", d.n_heads);
        p.k = turned(p.k, "attn_k_norm.weight", d.n_heads_kv[il]);
        ops::Attend spec;
        spec.window = windows[il];
        ops::ValueId attended = attend(b, d, il, blk, p, spec);
        keep_outputs(b, d, il, attended, x);
        x = b.add(norm(attended, "post_attention_norm.weight", d.n_embd), x);
        const ops::ValueId y = gated_feed_forward(b, d, n_ff[il], blk, x);
        x = b.add(norm(y, "post_ffw_norm.weight", d.n_embd), x);
    }
    b.logits(logits_of(b, d, embedding, x));
    return b.finish();
}

}  // namespace wallaby::models
