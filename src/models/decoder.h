// What most decoder families have in common, in pieces: a family's file says which of them it uses and in what order.
#pragma once
#include <string>

#include "models/builder.h"

namespace wallaby::models {

// The hyper-parameters that these families state under the same keys.
struct Decoder {
    uint32_t n_embd, n_layers, n_heads, head;
    uint32_t n_rot;                    // dimensions of a head that are rotated
    std::vector<uint32_t> n_heads_kv;  // by layer
    double eps;                        // of RMS norms
    float attention_scale;             // of q·k: attention.scale, else 1/sqrt(head)
    // Whether `.scale` tensors of the feed-forward apply. The engine that writes such files applies them in some
    // families only. Those of NVFP4 weights, of which they are a part, always do.
    bool scales_feed_forward = true;
};
Decoder read_decoder(Builder& b);

// The feed-forward width of each layer.
std::vector<uint32_t> read_n_ff(Builder& b, const Decoder& d);

// Queries, keys and values of a layer: from attn_q, attn_k and attn_v, or from one attn_qkv with their rows in that
// order.
struct Projections {
    ops::ValueId q, k, v;
};
Projections project(Builder& b, const Decoder& d, uint32_t il, const std::string& blk, ops::ValueId x);

// Stores keys and values, attends, and multiplies by attn_output. `spec` needs no heads. blk.attn_sinks is used where
// the file has it and `with_sinks`.
ops::ValueId attend(Builder& b, const Decoder& d, uint32_t il, const std::string& blk, const Projections& p,
                    ops::Attend spec = {}, bool with_sinks = false);

// A matrix of the feed-forward as its family scales it.
Linear feed_forward_matrix(Builder& b, const Decoder& d, Linear matrix);

// down(act(gate(x)) * up(x)).
ops::ValueId gated_feed_forward(Builder& b, const Decoder& d, uint32_t n_ff, const std::string& blk, ops::ValueId x,
                                const ops::Gate& act = {});

// The same by n_used of n_expert experts, whose probabilities are a softmax over those that are chosen, times scale.
struct Experts {
    uint32_t n_expert, n_used, n_ff;
    float scale;
};
Experts read_experts(Builder& b, uint32_t n_ff);
ops::ValueId expert_feed_forward(Builder& b, const Decoder& d, const Experts& e, const std::string& blk, ops::ValueId x,
                                 const ops::Gate& act = {});

// In the last layer only rows whose logits are wanted go on.
void keep_outputs(Builder& b, const Decoder& d, uint32_t il, ops::ValueId& branch, ops::ValueId& residual);

// The last norm and the matrix of logits: output, or the embedding where the file has none.
ops::ValueId logits_of(Builder& b, const Decoder& d, ops::WeightId embedding, ops::ValueId x);

// A file may state a sliding window that its family's program does not have: refused where it would change the answer.
void refuse_short_window(Builder& b);

}  // namespace wallaby::models
