// Phi-3 and Phi-4 mini (Abdin et al. 2024, arXiv 2404.14219): LLaMA's layer with rotation in halves, LongRoPE factors,
// fused q/k/v, and gate and up in one matrix, gate first. A window, where the file states one, holds in every layer.
#include "models/decoder.h"

namespace wallaby::models {

Result<ops::Model> build_phi3(Builder& b) {
    Decoder d = read_decoder(b);
    d.scales_feed_forward = false;
    const std::vector<uint32_t> n_ff = read_n_ff(b, d);
    ops::Attend spec;
    spec.window = b.u32_or("attention.sliding_window", 0, 0, 1u << 30);
    if (b.failed()) { return b.finish(); }

    const ops::WeightId embedding = b.matrix("token_embd.weight", d.n_embd, b.model().n_vocab);
    const uint32_t table = b.rope_table(d.n_rot, b.model().n_ctx_train);
    const auto rope = [&](ops::ValueId x) { return b.rope(x, ops::Rope::Kind::halves, d.n_rot, d.head, table); };
    ops::ValueId x = b.embed(embedding, ops::Embed::By::token);
    for (uint32_t il = 0; il < d.n_layers && !b.failed(); il++) {
        const std::string blk = fmt::format("blk.{}.", il);
        b.layer(il);
        Projections p = project(b, d, il, blk, b.rms_norm(x, b.vector(blk + "attn_norm.weight", d.n_embd), d.eps));
        p.q = rope(p.q);
        p.k = rope(p.k);
        ops::ValueId attended = attend(b, d, il, blk, p, spec);
        keep_outputs(b, d, il, attended, x);
        x = b.add(attended, x);
        const ops::ValueId m = b.rms_norm(x, b.vector(blk + "ffn_norm.weight", d.n_embd), d.eps);
        const auto half = [&](uint32_t first) {
            const Linear rows = b.linear_rows(blk + "ffn_up", d.n_embd, 2 * n_ff[il], first, n_ff[il]);
            return b.matmul(m, feed_forward_matrix(b, d, rows));
        };
        const Linear down = feed_forward_matrix(b, d, b.linear(blk + "ffn_down", n_ff[il], d.n_embd));
        x = b.add(b.matmul(b.gate(half(0), half(n_ff[il])), down), x);
    }
    b.logits(logits_of(b, d, embedding, x));
    return b.finish();
}

}  // namespace wallaby::models
