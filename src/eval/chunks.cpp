#include "eval/chunks.h"

#include <algorithm>

namespace wallaby::eval {

Result<Chunks> cut(std::span<const int32_t> tokens, uint32_t n_ctx, std::optional<uint32_t> max_chunks,
                   std::optional<int32_t> bos) {
    if (n_ctx < min_n_ctx) {
        return Error{ErrorCode::argument,
                     fmt::format("a chunk has {} tokens, but needs at least {}", n_ctx, min_n_ctx),
                     {"", "-c", {}},
                     ""};
    }
    if (max_chunks && *max_chunks == 0) {
        return Error{ErrorCode::argument, "is 0", {"", "--chunks", {}}, "Ask for one chunk or more"};
    }
    if (tokens.size() < n_ctx) {
        return Error{ErrorCode::capacity,
                     fmt::format("the text has {} tokens, but a chunk has {}", tokens.size(), n_ctx),
                     {"", "-c", {}},
                     "Use a longer text or a smaller -c"};
    }
    size_t n_chunks = tokens.size() / n_ctx;
    if (max_chunks) { n_chunks = std::min<size_t>(n_chunks, *max_chunks); }
    const auto taken = tokens.first(n_chunks * n_ctx);
    Chunks chunks{{taken.begin(), taken.end()}, n_ctx, n_ctx / 2};
    if (bos) {
        for (size_t i = 0; i < n_chunks; i++) { chunks.tokens[i * n_ctx] = *bos; }
    }
    return chunks;
}

Result<Chunks> cut_text(const engine::Model& model, std::string_view text, uint32_t n_ctx,
                        std::optional<uint32_t> max_chunks) {
    WALLABY_TRY(const text::Tokenizer* tokenizer, model.tokenizer());
    WALLABY_TRY(std::vector<int32_t> tokens, tokenizer->encode(text, {.add_special = true, .parse_special = false}));
    if (tokenizer->add_eos() && !tokens.empty()) { tokens.pop_back(); }
    return cut(tokens, n_ctx, max_chunks, tokenizer->add_bos() ? tokenizer->bos() : std::nullopt);
}

Result<void> score(engine::Session& session, const Chunks& chunks, const RowSink& sink, const std::stop_token& stop) {
    for (size_t c = 0; c < chunks.n_chunks(); c++) {
        const auto tokens = chunks.chunk(c);
        session.truncate(0);
        WALLABY_OK(session.append(tokens.first(chunks.first)));
        const auto row = [&](size_t i, std::span<const float> logits) {
            return sink({c, i, tokens[chunks.first + i + 1], logits});
        };
        WALLABY_OK(session.score(tokens.subspan(chunks.first, chunks.n_scored()), row, stop));
    }
    return {};
}

}  // namespace wallaby::eval
