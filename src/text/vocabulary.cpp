#include "text/vocabulary.h"

#include <fmt/format.h>

#include <cmath>

namespace wallaby::text {

namespace {

constexpr std::string_view tokens_key = "tokenizer.ggml.tokens";
constexpr std::string_view types_key = "tokenizer.ggml.token_type";
constexpr std::string_view scores_key = "tokenizer.ggml.scores";
constexpr int32_t no_role = -1;

std::optional<uint8_t> hex_digit(char c) {
    if (c >= '0' && c <= '9') { return uint8_t(c - '0'); }
    if (c >= 'A' && c <= 'F') { return uint8_t(c - 'A' + 10); }
    if (c >= 'a' && c <= 'f') { return uint8_t(c - 'a' + 10); }
    return std::nullopt;
}

Error count_error(const gguf::Metadata& metadata, std::string_view key, size_t found, int32_t n_tokens) {
    return metadata.error(ErrorCode::model, key,
                          fmt::format("has {} elements, but {} has {}", found, tokens_key, n_tokens));
}

}  // namespace

std::optional<uint8_t> spelled_byte(std::string_view text) {
    if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') { return std::nullopt; }
    const auto high = hex_digit(text[3]);
    const auto low = hex_digit(text[4]);
    if (!high || !low) { return std::nullopt; }
    return uint8_t(*high << 4 | *low);
}

Result<Vocabulary> Vocabulary::load(const gguf::Metadata& metadata, Scheme scheme) {
    Vocabulary vocabulary;
    vocabulary.scheme_ = scheme;
    WALLABY_OK(vocabulary.load_texts(metadata));
    WALLABY_OK(vocabulary.load_types(metadata));
    WALLABY_OK(vocabulary.load_scores(metadata));
    WALLABY_OK(vocabulary.index_bytes(metadata));
    WALLABY_OK(vocabulary.load_roles(metadata));
    vocabulary.name_roles();
    vocabulary.mark_end_of_generation();
    return vocabulary;
}

Result<void> Vocabulary::load_texts(const gguf::Metadata& metadata) {
    WALLABY_TRY(const gguf::StringArray texts, metadata.strings(tokens_key));
    if (texts.size() == 0) { return metadata.error(ErrorCode::model, tokens_key, "the vocabulary is empty"); }
    if (texts.size() > max_tokens) {
        return metadata.error(ErrorCode::unsupported, tokens_key,
                              fmt::format("{} tokens are more than the {} supported", texts.size(), max_tokens));
    }
    texts_.reserve(texts.size());
    for (const std::string_view text : texts) {
        if (text.size() > max_piece_bytes) {
            return metadata.error(ErrorCode::unsupported, tokens_key,
                                  fmt::format("token {} is {} bytes long, more than the {} supported", texts_.size(),
                                              text.size(), max_piece_bytes));
        }
        texts_.add(text);
    }
    for (size_t id = 0; id < texts_.size(); id++) {
        if (!texts_[id].empty()) { index_.insert(texts_, int32_t(id)); }
    }
    types_.assign(texts_.size(), TokenType::normal);
    return {};
}

Result<void> Vocabulary::load_types(const gguf::Metadata& metadata) {
    has_types_ = metadata.has(types_key);
    if (!has_types_) { return {}; }
    WALLABY_TRY(const std::vector<int32_t> types, metadata.integers(types_key));
    if (types.size() != types_.size()) { return count_error(metadata, types_key, types.size(), n_tokens()); }
    for (size_t id = 0; id < types.size(); id++) {
        if (types[id] < 0 || types[id] > int32_t(TokenType::byte)) {
            return metadata.error(ErrorCode::model, types_key,
                                  fmt::format("token {} has unknown type {}", id, types[id]));
        }
        types_[id] = TokenType(types[id]);
    }
    return {};
}

Result<void> Vocabulary::load_scores(const gguf::Metadata& metadata) {
    const gguf::Value* value = metadata.find(scores_key);
    const bool needs_scores = scheme_ == Scheme::spm || scheme_ == Scheme::unigram;
    if (value == nullptr && !needs_scores) { return {}; }
    if (value != nullptr && value->is_array_of(gguf::ValueType::i32)) {
        WALLABY_TRY(const std::vector<int32_t> integers, metadata.integers(scores_key));
        scores_.assign(integers.begin(), integers.end());
    } else {
        WALLABY_TRY(scores_, metadata.floats(scores_key));
    }
    if (scores_.size() != types_.size()) { return count_error(metadata, scores_key, scores_.size(), n_tokens()); }
    for (size_t id = 0; id < scores_.size(); id++) {
        if (std::isnan(scores_[id])) {
            return metadata.error(ErrorCode::model, scores_key,
                                  fmt::format("the score of token {} is not a number", id));
        }
    }
    return {};
}

Result<void> Vocabulary::index_bytes(const gguf::Metadata& metadata) {
    bytes_.fill(no_role);
    for (int32_t id = 0; id < n_tokens(); id++) {
        if (type(id) != TokenType::byte) { continue; }
        const auto byte = spelled_byte(text(id));
        if (!byte) {
            return metadata.error(ErrorCode::model, tokens_key,
                                  fmt::format("token {} is typed as a byte but is not spelled <0xHH>", id));
        }
        if (bytes_[*byte] == no_role) { bytes_[*byte] = id; }
    }
    if (has_types_ || scheme_ == Scheme::bpe || scheme_ == Scheme::wordpiece) { return {}; }
    // Without types, what is spelled like a byte is one.
    for (int32_t id = 0; id < n_tokens(); id++) {
        const auto byte = spelled_byte(text(id));
        if (!byte) { continue; }
        types_[size_t(id)] = TokenType::byte;
        if (bytes_[*byte] == no_role) { bytes_[*byte] = id; }
    }
    return {};
}

uint8_t Vocabulary::byte_value(int32_t id) const { return spelled_byte(text(id)).value_or(0); }

bool Vocabulary::is_plain(int32_t id) const {
    switch (type(id)) {
        case TokenType::normal:
        case TokenType::user_defined:
        case TokenType::unused:
        case TokenType::undefined: return true;
        case TokenType::unknown:
        case TokenType::control:
        case TokenType::byte: return false;
    }
    return false;
}

std::optional<int32_t> Vocabulary::byte_token(uint8_t byte) const {
    if (bytes_[byte] == no_role) { return std::nullopt; }
    return bytes_[byte];
}

std::optional<int32_t> Vocabulary::role(Role role) const {
    const int32_t id = roles_[size_t(role)];
    if (id == no_role) { return std::nullopt; }
    return id;
}

}  // namespace wallaby::text
