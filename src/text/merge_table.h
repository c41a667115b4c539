// The list of merges of a file (tokenizer.ggml.merges): which pairs of symbols join, and in which order.
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/metadata.h"
#include "text/merge.h"

namespace wallaby::text {

// What two symbols become, and when: the place of their merge in the file's list.
struct Merge {
    uint32_t rank = no_merge;
    int32_t symbol = -1;
};

// Pairs of symbols and what they become: a hash table without deletion.
class MergeTable {
  public:
    void reserve(size_t n_merges);
    // The first entry of a pair stays.
    void insert(int32_t left, int32_t right, Merge merge);
    Merge find(int32_t left, int32_t right) const;  // no_merge when there is none

  private:
    struct Slot {
        uint64_t pair;
        Merge merge;
    };
    size_t slot_of(uint64_t pair) const;
    std::vector<Slot> slots_;  // a power of two long, at most half full; an empty one joins nothing
};

// Calls `add(left, right, rank)` for the file's merges in order; `reserve(n)` first, with their number. Refuses a file
// without merges, more than max_tokens, and merges that are not two pieces with one space between them.
Result<void> read_merges(const gguf::Metadata& metadata, const std::function<void(size_t)>& reserve,
                         const std::function<void(std::string_view, std::string_view, uint32_t)>& add);

}  // namespace wallaby::text
