// A model in numbers, and the keys and tensors that follow from them: what the table of named shapes (shapes.cpp) and a
// config.json (hf_config.h) are both made into. Names are those of llama.cpp's converter.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "convert/shapes.h"

namespace wallaby::convert {

// What the layers of a family consist of. Unless it says otherwise they are LLaMA's: a norm before each branch, a
// matrix each for q, k and v, a gated feed-forward, rotary positions, no biases.
struct Family {
    enum class Norms : uint8_t { none, each_head, all_heads };  // of q and k; one gain per element of a head, or of all
    enum class FeedForward : uint8_t { gated, gated_fused, plain };  // gate beside up, in one matrix with it, or none

    std::string_view architecture;  // as the file names it
    bool qkv_bias = false, out_bias = false, ff_bias = false;
    Norms qk_norms = Norms::none;
    bool pre_norms = true, post_norms = false;  // of what a branch takes, of what it gives
    bool layer_norms = false;                   // with biases, in place of RMS norms
    bool fused_qkv = false;
    FeedForward feed_forward = FeedForward::gated;
    bool sinks = false;              // one per head
    bool learned_positions = false;  // a row for each, in place of the rotation
    std::string_view second_norm = "ffn_norm";
    bool scan = false;  // a convolution and a selective scan in place of attention and feed-forward: Mamba-2

    bool rotates() const { return !learned_positions && !scan; }
};

namespace family {
inline constexpr Family llama{.architecture = "llama"};
inline constexpr Family qwen2{.architecture = "qwen2", .qkv_bias = true};
inline constexpr Family qwen3{.architecture = "qwen3", .qk_norms = Family::Norms::each_head};
inline constexpr Family qwen3moe{.architecture = "qwen3moe", .qk_norms = Family::Norms::each_head};
inline constexpr Family gemma2{.architecture = "gemma2", .post_norms = true};
inline constexpr Family gemma3{.architecture = "gemma3", .qk_norms = Family::Norms::each_head, .post_norms = true};
inline constexpr Family phi3{
    .architecture = "phi3", .fused_qkv = true, .feed_forward = Family::FeedForward::gated_fused};
inline constexpr Family gpt_oss{.architecture = "gpt-oss",
                                .qkv_bias = true,
                                .out_bias = true,
                                .ff_bias = true,
                                .sinks = true,
                                .second_norm = "post_attention_norm"};
inline constexpr Family mamba2{.architecture = "mamba2", .scan = true};
inline constexpr Family olmo2{
    .architecture = "olmo2", .qk_norms = Family::Norms::all_heads, .pre_norms = false, .post_norms = true};
inline constexpr Family gpt2{.architecture = "gpt2",
                             .qkv_bias = true,
                             .out_bias = true,
                             .ff_bias = true,
                             .layer_norms = true,
                             .fused_qkv = true,
                             .feed_forward = Family::FeedForward::plain,
                             .learned_positions = true};
}  // namespace family

// How the rotation reaches beyond the context of the first training: models/rope.cpp.
struct Scaling {
    enum class Kind : uint8_t { none, linear, yarn, llama3, longrope };
    Kind kind = Kind::none;
    float factor = 1;
    uint32_t n_ctx_original = 0;          // 0: n_ctx, and no key
    float low = 1, high = 4;              // llama3: turns within n_ctx_original
    float beta_fast = 32, beta_slow = 1;  // YaRN: the same
    float magnitude = 1;                  // of rotated vectors, besides YaRN's own
    // LongRoPE: n_rot / 2 each; the caller's.
    std::span<const float> short_factors = {}, long_factors = {};
};

// What a model has besides, or otherwise than, an untied dense one.
struct Extras {
    bool tied = false;                  // no output matrix: the embedding's
    uint32_t n_expert = 0, n_used = 0;  // experts, n_ff wide each
    uint32_t window = 0;                // keys that a windowed layer sees; 0: no key
    std::span<const uint32_t> windowed =
        {};                      // 1 for each layer with the window; empty: as its family has it. The caller's
    uint32_t n_rot = 0;          // elements of a head that are rotated; 0: all
    float attention_scale = 0;   // of q·k; 0: as its family has it
    float window_rope_base = 0;  // of layers with a window; 0: as its family has it
    std::optional<float> score_cap = {}, logit_cap = {};
    Scaling scaling = {};
    uint32_t n_state = 0, n_groups = 0, n_taps = 0;  // of a scan: elements of a head's state, groups of heads; of the
                                                     // convolution before it
};

struct Hyper {
    Family family;
    uint32_t n_vocab, n_embd, n_layers, n_heads, n_heads_kv, head, n_ff, n_ctx;
    float rope_base, eps;
    Extras extras = {};
};

// Keys, a placeholder tokenizer (if wanted; none for a vocabulary too small for one) and tensors. The numbers must be
// such that they can be listed: sizes above 0, and an even number of elements of a head where it is rotated.
Shape make_shape(const Hyper& hyper, bool with_tokenizer = true);

}  // namespace wallaby::convert
