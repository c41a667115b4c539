#include "eval/chunks.h"

#include <algorithm>

namespace wallaby::eval {
namespace {

Result<void> check(uint32_t n_ctx, std::optional<uint32_t> max_chunks) {
    if (n_ctx < min_n_ctx) {
        return Error{ErrorCode::argument,
                     fmt::format("a chunk has {} tokens, but needs at least {}", n_ctx, min_n_ctx),
                     {"", "-c", {}},
                     ""};
    }
    if (max_chunks && *max_chunks == 0) {
        return Error{ErrorCode::argument, "is 0", {"", "--chunks", {}}, "Ask for one chunk or more"};
    }
    return {};
}

Error too_short(size_t n_tokens, uint32_t n_ctx, std::string_view more = "") {
    return Error{ErrorCode::capacity,
                 fmt::format("the text has {} tokens, but a chunk has {}{}", n_tokens, n_ctx, more),
                 {"", "-c", {}},
                 "Use a longer text or a smaller -c"};
}

}  // namespace

Result<Chunks> cut(std::span<const int32_t> tokens, uint32_t n_ctx, std::optional<uint32_t> max_chunks,
                   std::optional<int32_t> bos) {
    WALLABY_OK(check(n_ctx, max_chunks));
    if (tokens.size() < n_ctx) { return too_short(tokens.size(), n_ctx); }
    size_t n_chunks = tokens.size() / n_ctx;
    if (max_chunks) { n_chunks = std::min<size_t>(n_chunks, *max_chunks); }
    const auto taken = tokens.first(n_chunks * n_ctx);
    Chunks chunks{{taken.begin(), taken.end()}, n_ctx, n_ctx / 2, n_ctx};
    if (bos) {
        for (size_t i = 0; i < n_chunks; i++) { chunks.tokens[i * n_ctx] = *bos; }
    }
    return chunks;
}

Result<Chunks> cut_with_stride(std::span<const int32_t> tokens, uint32_t n_ctx, uint32_t stride,
                               std::optional<uint32_t> max_chunks) {
    WALLABY_OK(check(n_ctx, max_chunks));
    if (stride == 0 || stride >= n_ctx) {
        return Error{ErrorCode::argument,
                     fmt::format("is {}, but must be 1 to {}: a chunk has {} tokens", stride, n_ctx - 1, n_ctx),
                     {"", "--stride", {}},
                     ""};
    }
    if (tokens.size() <= n_ctx) { return too_short(tokens.size(), n_ctx, ", and one must come after it"); }
    size_t n_chunks = (tokens.size() - n_ctx - 1) / stride + 1;
    if (max_chunks) { n_chunks = std::min<size_t>(n_chunks, *max_chunks); }
    const auto taken = tokens.first((n_chunks - 1) * stride + n_ctx);
    return Chunks{{taken.begin(), taken.end()}, n_ctx, n_ctx - 1 - stride, stride};
}

Result<uint32_t> n_ctx_with_stride(uint32_t n_ctx, uint32_t stride) {
    const uint64_t sum = uint64_t(n_ctx) + stride / 2;
    if (sum > INT32_MAX) {
        return Error{ErrorCode::argument, fmt::format("makes chunks of {} tokens", sum), {"", "--stride", {}}, ""};
    }
    return uint32_t(sum);
}

Result<Chunks> cut_text(const engine::Model& model, std::string_view text, uint32_t n_ctx,
                        std::optional<uint32_t> max_chunks, uint32_t stride) {
    WALLABY_TRY(const text::Tokenizer* tokenizer, model.tokenizer());
    WALLABY_TRY(std::vector<int32_t> tokens, tokenizer->encode(text, {.add_special = true, .parse_special = false}));
    if (tokenizer->add_eos() && !tokens.empty()) { tokens.pop_back(); }
    if (stride != 0) { return cut_with_stride(tokens, n_ctx, stride, max_chunks); }
    return cut(tokens, n_ctx, max_chunks, tokenizer->add_bos() ? tokenizer->bos() : std::nullopt);
}

Result<void> score(engine::Session& session, const Chunks& chunks, size_t chunk, const RowSink& sink,
                   const std::stop_token& stop) {
    const auto tokens = chunks.chunk(chunk);
    session.truncate(0);
    WALLABY_OK(session.append(tokens.first(chunks.first)));
    const auto row = [&](size_t i, std::span<const float> logits) {
        return sink({chunk, i, tokens[chunks.first + i + 1], logits});
    };
    return session.score(tokens.subspan(chunks.first, chunks.n_scored()), row, stop);
}

}  // namespace wallaby::eval
