// Plain text to tokens: what a tokenizer does between its special tokens.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wallaby::text {

class Encoder {
  public:
    virtual ~Encoder() = default;
    // Appends the tokens of `text`, any bytes of at most Tokenizer::max_text_bytes. The text stands at the beginning or
    // follows a special token. Thread-safe.
    virtual Result<void> encode(std::string_view text, std::vector<int32_t>& out) const = 0;
};

}  // namespace wallaby::text
