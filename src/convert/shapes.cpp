#include "convert/shapes.h"

#include <algorithm>
#include <array>

#include "convert/hyper.h"
#include "gguf/shards.h"

namespace wallaby::convert {
namespace {

constexpr std::array<uint32_t, 3> tiny_windowed{1, 0, 1};

constexpr Scaling llama3(float factor) {
    return {.kind = Scaling::Kind::llama3, .factor = factor, .n_ctx_original = 8192};
}

struct Row {
    std::string_view name;
    Hyper hyper;
    std::string_view summary;
};

// Sizes from the models' published config.json (Hugging Face).
// clang-format off
constexpr Row shapes[] = {
    // name, {family, vocabulary, width, layers, heads, KV heads, head, feed-forward, context, RoPE base, epsilon}
    {"tinyllama-1.1b", {family::llama,     32000, 2048, 22, 32,  4,  64,  5632,   2048, 1e4f, 1e-5f}, "TinyLlama 1.1B"},
    {"llama-1-7b",     {family::llama,     32000, 4096, 32, 32, 32, 128, 11008,   2048, 1e4f, 1e-6f}, "LLaMA 7B"},
    {"llama-1-13b",    {family::llama,     32000, 5120, 40, 40, 40, 128, 13824,   2048, 1e4f, 1e-6f}, "LLaMA 13B"},
    {"llama-1-33b",    {family::llama,     32000, 6656, 60, 52, 52, 128, 17920,   2048, 1e4f, 1e-6f}, "LLaMA 33B"},
    {"llama-1-65b",    {family::llama,     32000, 8192, 80, 64, 64, 128, 22016,   2048, 1e4f, 1e-5f}, "LLaMA 65B"},
    {"llama-2-7b",     {family::llama,     32000, 4096, 32, 32, 32, 128, 11008,   4096, 1e4f, 1e-5f}, "Llama 2 7B"},
    {"llama-2-13b",    {family::llama,     32000, 5120, 40, 40, 40, 128, 13824,   4096, 1e4f, 1e-5f}, "Llama 2 13B"},
    {"llama-2-70b",    {family::llama,     32000, 8192, 80, 64,  8, 128, 28672,   4096, 1e4f, 1e-5f}, "Llama 2 70B"},
    {"llama-3.1-8b",   {family::llama,    128256, 4096, 32, 32,  8, 128, 14336, 131072, 5e5f, 1e-5f,
                        {.scaling = llama3(8)}}, "Llama 3.1 8B"},
    {"llama-3.1-70b",  {family::llama,    128256, 8192, 80, 64,  8, 128, 28672, 131072, 5e5f, 1e-5f,
                        {.scaling = llama3(8)}}, "Llama 3.1 70B"},
    {"llama-3.2-1b",   {family::llama,    128256, 2048, 16, 32,  8,  64,  8192, 131072, 5e5f, 1e-5f,
                        {.tied = true, .scaling = llama3(32)}}, "Llama 3.2 1B"},
    {"llama-3.2-3b",   {family::llama,    128256, 3072, 28, 24,  8, 128,  8192, 131072, 5e5f, 1e-5f,
                        {.tied = true, .scaling = llama3(32)}}, "Llama 3.2 3B"},
    {"mistral-7b",     {family::llama,     32768, 4096, 32, 32,  8, 128, 14336,  32768, 1e6f, 1e-5f}, "Mistral 7B v0.3"},
    {"mixtral-8x7b",   {family::llama,     32000, 4096, 32, 32,  8, 128, 14336,  32768, 1e6f, 1e-5f,
                        {.n_expert = 8, .n_used = 2}}, "Mixtral 8x7B: 8 experts, 2 used"},
    {"qwen2.5-0.5b",   {family::qwen2,    151936,  896, 24, 14,  2,  64,  4864,  32768, 1e6f, 1e-6f,
                        {.tied = true}}, "Qwen2.5 0.5B"},
    {"qwen2.5-7b",     {family::qwen2,    152064, 3584, 28, 28,  4, 128, 18944,  32768, 1e6f, 1e-6f}, "Qwen2.5 7B"},
    {"qwen3-0.6b",     {family::qwen3,    151936, 1024, 28, 16,  8, 128,  3072,  40960, 1e6f, 1e-6f,
                        {.tied = true}}, "Qwen3 0.6B"},
    {"qwen3-8b",       {family::qwen3,    151936, 4096, 36, 32,  8, 128, 12288,  40960, 1e6f, 1e-6f}, "Qwen3 8B"},
    {"qwen3-30b-a3b",  {family::qwen3moe, 151936, 2048, 48, 32,  4, 128,   768,  40960, 1e6f, 1e-6f,
                        {.n_expert = 128, .n_used = 8}}, "Qwen3 30B-A3B: 128 experts, 8 used"},
    {"moe-7b-a1b",     {family::qwen3moe,  50304, 2048, 16, 16, 16, 128,  1024,   4096, 1e4f, 1e-5f,
                        {.n_expert = 64, .n_used = 8}},
     "no published model, of OLMoE's size: 1.3B of 6.9B active, 64 experts, 8 used"},
    {"gemma-2-2b",     {family::gemma2,   256000, 2304, 26,  8,  4, 256,  9216,   8192, 1e4f, 1e-6f,
                        {.tied = true, .window = 4096, .score_cap = 50.0f, .logit_cap = 30.0f}}, "Gemma 2 2B"},
    {"gemma-3-1b",     {family::gemma3,   262144, 1152, 26,  4,  1, 256,  6912,  32768, 1e6f, 1e-6f,
                        {.tied = true, .window = 512}}, "Gemma 3 1B"},
    {"phi-3-mini",     {family::phi3,      32064, 3072, 32, 32, 32,  96,  8192,   4096, 1e4f, 1e-5f,
                        {.window = 2047}}, "Phi-3 mini 4k"},
    {"gpt-oss-20b",    {family::gpt_oss,  201088, 2880, 24, 64,  8,  64,  2880, 131072, 1.5e5f, 1e-5f,
                        {.n_expert = 32, .n_used = 4, .window = 128,
                         .scaling = {.kind = Scaling::Kind::yarn, .factor = 32, .n_ctx_original = 4096}}},
     "gpt-oss 20B: 32 experts, 4 used"},
    {"olmo-2-7b",      {family::olmo2,    100352, 4096, 32, 32, 32, 128, 11008,   4096, 5e5f, 1e-6f}, "OLMo 2 7B"},
    {"gpt2",           {family::gpt2,      50257,  768, 12, 12, 12,  64,  3072,   1024,    0, 1e-5f,
                        {.tied = true}}, "GPT-2, the smallest"},
    {"tiny-dense",     {family::llama,       512,  512,  3,  8,  2,  64,   768,   4096, 1e4f, 1e-5f}, "for tests"},
    {"tiny-moe",       {family::llama,       512,  512,  3,  8,  2,  64,   768,   4096, 1e4f, 1e-5f,
                        {.n_expert = 4, .n_used = 2}}, "for tests: 4 experts, 2 used"},
    {"tiny-window",    {family::gemma3,      512,  512,  3,  8,  2,  64,   768,   4096, 1e4f, 1e-6f,
                        {.window = 8, .windowed = tiny_windowed}}, "for tests: the first and third layer see 8 keys"},
};
// clang-format on

constexpr auto summaries = [] {
    std::array<NamedShape, std::size(shapes)> out;
    for (size_t i = 0; i < out.size(); i++) {
        out[i] = {shapes[i].name, shapes[i].summary};
    }
    return out;
}();

}  // namespace

std::span<const NamedShape> named_shapes() { return summaries; }

Result<Shape> named_shape(std::string_view name, bool with_tokenizer) {
    const auto* const row = std::ranges::find(shapes, name, &Row::name);
    if (row != std::end(shapes)) { return make_shape(row->hyper, with_tokenizer); }
    std::vector<std::string_view> names;
    for (const NamedShape& s : summaries) { names.push_back(s.name); }
    return Error{ErrorCode::argument,
                 fmt::format("'{}' is no model whose shape is known", name),
                 {},
                 fmt::format("Known: {}", fmt::join(names, ", "))};
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
