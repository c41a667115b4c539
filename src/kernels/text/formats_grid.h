// Nested formats whose codes are entries of a grid (quant/codebooks.h): eight magnitudes at a time, or four, that have
// signs of their own. A magnitude with its sign is a code above an offset, which is the format's minimum. Scales are
// odd numbers, 2s + 1.
#pragma once
#include "kernels/text/formats_nested.h"

namespace wallaby::kernels {
namespace {

WALLABY_KERNEL I32 odd_scales(I32 s) { return (s << 1) | 0x01010101; }

// Bytes of 7 signs, whose eighth is the parity of the others.
WALLABY_KERNEL I32 with_eighth(I32 signs) {
    static constexpr uint8_t parity[16] = {0, 128, 128, 0, 128, 0, 0, 128, 128, 0, 0, 128, 0, 128, 128, 0};
    return signs | look_up(parity, (signs ^ shift_right(signs, 4)) & 0x0f0f0f0f);
}
// Of 28 bits: four times 7, a byte each.
WALLABY_KERNEL I32 spread_sevens(I32 x) {
    return (x & 0x7f) | ((x << 1) & 0x7f00) | ((x << 2) & 0x7f0000) | ((x << 3) & 0x7f000000);
}

// Two vectors of codes of an entry whose signs are byte k of `signs`.
template <class Grid>
WALLABY_KERNEL void unpack_eight(const Grid& grid, I32 entry, I32 signs, int k, int8_t offset, I32* codes) {
    I32 first, second;
    load_eights(&grid, entry, first, second);
    codes[0] = signed_codes(first, signs, 8 * k, offset);
    codes[1] = signed_codes(second, signs, 8 * k + 4, offset);
}

// Scales of 4 bits for groups of 16: group g's in nibble g of 8 bytes.
template <class Scales>
WALLABY_KERNEL void set_odd_sixteens(const uint8_t* at, Scales& s) {
    WALLABY_UNROLL
    for (int i = 0; i < 4; i++) {
        const I32 n = shift_right(load_dwords(at + 64 * (i / 2)), 16 * (i % 2)) & 0xffff;
        const I32 spread = (n | (n << 8)) & 0x00ff00ff;
        set_both(s, i, odd_scales((spread | (spread << 4)) & 0x0f0f0f0f));
    }
}
// Scales of groups of 32, each alone in the low 4 bits of a vector that scale_of(g) gives.
template <class Scales, class ScaleOf>
WALLABY_KERNEL void set_odd_thirties(Scales& s, const ScaleOf& scale_of) {
    WALLABY_UNROLL
    for (int i = 0; i < 2; i++) {
        I32 four = scale_of(4 * i);
        WALLABY_UNROLL
        for (int j = 1; j < 4; j++) { four |= scale_of(4 * i + j) << (8 * j); }
        set_both(s, i, odd_scales(four));
    }
}

template <int group_weights, int largest>
struct GridFormat {
    static constexpr int group = group_weights, groups_together = group == 16 ? 4 : 2;
    static constexpr int offset = largest, max_code = 2 * largest;
    static constexpr bool has_minimum = true, is_rare = true;
    using Scales = Nested<group, true>;
    WALLABY_KERNEL static int index(int i, int j) { return nested_group<group, groups_together>(i, j); }
    WALLABY_KERNEL static void set_super_scale(Scales& s, F32 d) {
        s.d = d;
        s.dmin = d * splat(float(offset));
    }
};

struct IQ2_XXS : GridFormat<32, 43> {
    static constexpr int block_bytes = 16 * 66;
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        set_super_scale(s, f16_at(block) * splat(0.125f));
        set_odd_thirties(s, [&](int g) WALLABY_INLINE { return shift_right(load_dwords(block + 96 + 128 * g), 28); });
    }
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        const uint8_t* at = block + 32 + 256 * i + 128 * j;
        const I32 entries = load_dwords(at), signs = with_eighth(spread_sevens(load_dwords(at + 64)));
        WALLABY_UNROLL
        for (int k = 0; k < 4; k++) {
            unpack_eight(quant::iq2_xxs_grid, shift_right(entries, 8 * k) & 255, signs, k, offset, codes + 2 * k);
        }
    }
};

struct IQ2_XS : GridFormat<16, 43> {
    static constexpr int block_bytes = 16 * 74;
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        set_super_scale(s, f16_at(block) * splat(0.125f));
        set_odd_sixteens(block + 1056, s);
    }
    // A group is two words: an entry in 9 bits, 7 signs above it.
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        const I32 words = load_dwords(block + 32 + 64 * index(i, j));
        const I32 signs = with_eighth(shift_right(words, 9) & 0x007f007f);
        unpack_eight(quant::iq2_xs_grid, words & 511, signs, 0, offset, codes);
        unpack_eight(quant::iq2_xs_grid, shift_right(words, 16) & 511, signs, 2, offset, codes + 2);
    }
};

struct IQ2_S : GridFormat<16, 43> {
    static constexpr int block_bytes = 16 * 82;
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        set_super_scale(s, f16_at(block) * splat(0.125f));
        set_odd_sixteens(block + 1184, s);
    }
    // Two groups share a lane of everything but two bits of the entries, of which four do.
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        const int pair = index(i, j) / 2, second = i % 2;
        const I32 low = shift_right(load_dwords(block + 32 + 64 * pair), 16 * second);
        const I32 signs = shift_right(load_dwords(block + 544 + 64 * pair), 16 * second);
        const I32 high = shift_right(load_dwords(block + 1056 + 64 * (pair / 4)), 8 * j + 4 * second);
        WALLABY_UNROLL
        for (int k = 0; k < 2; k++) {
            const I32 entry = (shift_right(low, 8 * k) & 255) | ((shift_right(high, 2 * k) & 3) << 8);
            unpack_eight(quant::iq2_s_grid, entry, signs, k, offset, codes + 2 * k);
        }
    }
};

struct IQ3_XXS : GridFormat<32, 62> {
    static constexpr int block_bytes = 16 * 98;
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        set_super_scale(s, f16_at(block) * splat(0.25f));
        set_odd_thirties(s, [&](int g) WALLABY_INLINE { return shift_right(load_dwords(block + 1056 + 64 * g), 28); });
    }
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        const uint8_t* entries = block + 32 + 256 * i + 128 * j;
        const I32 signs = with_eighth(spread_sevens(load_dwords(block + 1056 + 128 * i + 64 * j)));
        WALLABY_UNROLL
        for (int u = 0; u < 8; u++) {
            const I32 entry = shift_right(load_dwords(entries + 64 * (u / 4)), u % 4 * 8) & 255;
            codes[u] = signed_codes(load_fours(&quant::iq3_xxs_grid, entry), signs, 4 * u, offset);
        }
    }
};

struct IQ3_S : GridFormat<32, 15> {
    static constexpr int block_bytes = 16 * 110;
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        set_super_scale(s, f16_at(block));
        const I32 nibbles_of_groups = load_dwords(block + 1696);
        set_odd_thirties(s, [&](int g) WALLABY_INLINE { return shift_right(nibbles_of_groups, 4 * g) & 15; });
    }
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        const uint8_t* low = block + 32 + 256 * i + 128 * j;
        const I32 signs = load_dwords(block + 1184 + 128 * i + 64 * j);
        const I32 high = shift_right(load_dwords(block + 1056 + 64 * (i / 2)), i % 2 * 16 + 8 * j);
        WALLABY_UNROLL
        for (int u = 0; u < 8; u++) {
            const I32 entry =
                (shift_right(load_dwords(low + 64 * (u / 4)), u % 4 * 8) & 255) | ((shift_right(high, u) & 1) << 8);
            codes[u] = signed_codes(load_fours(&quant::iq3_s_grid, entry), signs, 4 * u, offset);
        }
    }
};

// --- Entries of -1, 0 and 1, moved by an eighth together: eighths are codes, 0 to 18.

template <int group_weights>
struct Iq1 : GridFormat<group_weights, 9> {
    // moves: 2 in each byte for up, 0 for down.
    WALLABY_KERNEL static void unpack_entry(I32 entry, I32 moves, I32* codes) {
        I32 parts[2];
        load_eights(&quant::iq1_grid, entry, parts[0], parts[1]);
        WALLABY_UNROLL
        for (int p = 0; p < 2; p++) {
            const auto from_zero = as<I32>(as<Bytes>(parts[p]) + int8_t(1));
            codes[p] = (from_zero << 3) + moves;
        }
    }
};

struct IQ1_S : Iq1<32> {
    static constexpr int block_bytes = 16 * 50;
    // Of group g: the top bits of four entries, s above them, and whether to move down.
    WALLABY_KERNEL static I32 high(const uint8_t* block, int g) {
        return shift_right(load_dwords(block + 544 + 64 * (g / 2)), g % 2 * 16) & 0xffff;
    }
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        set_super_scale(s, f16_at(block) * splat(0.125f));
        set_odd_thirties(s, [&](int g) WALLABY_INLINE { return shift_right(high(block, g), 12) & 7; });
    }
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        const I32 low = load_dwords(block + 32 + 128 * i + 64 * j);
        const I32 word = shift_right(load_dwords(block + 544 + 64 * i), 16 * j) & 0xffff;
        const I32 moves = (shift_right(word, 15) - 1) & 0x02020202;
        WALLABY_UNROLL
        for (int k = 0; k < 4; k++) {
            unpack_entry((shift_right(low, 8 * k) & 255) | ((shift_right(word, 3 * k) & 7) << 8), moves, codes + 2 * k);
        }
    }
};

struct IQ1_M : Iq1<16> {
    static constexpr int block_bytes = 16 * 56;
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        // Words of four scales of 3 bits, and four bits of d on top.
        const I32 a = load_dwords(block + 768), b = load_dwords(block + 832);
        const auto top = [](I32 x) WALLABY_INLINE { return (shift_right(x, 12) & 15) | (shift_right(x, 24) & 0xf0); };
        uint16_t d[n_lanes];
        store_u16(d, top(a) | (top(b) << 8));
        set_super_scale(s, load_f16(d) * splat(0.125f));
        WALLABY_UNROLL
        for (int i = 0; i < 4; i++) {
            const I32 word = shift_right(i < 2 ? a : b, i % 2 * 16);
            I32 four = word & 7;
            WALLABY_UNROLL
            for (int j = 1; j < 4; j++) { four |= (shift_right(word, 3 * j) & 7) << (8 * j); }
            set_both(s, i, odd_scales(four));
        }
    }
    // Entry k: nibble k holds its three top bits and whether to move down.
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        const int pair = index(i, j) / 2, second = i % 2;
        const I32 low = shift_right(load_dwords(block + 64 * pair), 16 * second);
        const I32 four = shift_right(load_dwords(block + 512 + 64 * (pair / 2)), 16 * (j % 2) + 8 * second);
        WALLABY_UNROLL
        for (int k = 0; k < 2; k++) {
            const I32 nibble = shift_right(four, 4 * k);
            const I32 moves = ((shift_right(nibble, 3) & 1) - 1) & 0x02020202;
            unpack_entry((shift_right(low, 8 * k) & 255) | ((nibble & 7) << 8), moves, codes + 2 * k);
        }
    }
};

}  // namespace
}  // namespace wallaby::kernels
