// WordPiece ("bert"): text is cleaned, cut at white space, punctuation and Chinese characters, and each word is spelled
// by the longest pieces from its left. Vocabularies mark the pieces that begin a word with U+2581; the others go on.
// Definition: https://github.com/google-research/bert (tokenization.py, the uncased models); the spelling of pieces is
// that of GGUF converters.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/encoder.h"
#include "text/vocabulary.h"

namespace wallaby::text {

// What a text goes through before it is cut (tokenizer.ggml.normalizer.*). The defaults are the uncased models'.
struct WordPieceOptions {
    bool lower_case = true;
    bool strip_accents = true;
};

class WordPieceEncoder final : public Encoder {
  public:
    // `vocabulary` outlives the encoder.
    WordPieceEncoder(const Vocabulary& vocabulary, WordPieceOptions options);

    // Loses what the models do not see: case and accents, control characters, kinds of space, bytes that are not UTF-8.
    Result<void> encode(std::string_view text, std::vector<int32_t>& out) const override;

  private:
    // Pieces by their text without the mark.
    struct Table {
        Pieces texts;
        PieceIndex index;
        std::vector<int32_t> tokens;
        void add(std::string_view text, int32_t token);
    };
    class Word;
    void encode_word(const Word& word, std::vector<int32_t>& out) const;

    const Vocabulary& vocabulary_;
    WordPieceOptions options_;
    Table first_;
    Table later_;
    size_t longest_piece_ = 0;  // bytes
};

}  // namespace wallaby::text
