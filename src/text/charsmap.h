// SentencePiece's normaliser tables (tokenizer.ggml.precompiled_charsmap): what the longest known prefix of a text is
// replaced by, as in NFKC. Layout, all of it from a file and never trusted:
//
//     u32 n_bytes of the trie | trie: u32 units of a double array | replacement strings, each ended by a zero byte
//
// Unit: bits 0-7 and 31 label, bit 8 "a value follows", bits 10-30 offset, shifted left by 8 more where bit 9 is set.
// A value is the place of its replacement among the strings. Definition: https://github.com/google/sentencepiece
// (normalizer.cc), https://github.com/s-yata/darts-clone (darts.h).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/metadata.h"

namespace wallaby::text {

class Charsmap {
  public:
    // Without the key, a table that replaces nothing. Refuses one that is shorter than it says.
    static Result<Charsmap> load(const gguf::Metadata& metadata);

    struct Match {
        size_t n_bytes;  // of the text; 0: nothing is replaced
        std::string_view replacement;
    };
    // The longest prefix of `text` that is replaced. Fails where the table points outside itself.
    Result<Match> longest(std::string_view text) const;

  private:
    Result<uint32_t> unit(size_t at) const;
    Result<std::string_view> string_at(size_t at) const;

    std::vector<uint32_t> units_;
    std::string strings_;
    Error broken_;  // what longest() fails with
};

}  // namespace wallaby::text
