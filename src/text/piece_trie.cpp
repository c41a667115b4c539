#include "text/piece_trie.h"

#include <algorithm>

namespace wallaby::text {

PieceTrie::PieceTrie(const Vocabulary& vocabulary, std::vector<int32_t> ids) {
    std::ranges::sort(ids, [&](int32_t a, int32_t b) {
        const int order = vocabulary.text(a).compare(vocabulary.text(b));
        return order < 0 || (order == 0 && a < b);
    });
    // The pieces of a node, which share its path's bytes. Nodes are made breadth first.
    struct Range {
        uint32_t begin, end, depth;
    };
    std::vector<Range> ranges{{0, uint32_t(ids.size()), 0}};
    nodes_.emplace_back();
    for (size_t at = 0; at < nodes_.size(); at++) {
        const Range range = ranges[at];
        uint32_t i = range.begin;
        if (range.depth > 0 && vocabulary.text(ids[i]).size() == range.depth) { nodes_[at].token = ids[i]; }
        while (i < range.end && vocabulary.text(ids[i]).size() == range.depth) { i++; }
        nodes_[at].first_child = uint32_t(nodes_.size());
        while (i < range.end) {
            const auto label_of = [&](uint32_t k) { return uint8_t(vocabulary.text(ids[k])[range.depth]); };
            const uint32_t begin = i;
            const uint8_t label = label_of(begin);
            while (i < range.end && label_of(i) == label) { i++; }
            if (at == 0) { first_[label] = uint32_t(nodes_.size()); }
            nodes_[at].n_children++;
            nodes_.emplace_back().label = label;
            ranges.push_back({begin, i, range.depth + 1});
        }
    }
    nodes_.shrink_to_fit();
}

uint32_t PieceTrie::child(uint32_t parent, uint8_t label) const {
    const auto begin = nodes_.begin() + nodes_[parent].first_child;
    const auto end = begin + nodes_[parent].n_children;
    const auto found = std::lower_bound(begin, end, label, [](const Node& node, uint8_t l) { return node.label < l; });
    return found != end && found->label == label ? uint32_t(found - nodes_.begin()) : 0;
}

}  // namespace wallaby::text
