#include "text/pieces.h"

#include <algorithm>
#include <functional>

namespace wallaby::text {

// The slot that holds `piece`, or the free one where it belongs.
size_t PieceIndex::slot_of(const Pieces& pieces, std::string_view piece) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = std::hash<std::string_view>{}(piece)&mask;
    while (slots_[slot] != free_slot && pieces[size_t(slots_[slot])] != piece) { slot = (slot + 1) & mask; }
    return slot;
}

void PieceIndex::grow(const Pieces& pieces) {
    const std::vector<int32_t> old = std::move(slots_);
    slots_.assign(std::max<size_t>(16, old.size() * 2), free_slot);
    for (const int32_t id : old) {
        if (id != free_slot) { slots_[slot_of(pieces, pieces[size_t(id)])] = id; }
    }
}

void PieceIndex::insert(const Pieces& pieces, int32_t id) {
    if (2 * (n_used_ + 1) > slots_.size()) { grow(pieces); }
    int32_t& slot = slots_[slot_of(pieces, pieces[size_t(id)])];
    if (slot != free_slot) { return; }
    slot = id;
    n_used_++;
}

std::optional<int32_t> PieceIndex::find(const Pieces& pieces, std::string_view piece) const {
    if (slots_.empty()) { return std::nullopt; }
    const int32_t id = slots_[slot_of(pieces, piece)];
    if (id == free_slot) { return std::nullopt; }
    return id;
}

}  // namespace wallaby::text
