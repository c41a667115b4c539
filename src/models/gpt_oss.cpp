// gpt-oss (OpenAI 2025, arXiv 2508.10925): experts with biases and a clamped gate, a learned sink per head, a sliding
// window in every other layer, YaRN. Per layer:
//   x += o(attention(rope(q(n)), rope(k(n)), v(n))),  n = rms_norm(x)
//   x += experts(m),                                  m = rms_norm(x), whose gain is named post_attention_norm
#include "models/decoder.h"

namespace wallaby::models {

Result<ops::Model> build_gpt_oss(Builder& b) {
    Decoder d = read_decoder(b);
    d.scales_feed_forward = false;
    const Experts experts = read_experts(b, b.u32_or("feed_forward_length", 1, 1, 1u << 22));
    const std::vector<uint32_t> windows = b.windows(b.u32("attention.sliding_window", 0, 1u << 30), d.n_layers, 2);
    if (b.failed()) { return b.finish(); }

    const ops::WeightId embedding = b.matrix("token_embd.weight", d.n_embd, b.model().n_vocab);
    const uint32_t table = b.rope_table(d.n_rot, b.model().n_ctx_train);
    const auto rope = [&](ops::ValueId x) { return b.rope(x, ops::Rope::Kind::halves, d.n_rot, d.head, table); };
    const ops::Gate act{ops::Gate::Act::clamped_silu, 1.702f, 7.0f};
    ops::ValueId x = b.embed(embedding, ops::Embed::By::token);
    for (uint32_t il = 0; il < d.n_layers && !b.failed(); il++) {
        const std::string blk = fmt::format("blk.{}.", il);
        b.layer(il);
        Projections p = project(b, d, il, blk, b.rms_norm(x, b.vector(blk + "attn_norm.weight", d.n_embd), d.eps));
        p.q = rope(p.q);
        p.k = rope(p.k);
        ops::Attend spec;
        spec.window = windows[il];
        ops::ValueId attended = attend(b, d, il, blk, p, spec, true);
        keep_outputs(b, d, il, attended, x);
        x = b.add(attended, x);
        const ops::ValueId m = b.rms_norm(x, b.vector(blk + "post_attention_norm.weight", d.n_embd), d.eps);
        x = b.add(expert_feed_forward(b, d, experts, blk, m, act), x);
    }
    b.logits(logits_of(b, d, embedding, x));
    return b.finish();
}

}  // namespace wallaby::models
