// The name that GGUF has (tokenizer.ggml.pre) for how a tokenizer.json cuts text into words.
#pragma once
#include <string>

#include "base/result.h"
#include "convert/json_file.h"

namespace wallaby::convert {

// `pre_tokenizer` is that field of `file`, for byte-level BPE; `whole_words` is model.ignore_merges. The steps are
// written as regular expressions and compared with those of text::pretokenizer_rules(). An error, with the expressions,
// where none has the same, and where steps cannot be written so.
Result<std::string> pretokenizer_name(const Json& pre_tokenizer, bool whole_words, const std::string& file);

}  // namespace wallaby::convert
