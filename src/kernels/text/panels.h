// Tiles unpacked once, for many columns: 16 rows times a block lie together, codes first, then scales. What a panel
// looks like depends on a format's family and numbers, not on the format: formats share the code that multiplies them.
#pragma once
#include <type_traits>

#include "kernels/text/formats_grid.h"

namespace wallaby::kernels {
namespace {

// A panel is written faster than a tile is multiplied, so what it reads must be under way earlier.
inline constexpr int panel_prefetch_distance = 8192;
template <int n_bytes>
WALLABY_KERNEL void prefetch_panel(const uint8_t* block) {
    WALLABY_UNROLL
    for (int i = 0; i < n_bytes; i += 64) { prefetch_later(block + panel_prefetch_distance + i); }
}

// max_code: as fine as dot_group distinguishes (code_class, of the instruction set).
template <int part_weights, int code_offset, int largest_code, bool with_minimum, bool with_f16_scale>
struct FlatPanel {
    static constexpr int part = part_weights, offset = code_offset, max_code = largest_code;
    static constexpr bool has_minimum = with_minimum, is_f16_scale = with_f16_scale;
    static constexpr int scale_at = code_bytes<part, max_code>, block_bytes = scale_at + 64 * (has_minimum ? 2 : 1);
    static constexpr uint32_t block = part;  // in weights
    WALLABY_KERNEL static FlatScale scale(const uint8_t* at) {
        const auto* numbers = reinterpret_cast<const float*>(at + scale_at);
        return has_minimum ? FlatScale{load(numbers), load(numbers + 16)} : FlatScale{load(numbers)};
    }
};
template <class Format>
using FlatPanelOf =
    FlatPanel<Format::part, Format::offset, code_class(Format::max_code), Format::has_minimum, Format::is_f16_scale>;

// One block of the file.
template <class Format>
void write_flat_panel(const uint8_t* block, uint8_t* out) {
    using Panel = FlatPanelOf<Format>;
    prefetch_panel<Format::block_bytes>(block);
    for (int p = 0; p < Format::n_parts; p++, out += Panel::block_bytes) {
        I32 codes[Panel::part / 4];
        const FlatScale s = Format::unpack(block, p, codes);
        store_codes<Panel::part, Panel::max_code>(out, codes);
        store(reinterpret_cast<float*>(out + Panel::scale_at), s.scale);
        if (Panel::has_minimum) { store(reinterpret_cast<float*>(out + Panel::scale_at + 64), s.minimum); }
    }
}

// Codes of a block of 256, group after group, and behind them what BlockOf holds.
template <class BlockOf, int group_weights, int largest_code, bool with_minimum>
struct BlockPanel {
    static constexpr int group = group_weights, max_code = largest_code;
    static constexpr bool has_minimum = with_minimum;
    using Scales = BlockOf;
    static constexpr int group_bytes = code_bytes<group, max_code>, scales_at = 256 / group * group_bytes;
    static constexpr int block_bytes = scales_at + int(sizeof(Scales));
    static constexpr uint32_t block = 256;
    WALLABY_KERNEL static const Scales& scales(const uint8_t* at) {
        return *reinterpret_cast<const Scales*>(at + scales_at);
    }
};
// Groups in the order in which they are summed.
template <int group, int max_code, bool has_minimum>
using NestedPanel = BlockPanel<Nested<group, has_minimum>, group, max_code, has_minimum>;
template <class Format>
using NestedPanelOf = NestedPanel<Format::group, code_class(Format::max_code), Format::has_minimum>;

template <class Format>
void write_nested_panel(const uint8_t* block, uint8_t* out) {
    using Panel = NestedPanelOf<Format>;
    prefetch_panel<Format::block_bytes>(block);
    typename Format::Scales s;
    Format::scales(block, s);
    std::memcpy(out + Panel::scales_at, &s, sizeof(s));
    for (int i = 0; i < 256 / Format::group / Format::groups_together; i++) {
        WALLABY_UNROLL
        for (int j = 0; j < Format::groups_together; j++) {
            I32 codes[Panel::group / 4];
            Format::unpack(block, i, j, codes);
            store_codes<Panel::group, Panel::max_code>(out + Panel::group_bytes * (i * Format::groups_together + j),
                                                       codes);
        }
    }
}

// Weights times their groups' scales, above an offset: a block has one sum. The groups lie in ascending order.
template <int max_code, int code_offset, int code_times, bool has_minimum>
struct WholePanel : BlockPanel<BlockScales<16, has_minimum>, 16, max_code, has_minimum> {
    static constexpr int offset = code_offset, times = code_times;
};
template <class Format>
using WholePanelOf =
    WholePanel<code_class(Format::product), Format::product_offset, Format::times, Format::has_minimum>;

template <class Format>
void write_whole_panel(const uint8_t* block, uint8_t* out) {
    using Panel = WholePanelOf<Format>;
    prefetch_panel<Format::block_bytes>(block);
    Paired<Format::has_minimum> s;
    Format::scales(block, s);
    const typename Panel::Scales& kept = s;
    std::memcpy(out + Panel::scales_at, &kept, sizeof(kept));
    for (int i = 0; i < 4; i++) {
        WALLABY_UNROLL
        for (int j = 0; j < 4; j++) {
            const U32 pair = as<U32>(s.of_groups(i, j / 2 * 2));
            const U32 scale = j % 2 == 0 ? (pair & 0xffff) | (pair << 16) : (pair & 0xffff0000) | (pair >> 16);
            // (code - offset) * scale + product_offset is no less than 0 and fits a byte, so that two of them side by
            // side are scaled as one number of 16 bits.
            const U16 added = as<U16>(scale) * uint16_t(-257 * Format::offset) + uint16_t(257 * Format::product_offset);
            I32 codes[4];
            Format::unpack_at(block, i, j, 0, codes);
            WALLABY_UNROLL
            for (I32& four : codes) { four = as<I32>(as<U16>(four) * as<U16>(scale) + added); }
            store_codes<16, Panel::max_code>(out + Panel::group_bytes * nested_group<16, 4>(i, j), codes);
        }
    }
}

// Whether Format has such panels: where codes beyond 127 are multiplied in two halves, those have no gain.
template <class Format>
constexpr bool has_whole_panels() {
    if constexpr (has_small_products<Format>) {
        return takes_any_code || code_class(Format::product) < 255;
    } else {
        return false;
    }
}

}  // namespace
}  // namespace wallaby::kernels
