// Gemma 2 (arXiv 2408.00118) and Gemma 3 (arXiv 2503.19786). Per layer, with a norm after each branch too:
//   x += norm(o(attention(rope(q(n)), rope(k(n)), v(n)))),  n = rms_norm(x)
//   x += norm(down(gelu(gate(m)) * up(m))),                 m = rms_norm(x)
// The embedding is multiplied by sqrt(width); converters have added the 1 that the norms' gains are stored without.
// Most layers see a sliding window. Gemma 2 caps scores and logits softly; Gemma 3 normalises the heads of q and k
// instead, and scales the rotation of its global layers only.
#include <cmath>

#include "models/decoder.h"

namespace wallaby::models {
namespace {

struct Variant {
    bool normalises_heads;
    uint32_t period;  // each such layer is global
    uint32_t window;  // where the file does not say
    float score_cap, logit_cap;
    uint32_t n_layers_27b;    // the size whose queries are scaled by width / heads, not by the head's width
    double window_rope_base;  // 0: as the others'
};

Result<ops::Model> build_gemma(Builder& b, const Variant& v) {
    Decoder d = read_decoder(b);
    d.scales_feed_forward = false;
    if (!b.has("attention.scale") && d.n_layers == v.n_layers_27b) {
        d.attention_scale = float(1 / std::sqrt(double(d.n_embd) / d.n_heads));
    }
    const std::vector<uint32_t> n_ff = read_n_ff(b, d);
    const std::vector<uint32_t> windows =
        b.windows(b.u32_or("attention.sliding_window", v.window, 0, 1u << 30), d.n_layers, v.period);
    const float score_cap = v.score_cap == 0 ? 0 : float(b.number_or("attn_logit_softcapping", v.score_cap, 0, 1e9));
    const float logit_cap = float(b.number_or("final_logit_softcapping", v.logit_cap, 0, 1e9));
    if (b.failed()) { return b.finish(); }

    const ops::WeightId embedding = b.matrix("token_embd.weight", d.n_embd, b.model().n_vocab);
    const uint32_t table = b.rope_table(d.n_rot, b.model().n_ctx_train);
    const uint32_t window_table =
        v.window_rope_base == 0
            ? table
            : b.plain_rope_table(d.n_rot, b.number_or("rope.freq_base_swa", v.window_rope_base, 1.0000001, 1e15));
    const ops::Gate act{ops::Gate::Act::gelu_tanh, 0, 0};
    ops::ValueId x = b.embed(embedding, ops::Embed::By::token, std::sqrt(float(d.n_embd)));
    for (uint32_t il = 0; il < d.n_layers && !b.failed(); il++) {
        const std::string blk = fmt::format("blk.{}.", il);
        b.layer(il);
        const auto norm = [&](ops::ValueId y, const char* name) {
            return b.rms_norm(y, b.vector(blk + name, d.n_embd), d.eps);
        };
        const auto turned = [&](ops::ValueId y, const char* name) {
            if (v.normalises_heads) { y = b.rms_norm(y, b.vector(blk + name, d.head), d.eps, d.head); }
            return b.rope(y, ops::Rope::Kind::halves, d.n_rot, d.head, windows[il] == 0 ? table : window_table);
        };
        Projections p = project(b, d, il, blk, norm(x, "attn_norm.weight"));
        p.q = turned(p.q, "attn_q_norm.weight");
        p.k = turned(p.k, "attn_k_norm.weight");
        ops::Attend spec;
        spec.softcap = score_cap;
        spec.window = windows[il];
        ops::ValueId attended = attend(b, d, il, blk, p, spec);
        keep_outputs(b, d, il, attended, x);
        x = b.add(norm(attended, "post_attention_norm.weight"), x);
        const ops::ValueId y = gated_feed_forward(b, d, n_ff[il], blk, norm(x, "ffn_norm.weight"), act);
        x = b.add(norm(y, "post_ffw_norm.weight"), x);
    }
    b.logits(b.softcap(logits_of(b, d, embedding, x), logit_cap));
    return b.finish();
}

}  // namespace

Result<ops::Model> build_gemma2(Builder& b) {
    return build_gemma(b, {.normalises_heads = false,
                           .period = 2,
                           .window = 4096,
                           .score_cap = 50,
                           .logit_cap = 30,
                           .n_layers_27b = 46,
                           .window_rope_base = 0});
}

Result<ops::Model> build_gemma3(Builder& b) {
    return build_gemma(b, {.normalises_heads = true,
                           .period = 6,
                           .window = 0,
                           .score_cap = 0,
                           .logit_cap = 0,
                           .n_layers_27b = 62,
                           .window_rope_base = 10000});
}

}  // namespace wallaby::models
