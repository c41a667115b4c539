// SentencePiece's Unigram ("t5"): text is normalised, and cut into the pieces whose scores add up best.
// Definition: https://github.com/google/sentencepiece (normalizer.cc, unigram_model.cc).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "gguf/metadata.h"
#include "text/charsmap.h"
#include "text/encoder.h"
#include "text/piece_trie.h"
#include "text/vocabulary.h"

namespace wallaby::text {

struct UnigramOptions {
    bool space_prefix = true;         // a space is put before each text
    bool remove_extra_spaces = true;  // runs of spaces become one, those at the ends none
};

class UnigramEncoder final : public Encoder {
  public:
    // `vocabulary` outlives the encoder. Refuses what Charsmap refuses.
    static Result<std::unique_ptr<Encoder>> load(const gguf::Metadata& metadata, const Vocabulary& vocabulary,
                                                 UnigramOptions options);

    // Fails where the file's normaliser is broken, or makes the text four times longer than any may be.
    Result<void> encode(std::string_view text, std::vector<int32_t>& out) const override;

    // The text as the model sees it, with its spaces spelled U+2581.
    Result<std::string> normalize(std::string_view text) const;

  private:
    UnigramEncoder(const Vocabulary& vocabulary, UnigramOptions options);
    // The best way to write the text up to some place: how good it is, and its last piece.
    struct Best {
        double score;
        uint32_t begin;
        int32_t token;
    };
    void encode_word(std::string_view word, std::vector<Best>& best, std::vector<int32_t>& path,
                     std::vector<int32_t>& out, bool& after_unknown) const;
    Result<Charsmap::Match> next_normalized(std::string_view text) const;
    double score_of(int32_t token) const;

    const Vocabulary& vocabulary_;
    UnigramOptions options_;
    Charsmap charsmap_;
    PieceTrie trie_;
    bool words_are_apart_ = true;  // no piece has a space after another character, so none reaches into the next word
    bool has_all_bytes_ = true;    // unknown characters are written in byte tokens
    double unknown_score_ = 0;
    double highest_score_ = 0;
};

}  // namespace wallaby::text
