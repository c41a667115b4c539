// SentencePiece's BPE: spaces become U+2581, the neighbours whose joint piece scores best merge first (of equal scores
// the leftmost), and characters without a piece become byte tokens.
// Definition: https://github.com/google/sentencepiece (bpe_model.cc; model file without a normaliser).
#pragma once
#include <vector>

#include "text/encoder.h"
#include "text/vocabulary.h"

namespace wallaby::text {

class SpmEncoder final : public Encoder {
  public:
    // `vocabulary` outlives the encoder. `space_prefix`: a space is put before each text.
    SpmEncoder(const Vocabulary& vocabulary, bool space_prefix);

    Result<void> encode(std::string_view text, std::vector<int32_t>& out) const override;

  private:
    void encode_word(std::string_view word, class Merger& merger, std::vector<int32_t>& out) const;
    void append_bytes(std::string_view character, std::vector<int32_t>& out) const;

    const Vocabulary& vocabulary_;
    bool space_prefix_;
    bool words_are_apart_ = true;  // no piece has a space after another character, so none reaches into the next word
    size_t longest_piece_ = 0;     // bytes
    PieceIndex plain_;
    std::vector<uint32_t> ranks_;  // by token: 0 for the best score
    std::vector<int32_t> ranked_;  // by rank: the token that has it, negative where several share a score
};

}  // namespace wallaby::text
