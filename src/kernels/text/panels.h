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

// Groups in the order in which they are summed.
template <int group_weights, int largest_code, bool with_minimum>
struct NestedPanel {
    static constexpr int group = group_weights, max_code = largest_code;
    static constexpr bool has_minimum = with_minimum;
    using Scales = Nested<group, has_minimum>;
    static constexpr int group_bytes = code_bytes<group, max_code>, scales_at = 256 / group * group_bytes;
    static constexpr int block_bytes = scales_at + int(sizeof(Scales));
    static constexpr uint32_t block = 256;
    WALLABY_KERNEL static const Scales& scales(const uint8_t* at) {
        return *reinterpret_cast<const Scales*>(at + scales_at);
    }
};
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

}  // namespace
}  // namespace wallaby::kernels
