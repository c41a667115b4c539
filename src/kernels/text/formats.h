// What a weight format is to a matmul kernel: how the blocks of 16 rows, in their tile's order (tiles.cpp), become
// unsigned codes and scales. A vector of codes holds four consecutive weights of each row.
//
// Two families. Flat: a block of 32 with one scale; weight = scale * (code - offset), offset 8 or 128. Nested:
// a block of 256 with integer scales per group under a super-scale; weight = d * scale * (code - offset) - dmin *
// minimum.
#pragma once
#include "kernels/kernels.h"

namespace wallaby::kernels {
namespace {

// How far ahead of use a tile is fetched, bytes: first to the second cache, whose waiting list is long enough to keep
// the memory busy while sums are made, then to the first (docs/performance.md).
inline constexpr int far_fetch = 3072, near_fetch = 1024;

template <int n_bytes>
WALLABY_KERNEL void prefetch_ahead(const uint8_t* tile) {
    WALLABY_UNROLL
    for (int i = 0; i < n_bytes; i += 64) {
        prefetch_later(tile + far_fetch + i);
        prefetch(tile + near_fetch + i);
    }
}

struct Q4_0 {
    static constexpr bool is_fetched_ahead = true;
    static constexpr int block_bytes = 16 * 18, offset = 8, max_code = 15;
    WALLABY_KERNEL static F32 unpack(const uint8_t* block, I32* codes) {
        WALLABY_UNROLL
        for (int i = 0; i < 4; i++) {
            const I32 x = load_dwords(block + 32 + 64 * i);
            codes[i] = x & 0x0f0f0f0f;
            codes[4 + i] = shift_right(x, 4) & 0x0f0f0f0f;
        }
        return load_f16(reinterpret_cast<const uint16_t*>(block));
    }
};

struct Q8_0 {
    static constexpr bool is_fetched_ahead = true;
    static constexpr int block_bytes = 16 * 34, offset = 128, max_code = 255;
    WALLABY_KERNEL static F32 unpack(const uint8_t* block, I32* codes) {
        WALLABY_UNROLL
        for (int i = 0; i < 8; i++) { codes[i] = load_dwords(block + 32 + 64 * i) ^ int32_t(0x80808080); }
        return load_f16(reinterpret_cast<const uint16_t*>(block));
    }
};

// The scales of a block of 256, of 16 rows.
template <int n_groups>
struct Nested {
    F32 d, dmin;
    F32 scales[n_groups];
    I32 minima[4];  // pairs of i16: of groups (0,2) (1,3) (4,6) (5,7)
};

struct Q4_K {
    static constexpr int block_bytes = 16 * 144, group = 32, max_code = 15;
    static constexpr bool has_minimum = true;
    using Scales = Nested<8>;
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        const auto* d = reinterpret_cast<const uint16_t*>(block);
        s.d = load_f16(d);
        s.dmin = load_f16(d + 16);
        const I32 a = load_dwords(block + 64), b = load_dwords(block + 128), c = load_dwords(block + 192);
        const I32 low = a & 0x3f3f3f3f, high = (c & 0x0f0f0f0f) | (shift_right(a, 2) & 0x30303030);
        const I32 min_low = b & 0x3f3f3f3f;
        const I32 min_high = (shift_right(c, 4) & 0x0f0f0f0f) | (shift_right(b, 2) & 0x30303030);
        WALLABY_UNROLL
        for (int i = 0; i < 4; i++) {
            s.scales[i] = to_f32(shift_right(low, 8 * i) & 0xff);
            s.scales[4 + i] = to_f32(shift_right(high, 8 * i) & 0xff);
        }
        s.minima[0] = min_low & 0x00ff00ff;
        s.minima[1] = shift_right(min_low, 8) & 0x00ff00ff;
        s.minima[2] = min_high & 0x00ff00ff;
        s.minima[3] = shift_right(min_high, 8) & 0x00ff00ff;
    }
    // Groups 2i and 2i + 1.
    static constexpr int groups_together = 2, first_codes = 256, step_bytes = 512;
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        const uint8_t* at = block + first_codes + step_bytes * i;
        WALLABY_UNROLL
        for (int u = 0; u < 8; u++) { codes[u] = shift_right(load_dwords(at + 64 * u), 4 * j) & 0x0f0f0f0f; }
    }
    // The group that unpack(block, i, j) gives.
    WALLABY_KERNEL static constexpr int index(int i, int j) { return 2 * i + j; }
};

struct Q6_K {
    static constexpr int block_bytes = 16 * 210, group = 16, max_code = 63;
    static constexpr bool has_minimum = false;  // an offset of 32: the starts of the activations
    using Scales = Nested<16>;
    WALLABY_KERNEL static void scales(const uint8_t* block, Scales& s) {
        s.d = load_f16(reinterpret_cast<const uint16_t*>(block));
        WALLABY_UNROLL
        for (int i = 0; i < 16; i++) {
            s.scales[i] = to_f32(reinterpret_cast<I32>(reinterpret_cast<U32>(load_dwords(block + 32 + 64 * (i / 4)))
                                                       << (24 - 8 * (i % 4))) >>
                                 24);
        }
    }
    // The i-th 64 weights of the tile's order: halves of 128, in each the 16 weights from 16 * (i % 2) on of its four
    // 32s.
    static constexpr int groups_together = 4, first_codes = 288, step_bytes = 768;
    WALLABY_KERNEL static void unpack(const uint8_t* block, int i, int j, I32* codes) {
        const uint8_t* at = block + first_codes + step_bytes * i;
        WALLABY_UNROLL
        for (int u = 0; u < 4; u++) {
            const I32 low = shift_right(load_dwords(at + 256 * (j % 2) + 64 * u), j / 2 * 4) & 0x0f0f0f0f;
            const I32 x = load_dwords(at + 512 + 64 * u);
            const I32 high = j < 2 ? I32(reinterpret_cast<U32>(x) << (4 - 2 * j)) : shift_right(x, 2 * j - 4);
            codes[u] = low | (high & 0x30303030);
        }
    }
    WALLABY_KERNEL static constexpr int index(int i, int j) { return i / 2 * 8 + i % 2 + 2 * j; }
};

// --- Plain numbers: one weight of each row at a time.

struct PlainF32 {
    static constexpr int step_bytes = 64;
    WALLABY_KERNEL static F32 at(const uint8_t* p) { return load(reinterpret_cast<const float*>(p)); }
};
struct PlainF16 {
    static constexpr int step_bytes = 32;
    WALLABY_KERNEL static F32 at(const uint8_t* p) { return load_f16(reinterpret_cast<const uint16_t*>(p)); }
};
struct PlainBf16 {
    static constexpr int step_bytes = 32;
    WALLABY_KERNEL static F32 at(const uint8_t* p) {
        return from_bits(load_u16(reinterpret_cast<const uint16_t*>(p)) << 16);
    }
};

// As base/float16.h rounds.
WALLABY_KERNEL void store_bf16(uint16_t* p, F32 x) {
    const I32 bits = bits_of(x);
    const I32 rounded = bits + 0x7fff + (shift_right(bits, 16) & 1);
    const I32 quiet = bits | 0x400000;
    store_u16(p, shift_right((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded, 16));
}

// --- What is the same for every width.

// Where the starts of a flat format lie in a group of 32 k.
template <class Format>
constexpr int flat_start(int width) {
    return (Format::offset == 8 ? 32 : 36) * width;
}
template <class Format>
WALLABY_KERNEL I32 nested_start(const uint8_t* activations) {
    return Format::has_minimum ? splat(sum_zero) : splat_dword(activations);
}
// A sum that began at sum_zero, as a number; exact.
WALLABY_KERNEL F32 number_of(I32 sum) { return from_bits(sum) - splat(sum_zero_f32); }

// y and what a block of 256 adds: of the sum of its groups, and of their minima where the format has some. pairs,
// s_act: the column's sums of activations and their scale.
template <class Format, class Scales>
WALLABY_KERNEL F32 add_nested(F32 y, F32 sum, const Scales& s, const uint8_t* pairs, const uint8_t* s_act) {
    F32 scaled;
    if constexpr (Format::has_minimum) {
        I32 minima = splat(sum_zero);
        WALLABY_UNROLL
        for (int i = 0; i < 4; i++) { minima = add_pair_products(minima, s.minima[i], splat_dword(pairs + 4 * i)); }
        scaled = fma(sum, s.d, SumFactor(-s.dmin).times(minima));
    } else {
        scaled = sum * s.d;
    }
    return fma(scaled, splat_f32(s_act), y);
}

// --- Panels: tiles unpacked once, for many columns. 16 rows times a block lie together, codes first.

// A panel is written faster than a tile is multiplied, so what it reads must be under way earlier.
inline constexpr int panel_prefetch_distance = 8192;
template <int n_bytes>
WALLABY_KERNEL void prefetch_panel(const uint8_t* block) {
    WALLABY_UNROLL
    for (int i = 0; i < n_bytes; i += 64) { prefetch_later(block + panel_prefetch_distance + i); }
}

template <class Format>
struct FlatPanel {
    static constexpr int block_bytes = 9 * 64;
    static void write(const uint8_t* block, uint8_t* out) {
        prefetch_panel<Format::block_bytes>(block);
        I32 codes[8];
        const F32 scale = Format::unpack(block, codes);
        WALLABY_UNROLL
        for (int i = 0; i < 8; i++) { store_dwords(out + 64 * i, codes[i]); }
        store(reinterpret_cast<float*>(out + 512), scale);
    }
    WALLABY_KERNEL static F32 scale(const uint8_t* block) { return load(reinterpret_cast<const float*>(block + 512)); }
};

template <class Format>
struct NestedPanel {
    static constexpr int n_vectors = Format::group / 4;  // of a group
    using Scales = typename Format::Scales;
    static constexpr int block_bytes = 64 * 64 + int(sizeof(Scales));
    static void write(const uint8_t* block, uint8_t* out) {
        prefetch_panel<Format::block_bytes>(block);
        Scales s;
        Format::scales(block, s);
        if constexpr (!Format::has_minimum) {
            s.dmin = F32{};
            for (I32& m : s.minima) { m = I32{}; }
        }
        std::memcpy(out + 64 * 64, &s, sizeof(s));
        for (int i = 0; i < 256 / Format::group / Format::groups_together; i++) {
            WALLABY_UNROLL
            for (int j = 0; j < Format::groups_together; j++) {
                I32 codes[n_vectors];
                Format::unpack(block, i, j, codes);
                WALLABY_UNROLL
                for (int u = 0; u < n_vectors; u++) { store_dwords(out + codes_at(i, j) + 64 * u, codes[u]); }
            }
        }
    }
    WALLABY_KERNEL static const Scales& scales(const uint8_t* block) {
        return *reinterpret_cast<const Scales*>(block + 64 * 64);
    }
    // Where the codes of the group lie that Format::unpack(block, i, j) gives.
    WALLABY_KERNEL static constexpr int codes_at(int i, int j) {
        return 64 * n_vectors * (i * Format::groups_together + j);
    }
};

}  // namespace
}  // namespace wallaby::kernels
