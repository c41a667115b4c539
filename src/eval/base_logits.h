// Logits of a base model on a text, in a file: what other models are compared with. A format of our own, little-endian,
// version 1:
//
//     offset  0  8 bytes  "WLBLOGIT"
//             8  u32      version, 1
//            12  u32      n_vocab       logits of a row
//            16  u32      n_ctx         tokens of a chunk, at least 3
//            20  u32      first         first scored position of a chunk, below n_ctx − 1
//            24  u32      n_chunks      at least 1
//            28  u32      0
//            32  u64      digest of the vocabulary: vocabulary_digest()
//            40  i32      tokens [n_chunks][n_ctx], as evaluated (BOS in its place), each from 0 to n_vocab − 1
//                f32      logits [n_chunks][n_ctx − 1 − first][n_vocab], finite
//
// and nothing after it. llama-perplexity's own file keeps 16 bits per log-probability, which a difference of Q8_0
// drowns in; whole floats make equal models differ by exactly 0. It costs 4 bytes × n_vocab a scored token.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "eval/chunks.h"

namespace wallaby::eval {

// What every such file begins with.
inline constexpr std::string_view base_magic = "WLBLOGIT";

// Tells vocabularies of equal size apart: FNV-1a over the tokens' lengths and texts.
uint64_t vocabulary_digest(const text::Tokenizer& tokenizer);

// Writes a file as its rows come; nothing is left behind unless commit() succeeds.
class BaseWriter {
  public:
    // chunks must outlive the writer.
    static Result<BaseWriter> create(const std::string& path, const Chunks& chunks, uint32_t n_vocab, uint64_t digest);
    static uint64_t file_bytes(const Chunks& chunks, uint32_t n_vocab);

    // The rows in the order that score() hands them on.
    Result<void> add(std::span<const float> logits);
    // Fails when rows are missing.
    Result<void> commit();

  private:
    BaseWriter(base::AtomicFile file, uint64_t n_rows, uint32_t n_vocab)
        : file_(std::move(file)), n_left_(n_rows), n_vocab_(n_vocab) {}
    base::AtomicFile file_;
    uint64_t n_left_;
    uint32_t n_vocab_;
};

// Reads one row at a time. Everything but the logits is checked when it is opened, the logits as they are used.
class BaseReader {
  public:
    static Result<BaseReader> open(std::unique_ptr<base::ByteSource> source);

    const std::string& name() const { return source_->name(); }
    const Chunks& chunks() const { return chunks_; }
    uint32_t n_vocab() const { return n_vocab_; }
    uint64_t digest() const { return digest_; }
    // Scored position `index` of chunk `chunk`. The span holds until the next call.
    Result<std::span<const float>> row(size_t chunk, size_t index);

  private:
    std::unique_ptr<base::ByteSource> source_;
    Chunks chunks_;
    uint32_t n_vocab_ = 0;
    uint64_t digest_ = 0;
    std::vector<float> row_;
};

}  // namespace wallaby::eval
