// The token list of a GGUF file: texts, types, scores and the tokens with a role, checked once and immutable after.
// Keys and their meaning: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (tokenizer.ggml.*).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/metadata.h"
#include "text/pieces.h"

namespace wallaby::text {

inline constexpr uint64_t max_tokens = 1u << 24;
inline constexpr size_t max_piece_bytes = 1u << 16;  // of one token's text; real ones stay below 1 KiB

enum class TokenType : uint8_t {
    undefined = 0,  // also in files; treated as unused
    normal = 1,
    unknown = 2,
    control = 3,       // <s>, <|im_end|>: never made from plain text, not part of a rendered text
    user_defined = 4,  // added by hand: found in text before everything else, part of a rendered text
    unused = 5,
    byte = 6,  // "<0x0A>": one byte
};

// The byte that a token spelled "<0xHH>" stands for.
std::optional<uint8_t> spelled_byte(std::string_view text);

// Which rules the file's tokenizer follows (tokenizer.ggml.model).
enum class Scheme : uint8_t {
    spm,        // "llama": SentencePiece's BPE: merges by score, bytes as a fallback
    bpe,        // "gpt2": byte-level BPE: merges by rank
    char_bpe,   // "gemma4": BPE over characters: merges by rank, bytes as a fallback
    wordpiece,  // "bert": the longest pieces of a word from its left
    unigram,    // "t5": the pieces whose scores add up best
};

// Tokens with a role; nothing where the vocabulary has none.
enum class Role : uint8_t {
    bos,
    eos,
    eot,
    eom,
    unk,
    sep,
    pad,
    mask,
    fim_pre,
    fim_suf,
    fim_mid,
    fim_pad,
    fim_rep,
    fim_sep
};
inline constexpr size_t num_roles = 14;

class Vocabulary {
  public:
    // Refuses, naming the key: no tokens, more than max_tokens, texts over max_piece_bytes; scores or types of another
    // number than tokens; scores missing (spm and unigram) or not a number; unknown types; byte tokens that are not
    // "<0xHH>"; roles given to a token that does not exist (0xffffffff and -1 mean none).
    static Result<Vocabulary> load(const gguf::Metadata& metadata, Scheme scheme);

    Scheme scheme() const { return scheme_; }
    int32_t n_tokens() const { return int32_t(types_.size()); }
    bool has(int32_t id) const { return id >= 0 && id < n_tokens(); }
    // The following want an id that has() accepts.
    std::string_view text(int32_t id) const { return texts_[size_t(id)]; }
    TokenType type(int32_t id) const { return types_[size_t(id)]; }
    float score(int32_t id) const { return scores_[size_t(id)]; }  // spm and unigram only
    bool is_eog(int32_t id) const { return is_eog_[size_t(id)]; }
    uint8_t byte_value(int32_t id) const;  // of a token of type byte

    // Tokens that reading plain text may give. The others come from their own text only where special tokens are
    // parsed.
    bool is_plain(int32_t id) const;
    // The first token of that text, whatever its type.
    std::optional<int32_t> find(std::string_view text) const { return index_.find(texts_, text); }
    // The token of a single byte, "<0xHH>".
    std::optional<int32_t> byte_token(uint8_t byte) const;
    std::optional<int32_t> role(Role role) const;
    const Pieces& texts() const { return texts_; }

  private:
    Vocabulary() = default;
    Result<void> load_texts(const gguf::Metadata& metadata);
    Result<void> load_types(const gguf::Metadata& metadata);
    Result<void> load_scores(const gguf::Metadata& metadata);
    Result<void> load_roles(const gguf::Metadata& metadata);
    Result<void> index_bytes(const gguf::Metadata& metadata);
    void name_roles();
    void mark_end_of_generation();
    bool may_have_role(int32_t id) const;

    Scheme scheme_ = Scheme::spm;
    Pieces texts_;
    PieceIndex index_;
    std::vector<TokenType> types_;
    std::vector<float> scores_;
    std::vector<bool> is_eog_;
    bool has_types_ = false;  // false: the file says nothing of types, and all tokens count as normal
    std::array<int32_t, num_roles> roles_{};
    std::array<int32_t, 256> bytes_{};
};

}  // namespace wallaby::text
