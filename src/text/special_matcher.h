// Finds tokens that are read from a text as a whole, before it is cut into words: the longest that starts at a place.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace wallaby::text {

// Tokens sorted by text; a match narrows a range of them byte by byte, so that thousands cost no more than a few, and a
// byte that begins none costs one look.
class SpecialMatcher {
  public:
    struct Match {
        int32_t id;
        size_t n_bytes;
    };

    SpecialMatcher() = default;
    // Of `ids`, whose texts are not empty; of equal texts the smallest id is found.
    SpecialMatcher(const Vocabulary& vocabulary, std::vector<int32_t> ids);

    // The longest token at the beginning of `text`.
    std::optional<Match> longest(const Vocabulary& vocabulary, std::string_view text) const;

  private:
    std::vector<int32_t> sorted_;
    std::array<uint32_t, 257> first_{};  // sorted_[first_[b] .. first_[b + 1]) begin with byte b
};

}  // namespace wallaby::text
