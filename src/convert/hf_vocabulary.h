// The tokenizer of a checkpoint directory as GGUF's tokenizer.* keys, so that it gives the ids the originals give.
//
//     Draft draft;
//     WALLABY_OK(set_tokenizer(draft, "Qwen2.5-0.5B", {.n_vocab = 151936}));
//
// Read are, where they are there: tokenizer.model (SentencePiece), else tokenizer.json, else vocab.json with
// merges.txt; tokenizer_config.json, special_tokens_map.json and added_tokens.json for tokens with a role, the policy
// and the chat template; chat_template.jinja and chat_template.json instead of it.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "gguf/writer.h"

namespace wallaby::convert {

struct VocabularyOptions {
    uint32_t n_vocab = 0;  // rows of the embedding; tokens are padded to it with unused ones. 0: no padding
};

// Errors name the file and the field: no tokenizer at all, files that are not what their name says or over their
// budget, an algorithm or a pre-tokenizer that has no name in GGUF, ids that repeat, leave gaps or are not below
// n_vocab, roles of tokens that do not exist.
Result<void> set_tokenizer(gguf::Draft& draft, const std::string& directory, const VocabularyOptions& options);

// llama2.c's tokenizer.bin: n_vocab scores and texts, nothing else.
Result<void> set_llama2c_tokenizer(gguf::Draft& draft, const std::string& path, uint32_t n_vocab);

}  // namespace wallaby::convert
