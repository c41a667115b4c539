// Hugging Face's tokenizer.json, and the older pair of vocab.json and merges.txt.
// Definition: https://github.com/huggingface/tokenizers.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "convert/vocabulary_parts.h"

namespace wallaby::convert {

// A whole tokenizer: models BPE (byte-level: "gpt2"; over characters with bytes as a fallback: "llama" or "gemma4"),
// Unigram ("t5") and WordPiece ("bert"). Refuses, naming the field, whatever GGUF has no word for.
Result<VocabularyParts> read_tokenizer_json(std::string_view text, const std::string& file);

// Of a file beside a tokenizer.model only what that lacks: added tokens, and which ones stand around a text.
Result<void> add_from_tokenizer_json(std::string_view text, const std::string& file, VocabularyParts& parts);

// `rule` is the pre-tokenizer's name, which these files do not say.
Result<VocabularyParts> read_vocab_and_merges(std::string_view vocab, const std::string& vocab_file,
                                              std::string_view merges, const std::string& merges_file,
                                              std::string_view rule);

}  // namespace wallaby::convert
