#include "text/merge_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "text/vocabulary.h"

namespace wallaby::text {

namespace {

constexpr std::string_view merges_key = "tokenizer.ggml.merges";

uint64_t pair_of(int32_t left, int32_t right) { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }

}  // namespace

void MergeTable::reserve(size_t n_merges) {
    slots_.assign(std::bit_ceil(std::max<size_t>(16, 2 * n_merges)), Slot{0, {}});
}

size_t MergeTable::slot_of(uint64_t pair) const {
    const size_t mask = slots_.size() - 1;
    uint64_t mixed = pair * 0x9E3779B97F4A7C15u;  // 2^64 over the golden ratio
    mixed ^= mixed >> 32;
    size_t slot = mixed & mask;
    while (slots_[slot].merge.rank != no_merge && slots_[slot].pair != pair) { slot = (slot + 1) & mask; }
    return slot;
}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
    Slot& slot = slots_[slot_of(pair_of(left, right))];
    if (slot.merge.rank == no_merge) { slot = {pair_of(left, right), merge}; }
}

Merge MergeTable::find(int32_t left, int32_t right) const { return slots_[slot_of(pair_of(left, right))].merge; }

Result<void> read_merges(const gguf::Metadata& metadata, const std::function<void(size_t)>& reserve,
                         const std::function<void(std::string_view, std::string_view, uint32_t)>& add) {
    WALLABY_TRY(const gguf::StringArray merges, metadata.strings(merges_key));
    if (merges.size() > max_tokens) {
        return metadata.error(ErrorCode::unsupported, merges_key,
                              fmt::format("{} merges are more than the {} supported", merges.size(), max_tokens));
    }
    reserve(merges.size());
    uint32_t rank = 0;
    for (const std::string_view merge : merges) {
        const size_t space = merge.find(' ');
        if (space == std::string_view::npos || space == 0 || space + 1 == merge.size() ||
            merge.find(' ', space + 1) != std::string_view::npos || merge.size() > 2 * max_piece_bytes) {
            return metadata.error(ErrorCode::model, merges_key,
                                  fmt::format("merge {} is not two pieces with one space between them", rank));
        }
        add(merge.substr(0, space), merge.substr(space + 1), rank++);
    }
    return {};
}

}  // namespace wallaby::text
