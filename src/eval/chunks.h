// What is scored: a text cut into chunks as llama-perplexity cuts it, each evaluated in a sequence of its own. The
// first half of a chunk is context only; the tokens of the second half are predicted. With a stride, chunks overlap and
// begin a stride apart, and the last `stride` tokens of each are predicted: every token from more context, at the price
// of evaluating it several times.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string_view>
#include <vector>

#include "engine/session.h"

namespace wallaby::eval {

struct Chunks {
    std::vector<int32_t> tokens;  // step tokens for each chunk, and what the last has more than that
    uint32_t n_ctx = 0;           // tokens of a chunk: at least 3, so that one is scored
    uint32_t first = 0;           // position of the first logits that are scored, against the token after it
    uint32_t step = 0;            // from a chunk's first token to the next one's; n_ctx where chunks do not overlap

    size_t n_chunks() const { return (tokens.size() - n_ctx) / step + 1; }
    size_t n_scored() const { return n_ctx - 1 - first; }  // of one chunk: the last position has no next token
    std::span<const int32_t> chunk(size_t i) const { return std::span(tokens).subspan(i * step, n_ctx); }
};

inline constexpr uint32_t min_n_ctx = 3;

// The first max_chunks (all, without it) whole chunks; a rest is left out, fewer tokens than one chunk are an error
// with both numbers. `bos` takes the place of each chunk's first token.
Result<Chunks> cut(std::span<const int32_t> tokens, uint32_t n_ctx, std::optional<uint32_t> max_chunks,
                   std::optional<int32_t> bos);

// Chunks of n_ctx tokens, `stride` apart, for as long as there is a token beyond the last one's. None of them but the
// text's own beginning has BOS: llama-perplexity puts it there after evaluating.
Result<Chunks> cut_with_stride(std::span<const int32_t> tokens, uint32_t n_ctx, uint32_t stride,
                               std::optional<uint32_t> max_chunks);
// How many tokens the chunks of `-c n_ctx` have with a stride: llama-perplexity's number.
Result<uint32_t> n_ctx_with_stride(uint32_t n_ctx, uint32_t stride);

// The same of a text: control tokens spelled out in it are text, and BOS opens text and chunks where the file's policy
// adds it. An EOS that the policy adds is no part of what is scored. stride: 0 for none.
Result<Chunks> cut_text(const engine::Model& model, std::string_view text, uint32_t n_ctx,
                        std::optional<uint32_t> max_chunks, uint32_t stride = 0);

struct ScoredRow {
    size_t chunk;  // 0 …
    size_t index;  // of the chunk's scored positions
    int32_t next;  // the token that follows
    std::span<const float> logits;
};
using RowSink = std::function<Result<void>(const ScoredRow&)>;

// Evaluates a chunk and hands on each scored position. The session is emptied first and left with the chunk.
Result<void> score(engine::Session& session, const Chunks& chunks, size_t chunk, const RowSink& sink,
                   const std::stop_token& stop);

}  // namespace wallaby::eval
