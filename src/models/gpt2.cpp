// GPT-2 (Radford et al. 2019): learned positions, LayerNorm with biases, fused q/k/v, a feed-forward of two matrices
// with the tanh form of GELU. Per layer:
//   x += o(attention(q(n), k(n), v(n))),  n = layer_norm(x)
//   x += down(gelu(up(m))),               m = layer_norm(x)
#include <cmath>

#include "models/builder.h"

namespace wallaby::models {

Result<ops::Model> build_gpt2(Builder& b) {
    const uint32_t n_layers = b.u32("block_count", 1, 4096);
    const uint32_t n_embd = b.u32("embedding_length", 1, 1u << 20);
    const uint32_t n_heads = b.u32("attention.head_count", 1, 1u << 14);
    const uint32_t n_heads_kv = b.u32_or("attention.head_count_kv", n_heads, 1, n_heads);
    const uint32_t n_ff = b.u32("feed_forward_length", 1, 1u << 22);
    const double eps = b.number("attention.layer_norm_epsilon", 1e-30, 1);
    const uint32_t head = n_embd / n_heads;
    if (n_embd % n_heads != 0 || n_heads % n_heads_kv != 0) {
        b.problem(b.source().metadata().error(
            ErrorCode::model, b.key("attention.head_count"),
            fmt::format("is {}: it must divide the width {}, and the {} KV heads must divide it", n_heads, n_embd,
                        n_heads_kv)));
    }
    if (b.failed()) { return b.finish(); }

    const uint32_t n_vocab = b.model().n_vocab;
    b.model().n_ctx_max = b.model().n_ctx_train;  // there is one learned row per position
    const ops::WeightId embedding = b.matrix("token_embd.weight", n_embd, n_vocab);
    const ops::WeightId positions = b.matrix("position_embd.weight", n_embd, b.model().n_ctx_max);
    ops::ValueId x = b.add(b.embed(embedding, ops::Embed::By::token), b.embed(positions, ops::Embed::By::position));
    const ops::Attend attend{n_heads, head, float(1 / std::sqrt(double(head))), 0, 0};

    for (uint32_t il = 0; il < n_layers && !b.failed(); il++) {
        const std::string blk = fmt::format("blk.{}.", il);
        b.layer(il);
        const auto norm = [&](ops::ValueId v, const std::string& name) {
            return b.layer_norm(v, b.vector(name + ".weight", n_embd), b.vector(name + ".bias", n_embd), eps);
        };
        const uint32_t n_q = n_heads * head, n_kv = n_heads_kv * head;
        const auto qkv = [&](uint32_t first, uint32_t n) {
            return b.linear_rows(blk + "attn_qkv", n_embd, n_q + 2 * n_kv, first, n);
        };
        const ops::ValueId n = norm(x, blk + "attn_norm");
        const ops::StateId state = b.state(n_heads_kv, head);
        const ops::ValueId q = b.matmul(n, qkv(0, n_q));
        b.append(state, b.matmul(n, qkv(n_q, n_kv)), b.matmul(n, qkv(n_q + n_kv, n_kv)));
        ops::ValueId attended = b.matmul(b.attend(state, q, attend), b.linear(blk + "attn_output", n_q, n_embd));
        if (il + 1 == n_layers) {  // from here on only rows whose logits are wanted
            attended = b.select(attended);
            x = b.select(x);
        }
        x = b.add(attended, x);
        // The feed-forward matrices of this family take no scale: the engine that writes such files applies none.
        Linear up = b.linear(blk + "ffn_up", n_embd, n_ff);
        Linear down = b.linear(blk + "ffn_down", n_ff, n_embd);
        up.scale = down.scale = ops::none;
        x = b.add(b.matmul(b.gelu_tanh(b.matmul(norm(x, blk + "ffn_norm"), up)), down), x);
    }
    b.outside_layers();
    x = b.layer_norm(x, b.vector("output_norm.weight", n_embd), b.vector("output_norm.bias", n_embd), eps);
    b.logits(b.matmul(x, b.linear_or_tied("output", embedding, n_embd, n_vocab)));
    b.ignore_ending(".input_scale");  // for activation formats that this engine does not use
    return b.finish();
}

}  // namespace wallaby::models
