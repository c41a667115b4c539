#include "models/families.h"

#include <algorithm>
#include <array>

namespace wallaby::models {
namespace {

struct Family {
    std::string_view architecture;
    Result<ops::Model> (*build)(Builder&);
};

constexpr std::array families{
    Family{"gpt2", build_gpt2},
    Family{"llama", build_llama},
    Family{"mistral3", build_mistral3},
};

constexpr auto names = [] {
    std::array<std::string_view, families.size()> out;
    for (size_t i = 0; i < out.size(); i++) { out[i] = families[i].architecture; }
    return out;
}();

// The vocabulary's size: the embedding's rows. The tokenizer, where there is one, must have as many tokens.
void read_vocabulary(Builder& b) {
    const gguf::Tensor* embedding = b.source().find("token_embd.weight");
    if (embedding == nullptr || embedding->dims[1] > 1u << 24) {
        b.problem({ErrorCode::model,
                   embedding == nullptr ? "is missing" : "has more than 2^24 rows",
                   {b.source().metadata().file(), "tensor 'token_embd.weight'", {}},
                   embedding == nullptr ? "The file holds no complete model" : ""});
        return;
    }
    b.model().n_vocab = uint32_t(embedding->dims[1]);
    const gguf::Value* tokens = b.source().metadata().find("tokenizer.ggml.tokens");
    if (tokens != nullptr && tokens->type == gguf::ValueType::array && tokens->count != b.model().n_vocab) {
        b.problem(b.source().metadata().error(
            ErrorCode::model, "tokenizer.ggml.tokens",
            fmt::format("has {} tokens, but the embedding has {} rows", tokens->count, b.model().n_vocab)));
    }
}

}  // namespace

void refuse_short_window(Builder& b) {
    const uint32_t window = b.u32_or("attention.sliding_window", 0, 0, ~0u);
    if (window == 0 || b.options().n_ctx <= window) { return; }
    b.problem(b.source().metadata().error(
        ErrorCode::unsupported, b.key("attention.sliding_window"),
        fmt::format("is {}, and this family's sliding window is not implemented", window),
        fmt::format("Use -c {} or less: within the window the answer is the same", window)));
}

std::span<const std::string_view> known_architectures() { return names; }

Result<ops::Model> build(const gguf::WeightSource& source, const Options& options) {
    WALLABY_TRY(const std::string_view architecture, source.metadata().string("general.architecture"));
    const auto family =
        std::find_if(families.begin(), families.end(), [&](const Family& f) { return f.architecture == architecture; });
    if (family == families.end()) {
        return source.metadata().error(ErrorCode::unsupported, "general.architecture",
                                       fmt::format("is '{}', a family that this build does not run", architecture),
                                       fmt::format("It runs: {}", fmt::join(names, ", ")));
    }
    Builder b(source, options, architecture);
    b.model().n_ctx_train = b.u32("context_length", 1, 1u << 30);
    b.model().n_layers = b.u32("block_count", 1, 4096);
    read_vocabulary(b);
    if (b.failed()) { return b.finish(); }
    return family->build(b);
}

}  // namespace wallaby::models
