// SentencePiece's model files (tokenizer.model): BPE models become GGUF's "llama", Unigram models "t5".
// Definition: https://github.com/google/sentencepiece (src/sentencepiece_model.proto).
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "convert/vocabulary_parts.h"

namespace wallaby::convert {

inline constexpr uint64_t max_sentencepiece_bytes = uint64_t(1) << 26;  // real ones stay below 10 MB

// Refuses, naming `file` and the place: what is no such message, no pieces or more than max_listed_tokens, pieces
// that are not UTF-8 or of an unknown type, scores that are not numbers; models of words or characters, and
// normalisation that GGUF has no word for.
Result<VocabularyParts> read_sentencepiece(std::span<const uint8_t> bytes, const std::string& file);

}  // namespace wallaby::convert
