// Text to token ids and back, by the vocabulary of a GGUF file.
//
// Byte-level BPE keeps any bytes: decode(encode(x)) == x for every x, also where x is not UTF-8 (a byte that is not
// part of a character is a word of its own). SentencePiece vocabularies and gemma4's keep any bytes too where they have
// byte tokens, but read U+2581 as a space. WordPiece and Unigram lose what their models do not see.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/metadata.h"
#include "text/encoder.h"
#include "text/special_matcher.h"
#include "text/vocabulary.h"

namespace wallaby::text {

struct EncodeOptions {
    bool add_special = true;    // BOS, SEP and EOS where the file's policy adds them
    bool parse_special = true;  // control tokens spelled out in the text become those tokens; no: they are text
};

// Immutable; all methods are thread-safe. Keeps nothing of the metadata it was loaded from.
class Tokenizer {
  public:
    static constexpr size_t max_text_bytes = size_t(64) << 20;

    Tokenizer(const Tokenizer&) = delete;  // nor does it move: its encoder points into it
    Tokenizer& operator=(const Tokenizer&) = delete;

    // Refuses tokenizer.ggml.model that names no Scheme, unknown tokenizer.ggml.pre, and what Vocabulary and the
    // encoders refuse; errors name the key.
    static Result<std::unique_ptr<Tokenizer>> load(const gguf::Metadata& metadata);

    // Fails for texts over max_text_bytes. Memory during the call is proportional to the longest word of the text (of a
    // SentencePiece vocabulary: of the text, if its pieces may contain spaces), at most 40 bytes per byte.
    Result<std::vector<int32_t>> encode(std::string_view text, EncodeOptions options = {}) const;

    // The bytes of the tokens, which need not be UTF-8 (utf8::replace_invalid makes them so). Where encoding puts a
    // space before a text, the one before the first token's text is taken away again.
    std::string decode(std::span<const int32_t> ids, bool render_special = false) const;

    // Appends the bytes of one token; nothing for ids out of range, unused tokens and, unless `render_special`, control
    // and unknown tokens.
    void append_piece(int32_t id, std::string& out, bool render_special = false) const;

    int32_t n_tokens() const { return vocabulary_.n_tokens(); }
    // The token's text as the vocabulary spells it; empty for ids out of range.
    std::string_view token_text(int32_t id) const { return vocabulary_.has(id) ? vocabulary_.text(id) : ""; }
    // The (first) token of that spelling.
    std::optional<int32_t> find(std::string_view piece) const { return vocabulary_.find(piece); }

    std::optional<int32_t> role(Role role) const { return vocabulary_.role(role); }
    std::optional<int32_t> bos() const { return role(Role::bos); }
    std::optional<int32_t> eos() const { return role(Role::eos); }
    std::optional<int32_t> eot() const { return role(Role::eot); }
    std::optional<int32_t> unk() const { return role(Role::unk); }
    // Whether encode() with add_special puts BOS first and EOS last.
    bool add_bos() const { return add_bos_; }
    bool add_eos() const { return add_eos_; }
    bool add_sep() const { return add_sep_; }  // SEP, before EOS
    bool adds_space_prefix() const { return space_prefix_; }
    // Whether decode() takes spaces before punctuation away (SpaceCleaner), as the texts of these vocabularies need it.
    bool cleans_spaces() const { return scheme() == Scheme::wordpiece; }

    // End of generation: EOS, end of turn, end of message, and the fill-in-the-middle tokens that end a file.
    bool is_eog(int32_t id) const { return vocabulary_.has(id) && vocabulary_.is_eog(id); }
    // Control and unknown tokens: those that are no part of a text.
    bool is_special(int32_t id) const;

    Scheme scheme() const { return vocabulary_.scheme(); }
    // The rule that cuts text into words, "" for SentencePiece. "default" (also for files that name none) is a guess
    // that old converters leave behind; words may be cut otherwise than in training.
    std::string_view pretokenizer() const { return pretokenizer_; }

  private:
    explicit Tokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
    Result<void> load_encoder(const gguf::Metadata& metadata);
    Result<void> load_bpe(const gguf::Metadata& metadata);
    Result<void> load_policy(const gguf::Metadata& metadata);
    void load_specials(const gguf::Metadata& metadata);

    Vocabulary vocabulary_;
    std::unique_ptr<Encoder> encoder_;  // points into vocabulary_
    SpecialMatcher user_defined_;       // found in any text
    SpecialMatcher all_specials_;       // found where special tokens are parsed
    std::vector<bool> eats_spaces_;     // by token: white space after it is dropped
    std::string pretokenizer_;
    bool add_bos_ = false;
    bool add_eos_ = false;
    bool add_sep_ = false;
    bool space_prefix_ = false;
};

}  // namespace wallaby::text
