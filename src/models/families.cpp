#include <algorithm>
#include <array>

#include "models/builder.h"
#include "models/models.h"

namespace wallaby::models {

// Each defined in its family's file. A new family is that file, and here its declaration and its row.
Result<ops::Model> build_gemma2(Builder& b);
Result<ops::Model> build_gemma3(Builder& b);
Result<ops::Model> build_gpt2(Builder& b);
Result<ops::Model> build_gpt_oss(Builder& b);
Result<ops::Model> build_llama(Builder& b);
Result<ops::Model> build_mamba2(Builder& b);
Result<ops::Model> build_mistral3(Builder& b);
Result<ops::Model> build_olmo2(Builder& b);
Result<ops::Model> build_phi3(Builder& b);
Result<ops::Model> build_qwen2(Builder& b);
Result<ops::Model> build_qwen3(Builder& b);
Result<ops::Model> build_qwen3moe(Builder& b);

namespace {

struct Family {
    std::string_view architecture;
    Result<ops::Model> (*build)(Builder&);
};

// clang-format off
constexpr std::array families{
    Family{"gemma2", build_gemma2},
    Family{"gemma3", build_gemma3},
    Family{"gpt-oss", build_gpt_oss},
    Family{"gpt2", build_gpt2},
    Family{"llama", build_llama},
    Family{"mamba2", build_mamba2},
    Family{"mistral3", build_mistral3},
    Family{"olmo2", build_olmo2},
    Family{"phi3", build_phi3},
    Family{"qwen2", build_qwen2},
    Family{"qwen3", build_qwen3},
    Family{"qwen3moe", build_qwen3moe},
};
// clang-format on

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
