// Nested formats: blocks of 256 weights, groups of 16 or 32 with small integer scales of their own.
//   block_bytes      of a block of 16 rows
//   group            weights of a group
//   has_minimum      no: the offset is 32, for which the activations hold starts. Formats with another offset have it
//                    for a minimum, which is the scale times the offset
//   scales           those of the whole block
//   groups_together  how many unpack gives of step i; the j-th of them is group nested_group(i, j)
//   unpack           its codes, group / 4 vectors
#pragma once
#include "kernels/text/formats_flat.h"

namespace wallaby::kernels {
namespace {

// The order in which groups are summed (docs/numerics.md): the j-th of step i. Groups of 32 ascend. Groups of 16 go by
// fours: of half i / 2 of the weights, the 16 from 16 * (i % 2) on of its four 32s.
template <int group, int groups_together>
WALLABY_KERNEL constexpr int nested_group(int i, int j) {
    static_assert(group == 32 || groups_together == 4);
    return group == 32 ? groups_together * i + j : i / 2 * 8 + i % 2 + 2 * j;
}

// Of a block of 256 of 16 rows, beside the scales of its groups. minima: pairs of signed 16-bit numbers, of groups
// (0,2) (1,3) (4,6) ...
template <int group, bool has_minimum>
struct BlockScales {
    F32 d, dmin;
    I32 minima[256 / group / 2];
    // Of groups 4i to 4i + 3, signed bytes.
    WALLABY_KERNEL void set_minima(int i, I32 four) {
        minima[2 * i] = even_bytes(four);
        minima[2 * i + 1] = odd_bytes(four);
    }
};
template <int group>
struct BlockScales<group, false> {
    F32 d;
};
// With the scales of its groups, as numbers or as pairs like minima.
template <int group, bool has_minimum>
struct Nested : BlockScales<group, has_minimum> {
    F32 scales[256 / group];
    WALLABY_KERNEL void set_scales(int i, I32 four) {
        WALLABY_UNROLL
        for (int j = 0; j < 4; j++) { scales[4 * i + j] = to_f32(byte_at(four, j)); }
    }
};
template <bool has_minimum>
struct Paired : BlockScales<16, has_minimum> {
    I32 scales[8];
    WALLABY_KERNEL void set_scales(int i, I32 four) {
        scales[2 * i] = even_bytes(four);
        scales[2 * i + 1] = odd_bytes(four);
    }
    // Of groups nested_group(i, j) and two further, j even.
    WALLABY_KERNEL I32 of_groups(int i, int j) const { return scales[i / 2 * 4 + i % 2 + j]; }
};
// Both, where an offset is the minimum.
template <class Scales>
WALLABY_KERNEL void set_both(Scales& s, int i, I32 four) {
    s.set_scales(i, four);
    s.set_minima(i, four);
}
// A scale times 32 - 31 and the like: signed bytes less a number.
WALLABY_KERNEL I32 less(I32 bytes, int8_t n) { return as<I32>(as<Bytes>(bytes) - n); }

// --- 4 and 5 bits, minima of 6 bits.

struct SixBits {
    static constexpr int group = 32, groups_together = 2;
    static constexpr bool has_minimum = true;
    using Scales = Nested<group, has_minimum>;
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        s.d = f16_at(block);
        s.dmin = f16_at(block + 32);
        const I32 a = load_dwords(block + 64), b = load_dwords(block + 128), c = load_dwords(block + 192);
        s.set_scales(0, a & 0x3f3f3f3f);
        s.set_scales(1, (c & 0x0f0f0f0f) | (shift_right(a, 2) & 0x30303030));
        s.set_minima(0, b & 0x3f3f3f3f);
        s.set_minima(1, (shift_right(c, 4) & 0x0f0f0f0f) | (shift_right(b, 2) & 0x30303030));
    }
};

struct Q4_K : SixBits {
    static constexpr int block_bytes = 16 * 144, max_code = 15;
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        WALLABY_UNROLL
        for (int u = 0; u < 8; u++) { codes[u] = nibbles(load_dwords(block + 256 + 512 * i + 64 * u), j); }
    }
};

struct Q5_K : SixBits {
    static constexpr int block_bytes = 16 * 176, max_code = 31;
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        WALLABY_UNROLL
        for (int u = 0; u < 8; u++) {
            const I32 low = nibbles(load_dwords(block + 768 + 512 * i + 64 * u), j);
            const I32 bits = shift_right(load_dwords(block + 256 + 64 * u), 2 * i + j);
            codes[u] = low | ((bits & 0x01010101) << 4);
        }
    }
};

// --- Groups of 16.

struct Sixteens {
    static constexpr int group = 16, groups_together = 4;
};

struct Q6_K : Sixteens {
    static constexpr int block_bytes = 16 * 210, max_code = 63;
    static constexpr bool has_minimum = false;
    using Scales = Nested<group, has_minimum>;
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        s.d = f16_at(block);
        WALLABY_UNROLL
        for (int i = 0; i < 4; i++) { s.set_scales(i, load_dwords(block + 32 + 64 * i)); }
    }
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        const uint8_t* at = block + 288 + 768 * i;
        WALLABY_UNROLL
        for (int u = 0; u < 4; u++) {
            const I32 low = nibbles(load_dwords(at + 256 * (j % 2) + 64 * u), j / 2);
            codes[u] = low | shifted_bits(load_dwords(at + 512 + 64 * u), 2 * j - 4, 0x30303030);
        }
    }
};

// --- Groups of 16 whose weights times their scales fit a byte.
//
// A block's sum of integers stays below 2^22, so it needs no float before its end, and the same bits come of any order:
//   few columns   sums of pairs of groups, scaled as pairs of 16-bit numbers; codes stay where they lie in their bytes
//                 as far as the instruction set's products allow (bits_below)
//   many columns  panels of weights times scales, where products of such codes cost no more
//
//   offset       what is taken from a code
//   times        codes of unpack are larger by this, and d is smaller by it
//   product      the largest weight times scale, above product_offset
//   most_below   that a code, bits_below above the lowest bit, is at most
//   unpack_at    codes with n bits below them

template <class Format>
inline constexpr bool has_small_products = requires {
    Format::product;
};
// Whether products of codes cost the same, however large they are.
inline constexpr bool takes_any_code = code_class(1) == code_class(255);

// A weight's code times 8 for panels, so that the offset is 32 there, as Q6_K's.
struct Q3_K : Sixteens {
    static constexpr int block_bytes = 16 * 110, max_code = 56;
    static constexpr bool has_minimum = false;
    static constexpr int offset = 4, times = 8, product = 252, product_offset = 124;
    static constexpr int most_below = 7 << (takes_any_code ? 4 : 3);
    WALLABY_KERNEL static constexpr int bits_below(int j) {
        return j == 0 ? 0 : (j < 3 ? 2 : (takes_any_code ? 4 : 3));
    }
    using Scales = Nested<group, has_minimum>;
    template <class AnyScales>
    WALLABY_KERNEL static void scales(const uint8_t* block, AnyScales& s) {
        s.d = f16_at(block) * splat(0.125f);
        const I32 high = load_dwords(block + 160);
        WALLABY_UNROLL
        for (int i = 0; i < 4; i++) {
            const I32 low = nibbles(load_dwords(block + 32 + 64 * (i % 2)), i / 2);
            s.set_scales(i, less(low | shifted_bits(high, 2 * i - 4, 0x30303030), 32));
        }
    }
    WALLABY_KERNEL static void unpack_at(const uint8_t* block, int i, int j, int n, I32* codes) {
        WALLABY_UNROLL
        for (int u = 0; u < 4; u++) {
            const I32 low = shifted_bits(load_dwords(block + 736 + 256 * i + 64 * u), 2 * j - n, 0x03030303 << n);
            const I32 high = shift_right(load_dwords(block + 224 + 256 * (i % 2) + 64 * u), i / 2 * 4);
            codes[u] = low | shifted_bits(high, j - 2 - n, 0x04040404 << n);
        }
    }
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        unpack_at(block, i, j, 3, codes);
    }
};

struct Q2_K : Sixteens {
    static constexpr int block_bytes = 16 * 84, max_code = 3;
    static constexpr bool has_minimum = true;
    static constexpr int offset = 0, times = 1, product = 45, product_offset = 0;
    static constexpr int most_below = 3 << (takes_any_code ? 6 : 2);
    WALLABY_KERNEL static constexpr int bits_below(int j) { return takes_any_code ? 2 * j : (j == 0 ? 0 : 2); }
    using Scales = Nested<group, has_minimum>;
    template <class AnyScales>
    WALLABY_KERNEL static void scales(const uint8_t* block, AnyScales& s) {
        s.d = f16_at(block);
        s.dmin = f16_at(block + 32);
        WALLABY_UNROLL
        for (int i = 0; i < 4; i++) {
            const I32 x = load_dwords(block + 64 + 64 * i);
            s.set_scales(i, nibbles(x, 0));
            s.set_minima(i, nibbles(x, 1));
        }
    }
    WALLABY_KERNEL static void unpack_at(const uint8_t* block, int i, int j, int n, I32* codes) {
        WALLABY_UNROLL
        for (int u = 0; u < 4; u++) {
            codes[u] = shifted_bits(load_dwords(block + 320 + 256 * i + 64 * u), 2 * j - n, int32_t(0x03030303u << n));
        }
    }
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        unpack_at(block, i, j, 0, codes);
    }
};

// --- Uneven levels, as IQ4_NL's, under signed scales of 6 bits.

struct IQ4_XS {
    static constexpr int block_bytes = 16 * 136, group = 32, groups_together = 2, max_code = 241;
    static constexpr bool has_minimum = true;
    using Scales = Nested<group, has_minimum>;
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        s.d = f16_at(block);
        s.dmin = s.d * splat(128.0f);
        // The high two bits of scale g at bit 2g; the low four are the nibbles in order.
        const I32 high = load_u16(reinterpret_cast<const uint16_t*>(block + 32)), low = load_dwords(block + 64);
        WALLABY_UNROLL
        for (int i = 0; i < 2; i++) {
            const I32 n = shift_right(low, 16 * i) & 0xffff;
            const I32 spread = (n | (n << 8)) & 0x00ff00ff;  // two nibbles in every other byte
            set_both(s, i, less(((spread | (spread << 4)) & 0x0f0f0f0f) | (spread_pairs(high, i) << 4), 32));
        }
    }
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        unpack_nibbles(block + 128 + 512 * i + 256 * j, codes);
        WALLABY_UNROLL
        for (int u = 0; u < 8; u++) { codes[u] = look_up(iq4_codes.codes, codes[u]); }
    }
};

}  // namespace
}  // namespace wallaby::kernels
