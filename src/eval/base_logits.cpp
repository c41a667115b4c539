#include "eval/base_logits.h"

#include <array>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/hash.h"

namespace wallaby::eval {
namespace {

constexpr uint32_t version = 1;
constexpr uint64_t header_bytes = 40;

std::span<const uint8_t> bytes_of(const auto& values) {
    return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(values[0])};
}

// Bytes of a whole file; nothing when that is no number of 64 bits.
std::optional<uint64_t> whole_size(uint64_t n_chunks, uint64_t n_ctx, uint64_t n_scored, uint64_t n_vocab) {
    const auto per_chunk = base::checked_mul(4 * n_scored, n_vocab);  // n_scored is below 2^32
    const auto with_tokens = per_chunk ? base::checked_add(*per_chunk, 4 * n_ctx) : std::nullopt;
    const auto chunks = with_tokens ? base::checked_mul(*with_tokens, n_chunks) : std::nullopt;
    return chunks ? base::checked_add(*chunks, header_bytes) : std::nullopt;
}

Error malformed(const base::ByteSource& source, std::string field, uint64_t offset, std::string what) {
    return Error{ErrorCode::format,
                 std::move(what),
                 {source.name(), std::move(field), offset},
                 "Write it anew with --save-base"};
}

}  // namespace

uint64_t vocabulary_digest(const text::Tokenizer& tokenizer) {
    std::string all;
    for (int32_t id = 0; id < tokenizer.n_tokens(); id++) {
        const std::string_view text = tokenizer.token_text(id);
        all += fmt::format("{}:", text.size());
        all += text;
    }
    return base::fnv1a(all);
}

uint64_t BaseWriter::file_bytes(const Chunks& chunks, uint32_t n_vocab) {
    return header_bytes + 4 * chunks.tokens.size() + 4 * uint64_t(n_vocab) * chunks.n_scored() * chunks.n_chunks();
}

Result<BaseWriter> BaseWriter::create(const std::string& path, const Chunks& chunks, uint32_t n_vocab,
                                      uint64_t digest) {
    WALLABY_TRY(base::AtomicFile file, base::AtomicFile::create(path));
    const std::array<uint32_t, 6> numbers{version, n_vocab, chunks.n_ctx, chunks.first, uint32_t(chunks.n_chunks()), 0};
    WALLABY_OK(file.write(bytes_of(base_magic)));
    WALLABY_OK(file.write(bytes_of(numbers)));
    WALLABY_OK(file.write(bytes_of(std::array{digest})));
    WALLABY_OK(file.write(bytes_of(chunks.tokens)));
    return BaseWriter(std::move(file), uint64_t(chunks.n_chunks()) * chunks.n_scored(), n_vocab);
}

Result<void> BaseWriter::add(std::span<const float> logits) {
    if (logits.size() != n_vocab_ || n_left_ == 0) {
        return Error{ErrorCode::argument, "a row of logits that the file's header does not announce", {}, ""};
    }
    n_left_--;
    return file_.write(bytes_of(logits));
}

Result<void> BaseWriter::commit() {
    if (n_left_ != 0) {
        return Error{ErrorCode::argument, fmt::format("{} rows of logits are missing", n_left_), {}, ""};
    }
    return file_.commit();
}

Result<BaseReader> BaseReader::open(std::unique_ptr<base::ByteSource> source) {
    std::array<uint8_t, header_bytes> header{};
    WALLABY_OK(source->read(0, header));
    if (std::memcmp(header.data(), base_magic.data(), base_magic.size()) != 0) {
        const bool is_llama_cpp = std::memcmp(header.data(), "_logits_", 8) == 0;
        return Error{is_llama_cpp ? ErrorCode::unsupported : ErrorCode::format,
                     is_llama_cpp ? "is a file of llama-perplexity's log-probabilities, which this build does not read"
                                  : "is no file of base logits",
                     {source->name(), "", 0},
                     "Write one with --save-base"};
    }
    const auto number = [&](size_t offset) { return base::load_le<uint32_t>(header.data() + offset); };
    if (number(8) != version) {
        return Error{ErrorCode::unsupported,
                     fmt::format("is {}, but this build reads version {}", number(8), version),
                     {source->name(), "version", 8},
                     "Write it anew with --save-base"};
    }
    BaseReader reader;
    reader.n_vocab_ = number(12);
    reader.chunks_.n_ctx = reader.chunks_.step = number(16);
    reader.chunks_.first = number(20);
    const uint32_t n_chunks = number(24);
    reader.digest_ = base::load_le<uint64_t>(header.data() + 32);
    const uint32_t n_ctx = reader.chunks_.n_ctx;
    if (reader.n_vocab_ == 0 || reader.n_vocab_ > INT32_MAX) {
        return malformed(*source, "n_vocab", 12, fmt::format("is {}", reader.n_vocab_));
    }
    if (n_ctx < min_n_ctx || n_ctx > INT32_MAX) { return malformed(*source, "n_ctx", 16, fmt::format("is {}", n_ctx)); }
    if (reader.chunks_.first >= n_ctx - 1) {
        return malformed(*source, "first", 20,
                         fmt::format("is {}, but chunks have {} tokens", reader.chunks_.first, n_ctx));
    }
    if (n_chunks == 0) { return malformed(*source, "n_chunks", 24, "is 0"); }
    if (number(28) != 0) { return malformed(*source, "reserved", 28, fmt::format("is {}, not 0", number(28))); }
    const auto size = whole_size(n_chunks, n_ctx, reader.chunks_.n_scored(), reader.n_vocab_);
    if (!size || *size != source->size()) {
        return malformed(*source, "", source->size(),
                         fmt::format("{} bytes announced, but there are {}",
                                     size ? fmt::format("{}", *size) : std::string("more than 2^64"), source->size()));
    }
    // No more than the file holds, by the check above.
    std::vector<int32_t>& tokens = reader.chunks_.tokens;
    tokens.resize(size_t(n_chunks) * n_ctx);
    WALLABY_OK(source->read(header_bytes, {reinterpret_cast<uint8_t*>(tokens.data()), 4 * tokens.size()}));
    for (size_t i = 0; i < tokens.size(); i++) {
        if (uint32_t(tokens[i]) >= reader.n_vocab_) {  // negative ones too
            return malformed(*source, "tokens", header_bytes + 4 * i,
                             fmt::format("token {} is not one of {}", tokens[i], reader.n_vocab_));
        }
    }
    reader.source_ = std::move(source);
    return reader;
}

Result<std::span<const float>> BaseReader::row(size_t chunk, size_t index) {
    row_.resize(n_vocab_);  // a row is part of the file, by the check of its size
    const uint64_t n_rows_before = uint64_t(chunk) * chunks_.n_scored() + index;
    const uint64_t offset = header_bytes + 4 * uint64_t(chunks_.tokens.size()) + 4 * uint64_t(n_vocab_) * n_rows_before;
    WALLABY_OK(source_->read(offset, {reinterpret_cast<uint8_t*>(row_.data()), 4 * row_.size()}));
    for (size_t i = 0; i < row_.size(); i++) {
        if (!std::isfinite(row_[i])) {
            return malformed(*source_, "logits", offset + 4 * i, fmt::format("token {} has {}", i, row_[i]));
        }
    }
    return std::span<const float>(row_);
}

}  // namespace wallaby::eval
