#include "convert/shapes.h"

#include <algorithm>
#include <array>

#include "base/math.h"
#include "gguf/shards.h"

namespace wallaby::convert {
namespace {

// What a model has besides, or otherwise than, an untied dense LLaMA.
struct Extras {
    bool tied = false;                  // no output matrix: the embedding's
    bool qkv_bias = false;              // Qwen2
    bool qk_norm = false;               // Qwen3, Gemma 3: one gain per element of a head
    bool post_norms = false;            // Gemma 2 and 3: norms of what attention and feed-forward give
    bool fused = false;                 // Phi-3: q, k and v in one matrix, gate and up in another
    bool gpt_oss = false;               // biases everywhere, a sink per head, the second norm under another name
    uint32_t n_expert = 0, n_used = 0;  // experts, n_ff wide each
    uint32_t window = 0;
    float llama3_factor = 0;  // RoPE: slow frequencies are divided by this
    void (*more_keys)(gguf::Draft& draft) = nullptr;
};

struct Hyper {
    std::string_view name, architecture;  // as the file names it
    uint32_t n_vocab, n_embd, n_layers, n_heads, n_heads_kv, head, n_ff, n_ctx;
    float rope_base, eps;
    std::string_view summary;
    Extras extras = {};
};

void gemma2_keys(gguf::Draft& draft) {
    draft.set("gemma2.attn_logit_softcapping", 50.0f).set("gemma2.final_logit_softcapping", 30.0f);
}

void gpt_oss_keys(gguf::Draft& draft) {
    draft.set("gpt-oss.rope.scaling.type", "yarn").set("gpt-oss.rope.scaling.factor", 32.0f);
    draft.set("gpt-oss.rope.scaling.original_context_length", 4096u);
}

void tiny_window_keys(gguf::Draft& draft) {
    constexpr std::array<uint32_t, 3> is_windowed{1, 0, 1};
    draft.set_array("gemma3.attention.sliding_window_pattern", std::span<const uint32_t>(is_windowed));
}

// Sizes from the models' published config.json (Hugging Face).
// clang-format off
constexpr Hyper shapes[] = {
    // name, architecture, vocabulary, width, layers, heads, KV heads, head, feed-forward, context, RoPE base, epsilon
    {"tinyllama-1.1b", "llama",     32000, 2048, 22, 32,  4,  64,  5632,   2048, 1e4f, 1e-5f, "TinyLlama 1.1B"},
    {"llama-3.2-1b",   "llama",    128256, 2048, 16, 32,  8,  64,  8192, 131072, 5e5f, 1e-5f, "Llama 3.2 1B",
     {.tied = true, .llama3_factor = 32}},
    {"llama-2-7b",     "llama",     32000, 4096, 32, 32, 32, 128, 11008,   4096, 1e4f, 1e-5f, "Llama 2 7B"},
    {"llama-3.1-8b",   "llama",    128256, 4096, 32, 32,  8, 128, 14336, 131072, 5e5f, 1e-5f, "Llama 3.1 8B",
     {.llama3_factor = 8}},
    {"mistral-7b",     "llama",     32768, 4096, 32, 32,  8, 128, 14336,  32768, 1e6f, 1e-5f, "Mistral 7B v0.3"},
    {"mixtral-8x7b",   "llama",     32000, 4096, 32, 32,  8, 128, 14336,  32768, 1e6f, 1e-5f,
     "Mixtral 8x7B: 8 experts, 2 used", {.n_expert = 8, .n_used = 2}},
    {"qwen2.5-0.5b",   "qwen2",    151936,  896, 24, 14,  2,  64,  4864,  32768, 1e6f, 1e-6f, "Qwen2.5 0.5B",
     {.tied = true, .qkv_bias = true}},
    {"qwen2.5-7b",     "qwen2",    152064, 3584, 28, 28,  4, 128, 18944,  32768, 1e6f, 1e-6f, "Qwen2.5 7B",
     {.qkv_bias = true}},
    {"qwen3-0.6b",     "qwen3",    151936, 1024, 28, 16,  8, 128,  3072,  40960, 1e6f, 1e-6f, "Qwen3 0.6B",
     {.tied = true, .qk_norm = true}},
    {"qwen3-8b",       "qwen3",    151936, 4096, 36, 32,  8, 128, 12288,  40960, 1e6f, 1e-6f, "Qwen3 8B",
     {.qk_norm = true}},
    {"qwen3-30b-a3b",  "qwen3moe", 151936, 2048, 48, 32,  4, 128,   768,  40960, 1e6f, 1e-6f,
     "Qwen3 30B-A3B: 128 experts, 8 used", {.qk_norm = true, .n_expert = 128, .n_used = 8}},
    {"moe-7b-a1b",     "qwen3moe",  50304, 2048, 16, 16, 16, 128,  1024,   4096, 1e4f, 1e-5f,
     "no published model, of OLMoE's size: 1.3B of 6.9B active, 64 experts, 8 used",
     {.qk_norm = true, .n_expert = 64, .n_used = 8}},
    {"gemma-2-2b",     "gemma2",   256000, 2304, 26,  8,  4, 256,  9216,   8192, 1e4f, 1e-6f, "Gemma 2 2B",
     {.tied = true, .post_norms = true, .window = 4096, .more_keys = gemma2_keys}},
    {"gemma-3-1b",     "gemma3",   262144, 1152, 26,  4,  1, 256,  6912,  32768, 1e6f, 1e-6f, "Gemma 3 1B",
     {.tied = true, .qk_norm = true, .post_norms = true, .window = 512}},
    {"phi-3-mini",     "phi3",      32064, 3072, 32, 32, 32,  96,  8192,   4096, 1e4f, 1e-5f, "Phi-3 mini 4k",
     {.fused = true, .window = 2047}},
    {"gpt-oss-20b",    "gpt-oss",  201088, 2880, 24, 64,  8,  64,  2880, 131072, 1.5e5f, 1e-5f,
     "gpt-oss 20B: 32 experts, 4 used",
     {.gpt_oss = true, .n_expert = 32, .n_used = 4, .window = 128, .more_keys = gpt_oss_keys}},
    {"tiny-dense",     "llama",       512,  512,  3,  8,  2,  64,   768,   4096, 1e4f, 1e-5f, "for tests"},
    {"tiny-moe",       "llama",       512,  512,  3,  8,  2,  64,   768,   4096, 1e4f, 1e-5f,
     "for tests: 4 experts, 2 used", {.n_expert = 4, .n_used = 2}},
    {"tiny-window",    "gemma3",      512,  512,  3,  8,  2,  64,   768,   4096, 1e4f, 1e-6f,
     "for tests: the first and third layer see 8 keys",
     {.qk_norm = true, .post_norms = true, .window = 8, .more_keys = tiny_window_keys}},
};
// clang-format on

constexpr auto summaries = [] {
    std::array<NamedShape, std::size(shapes)> out;
    for (size_t i = 0; i < out.size(); i++) {
        out[i] = {shapes[i].name, shapes[i].summary};
    }
    return out;
}();

// Divisors of the rotary frequencies of Llama 3.1 and later, as its reference code has them (low 1, high 4, trained on
// 8192): https://github.com/meta-llama/llama-models, apply_scaling. Files carry them as rope_freqs.weight.
std::vector<float> llama3_divisors(const Hyper& h) {
    constexpr double two_pi = 6.283185307179586, trained = 8192, low = 1, high = 4;
    std::vector<float> out;
    for (uint32_t i = 0; i < h.head / 2; i++) {
        const double wavelength = two_pi * base::pow(double(h.rope_base), 2.0 * i / h.head);
        const double share = std::clamp((trained / wavelength - low) / (high - low), 0.0, 1.0);
        out.push_back(float(1 / ((1 - share) / double(h.extras.llama3_factor) + share)));
    }
    return out;
}

void set_keys(gguf::Draft& draft, const Hyper& h) {
    const auto key = [&](std::string_view suffix) { return fmt::format("{}.{}", h.architecture, suffix); };
    draft.set("general.architecture", h.architecture);
    // Not the model's own name: llama.cpp looks for the tokens of a real Phi-3 in whatever is called so.
    draft.set("general.name", "synthetic");
    draft.set(key("context_length"), h.n_ctx);
    draft.set(key("embedding_length"), h.n_embd);
    draft.set(key("block_count"), h.n_layers);
    draft.set(key("feed_forward_length"), h.n_ff);
    draft.set(key("attention.head_count"), h.n_heads);
    draft.set(key("attention.head_count_kv"), h.n_heads_kv);
    draft.set(key("attention.key_length"), h.head);
    draft.set(key("attention.value_length"), h.head);
    draft.set(key("attention.layer_norm_rms_epsilon"), h.eps);
    draft.set(key("rope.freq_base"), h.rope_base);
    draft.set(key("rope.dimension_count"), h.head);
    draft.set(key("vocab_size"), h.n_vocab);
    if (h.extras.n_expert != 0) {
        draft.set(key("expert_count"), h.extras.n_expert);
        draft.set(key("expert_used_count"), h.extras.n_used);
        draft.set(key("expert_feed_forward_length"), h.n_ff);
    }
    if (h.extras.window != 0) { draft.set(key("attention.sliding_window"), h.extras.window); }
    if (h.extras.more_keys != nullptr) { h.extras.more_keys(draft); }
}

void add_attention(std::vector<TensorShape>& out, const Hyper& h, const std::string& blk) {
    const uint64_t n_q = uint64_t(h.n_heads) * h.head, n_kv = uint64_t(h.n_heads_kv) * h.head;
    const bool bias = h.extras.qkv_bias || h.extras.gpt_oss;
    const auto linear = [&](std::string_view name, uint64_t n_in, uint64_t n_out, bool has_bias) {
        out.push_back({fmt::format("{}{}.weight", blk, name), {n_in, n_out}});
        if (has_bias) { out.push_back({fmt::format("{}{}.bias", blk, name), {n_out}}); }
    };
    const auto norm = [&](std::string_view name, uint64_t n) {
        out.push_back({fmt::format("{}{}.weight", blk, name), {n}});
    };
    norm("attn_norm", h.n_embd);
    if (h.extras.fused) {
        linear("attn_qkv", h.n_embd, n_q + 2 * n_kv, false);
    } else {
        linear("attn_q", h.n_embd, n_q, bias);
        linear("attn_k", h.n_embd, n_kv, bias);
        linear("attn_v", h.n_embd, n_kv, bias);
    }
    if (h.extras.qk_norm) {
        norm("attn_q_norm", h.head);
        norm("attn_k_norm", h.head);
    }
    if (h.extras.gpt_oss) { norm("attn_sinks", h.n_heads); }
    linear("attn_output", n_q, h.n_embd, h.extras.gpt_oss);
    if (h.extras.post_norms) { norm("post_attention_norm", h.n_embd); }
}

void add_feed_forward(std::vector<TensorShape>& out, const Hyper& h, const std::string& blk) {
    const auto add = [&](std::string_view name, std::vector<uint64_t> dims) {
        out.push_back({fmt::format("{}{}", blk, name), std::move(dims)});
    };
    add(h.extras.gpt_oss ? "post_attention_norm.weight" : "ffn_norm.weight", {h.n_embd});
    if (h.extras.n_expert != 0) {
        add("ffn_gate_inp.weight", {h.n_embd, h.extras.n_expert});
        add("ffn_gate_exps.weight", {h.n_embd, h.n_ff, h.extras.n_expert});
        add("ffn_up_exps.weight", {h.n_embd, h.n_ff, h.extras.n_expert});
        add("ffn_down_exps.weight", {h.n_ff, h.n_embd, h.extras.n_expert});
    } else if (h.extras.fused) {
        add("ffn_up.weight", {h.n_embd, uint64_t(2) * h.n_ff});
        add("ffn_down.weight", {h.n_ff, h.n_embd});
    } else {
        add("ffn_gate.weight", {h.n_embd, h.n_ff});
        add("ffn_up.weight", {h.n_embd, h.n_ff});
        add("ffn_down.weight", {h.n_ff, h.n_embd});
    }
    if (h.extras.gpt_oss) {
        add("ffn_gate_inp.bias", {h.extras.n_expert});
        add("ffn_gate_exps.bias", {h.n_ff, h.extras.n_expert});
        add("ffn_up_exps.bias", {h.n_ff, h.extras.n_expert});
        add("ffn_down_exps.bias", {h.n_embd, h.extras.n_expert});
    }
    if (h.extras.post_norms) { add("post_ffw_norm.weight", {h.n_embd}); }
}

}  // namespace

std::span<const NamedShape> named_shapes() { return summaries; }

Result<Shape> named_shape(std::string_view name) {
    const auto* const h = std::ranges::find(shapes, name, &Hyper::name);
    if (h == std::end(shapes)) {
        std::vector<std::string_view> names;
        for (const NamedShape& s : summaries) { names.push_back(s.name); }
        return Error{ErrorCode::argument,
                     fmt::format("'{}' is no model whose shape is known", name),
                     {},
                     fmt::format("Known: {}", fmt::join(names, ", "))};
    }
    Shape shape;
    set_keys(shape.metadata, *h);
    set_placeholder_tokenizer(shape.metadata, h->n_vocab);
    shape.tensors.push_back({"token_embd.weight", {h->n_embd, h->n_vocab}});
    for (uint32_t il = 0; il < h->n_layers; il++) {
        const std::string blk = fmt::format("blk.{}.", il);
        add_attention(shape.tensors, *h, blk);
        add_feed_forward(shape.tensors, *h, blk);
    }
    shape.tensors.push_back({"output_norm.weight", {h->n_embd}});
    if (!h->extras.tied) { shape.tensors.push_back({"output.weight", {h->n_embd, h->n_vocab}}); }
    if (h->extras.llama3_factor != 0) {
        shape.tensors.push_back({"rope_freqs.weight", {h->head / 2}, llama3_divisors(*h)});
    }
    return shape;
}

TensorShape shape_of(const gguf::Tensor& tensor) {
    return {tensor.name, {tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims}, {}, tensor.type};
}

Result<Shape> shape_like(const gguf::WeightSource& source) {
    constexpr uint64_t max_factors = 1u << 16;  // rotary dimensions stay far below
    Shape shape;
    shape.metadata.copy(source.metadata());
    for (const std::string_view key : gguf::split_keys) { shape.metadata.remove(key); }
    for (const gguf::Tensor& tensor : source.tensors()) {
        TensorShape s = shape_of(tensor);
        if (tensor.name.starts_with("rope_")) { WALLABY_TRY(s.values, gguf::read_floats(source, tensor, max_factors)); }
        shape.tensors.push_back(std::move(s));
    }
    return shape;
}

void set_placeholder_tokenizer(gguf::Draft& metadata, uint32_t n_vocab) {
    std::vector<std::string> texts{"<unk>", "<s>", "</s>"};
    std::vector<int32_t> types{2, 3, 3};  // unknown, control, control
    texts.reserve(n_vocab);
    for (int byte = 0; byte < 256; byte++) { texts.push_back(fmt::format("<0x{:02X}>", byte)); }
    types.resize(texts.size(), 6);  // byte
    texts.emplace_back("\u2581");   // a space
    for (char c = '!'; c <= '~'; c++) { texts.emplace_back(1, c); }
    // Words of two letters, then of three …: each is made of earlier ones, so that merging by score reaches it.
    for (std::string word = "aa"; texts.size() < n_vocab;) {
        texts.push_back(word);
        size_t i = word.size();
        while (i > 0 && word[i - 1] == 'z') { word[--i] = 'a'; }
        if (i > 0) {
            word[i - 1]++;
        } else {
            word.push_back('a');
        }
    }
    types.resize(texts.size(), 1);  // normal
    std::vector<float> scores;
    for (size_t i = 0; i < texts.size(); i++) { scores.push_back(-float(i)); }
    metadata.set("tokenizer.ggml.model", "llama");
    metadata.set_array("tokenizer.ggml.tokens", std::span<const std::string>(texts));
    metadata.set_array("tokenizer.ggml.scores", std::span<const float>(scores));
    metadata.set_array("tokenizer.ggml.token_type", std::span<const int32_t>(types));
    metadata.set("tokenizer.ggml.bos_token_id", 1u).set("tokenizer.ggml.eos_token_id", 2u);
    metadata.set("tokenizer.ggml.unknown_token_id", 0u);
}

}  // namespace wallaby::convert
