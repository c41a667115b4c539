// Token ids to text as they come, in whole characters.
#pragma once
#include <cstdint>
#include <string>

#include "text/space_cleaner.h"
#include "text/tokenizer.h"

namespace wallaby::text {

// For any ids, the concatenation of what push() and flush() return is utf8::replace_invalid() of the whole text: bytes
// that cannot become a character are U+FFFD, and the bytes of a character wait, three at most, until all have come.
// (Spaces of a WordPiece text wait besides, until what follows them is known.)
class StreamDecoder {
  public:
    // `tokenizer` outlives the decoder. `at_start`: the ids are a text from its beginning, as for Tokenizer::decode(),
    // so that a space put before it is taken away; no: they go on where a prompt has ended.
    explicit StreamDecoder(const Tokenizer& tokenizer, bool render_special = false, bool at_start = false)
        : tokenizer_(tokenizer),
          render_special_(render_special),
          may_strip_(at_start && tokenizer.adds_space_prefix()) {}

    // The text that `id` completes; often empty.
    std::string push(int32_t id);
    // The same for bytes that come from elsewhere.
    std::string push_bytes(std::string_view bytes);
    // What still waits, at the end of the text. The decoder can be used on.
    std::string flush();
    // Bytes of a character that wait.
    size_t n_pending() const { return pending_.size(); }

  private:
    const Tokenizer& tokenizer_;
    std::string pending_;
    SpaceCleaner cleaner_;  // of what goes into pending_, where the tokenizer cleans
    bool render_special_;
    bool may_strip_;
};

}  // namespace wallaby::text
