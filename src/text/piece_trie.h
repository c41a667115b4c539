// Pieces by their prefixes: a walk of a text's bytes meets every piece the text begins with.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "text/vocabulary.h"

namespace wallaby::text {

class PieceTrie {
  public:
    PieceTrie() = default;
    // Of `ids`, whose texts are not empty and have fewer than 2^31 bytes together; of equal texts the smallest counts.
    PieceTrie(const Vocabulary& vocabulary, std::vector<int32_t> ids);

    // Calls `visit(n_bytes, id)` for the pieces that `text` begins with, the shortest first.
    template <class Visit>
    void for_each_prefix(std::string_view text, const Visit& visit) const {
        if (nodes_.empty()) { return; }
        uint32_t at = 0;
        for (size_t i = 0; i < text.size(); i++) {
            at = i == 0 ? first_[uint8_t(text[0])] : child(at, uint8_t(text[i]));
            if (at == 0) { return; }
            if (nodes_[at].token >= 0) { visit(i + 1, nodes_[at].token); }
        }
    }

  private:
    struct Node {
        uint32_t first_child = 0;
        uint16_t n_children = 0;
        uint8_t label = 0;
        int32_t token = -1;
    };
    uint32_t child(uint32_t parent, uint8_t label) const;  // 0: none

    std::vector<Node> nodes_;            // the root first, the children of a node side by side, sorted by label
    std::array<uint32_t, 256> first_{};  // the root's children by label
};

}  // namespace wallaby::text
