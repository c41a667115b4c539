// LLaMA (Touvron et al. 2023, arXiv 2302.13971) and what keeps its shape: Llama 2 and 3, Mistral and Mixtral (as
// "llama"), Ministral and Mistral Small 3 ("mistral3"). Per layer:
//   x += o(attention(rope(q(n)), rope(k(n)), v(n))),  n = rms_norm(x)
//   x += down(silu(gate(m)) * up(m)),                 m = rms_norm(x);  or that by the chosen experts
// Variations that the tensors themselves show: grouped heads, biases, per-tensor scales, a tied output.
#include "models/decoder.h"

namespace wallaby::models {
namespace {

Result<ops::Model> build_llama_like(Builder& b, ops::Attend spec) {
    const Decoder d = read_decoder(b);
    const std::vector<uint32_t> n_ff = read_n_ff(b, d);
    const bool is_moe = b.u32_or("expert_count", 0, 0, 1u << 14) != 0;
    const Experts experts = is_moe ? read_experts(b, n_ff[0]) : Experts{};
    refuse_short_window(b);
    if (b.failed()) { return b.finish(); }

    const ops::WeightId embedding = b.matrix("token_embd.weight", d.n_embd, b.model().n_vocab);
    const uint32_t table = b.rope_table(d.n_rot, b.model().n_ctx_train);
    const auto rope = [&](ops::ValueId x) { return b.rope(x, ops::Rope::Kind::pairs, d.n_rot, d.head, table); };
    ops::ValueId x = b.embed(embedding, ops::Embed::By::token);
    for (uint32_t il = 0; il < d.n_layers && !b.failed(); il++) {
        const std::string blk = fmt::format("blk.{}.", il);
        b.layer(il);
        const ops::ValueId n = b.rms_norm(x, b.vector(blk + "attn_norm.weight", d.n_embd), d.eps);
        Projections p = project(b, d, il, blk, n);
        p.q = rope(p.q);
        p.k = rope(p.k);
        ops::ValueId attended = attend(b, d, il, blk, p, spec);
        keep_outputs(b, d, il, attended, x);
        x = b.add(attended, x);
        const ops::ValueId m = b.rms_norm(x, b.vector(blk + "ffn_norm.weight", d.n_embd), d.eps);
        x = b.add(is_moe ? expert_feed_forward(b, d, experts, blk, m) : gated_feed_forward(b, d, n_ff[il], blk, m), x);
    }
    b.logits(logits_of(b, d, embedding, x));
    b.ignore_ending(".attn_rot_embd.weight");  // written by old converters, never read
    b.ignore_ending(".rope_freqs.weight");
    return b.finish();
}

}  // namespace

Result<ops::Model> build_llama(Builder& b) { return build_llama_like(b, {}); }

// Ministral 3 multiplies queries by 1 + t * log(1 + floor(position / trained length)).
Result<ops::Model> build_mistral3(Builder& b) {
    ops::Attend spec;
    spec.temperature = float(b.number_or("attention.temperature_scale", 0, -1e9, 1e9));
    if (spec.temperature != 0) { spec.floor = b.u32("rope.scaling.original_context_length", 1, 1u << 30); }
    return build_llama_like(b, spec);
}

}  // namespace wallaby::models
