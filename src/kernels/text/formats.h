// What a weight format is to a matmul kernel: how the blocks of 16 rows, in their tile's order (tiles.cpp), become
// unsigned codes and scales. A vector of codes holds four consecutive weights of each row, a code at most max_code.
//
// Three families:
//   flat    (formats_flat.h)    a scale for 32 weights, or 16; weight = scale * (code - offset), or scale * code +
//                               minimum
//   nested  (formats_nested.h,  a block of 256 with small integer scales per group of 16 or 32 under a super-scale;
//            formats_grid.h)    weight = d * scale * (code - 32), or d * scale * code - dmin * minimum
//   plain   (below)             a number each
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

// --- Bytes of vectors, four in a lane.

// Of each byte, the bits of `mask` after a shift to the right, or to the left where n is negative.
WALLABY_KERNEL I32 shifted_bits(I32 x, int n, int32_t mask) {
    return (n >= 0 ? shift_right(x, n) : shift_left(x, -n)) & mask;
}
WALLABY_KERNEL I32 nibbles(I32 x, int which) { return shifted_bits(x, 4 * which, 0x0f0f0f0f); }
// Byte i, as a signed number.
WALLABY_KERNEL I32 byte_at(I32 x, int i) { return shift_left(x, 24 - 8 * i) >> 24; }
// Of four signed bytes, as 16-bit numbers: the first and the third, or the second and the fourth.
WALLABY_KERNEL I32 even_bytes(I32 x) { return as<I32>((as<I16>(x) << 8) >> 8); }
WALLABY_KERNEL I32 odd_bytes(I32 x) { return as<I32>(as<I16>(x) >> 8); }
// Four codes that stand for magnitudes with a sign, bits n to n + 3 of `signs` saying which are negative, above an
// offset.
WALLABY_KERNEL I32 signed_codes(I32 magnitudes, I32 signs, int n, int8_t offset) {
    const auto is_negative = as<Bytes>(spread_bits(signs, n));
    const auto with_sign = (as<Bytes>(magnitudes) ^ is_negative) - is_negative;
    return as<I32>(with_sign + offset);
}
// Four fields of 2 bits, those of byte n of each lane, as bytes.
WALLABY_KERNEL I32 spread_pairs(I32 x, int n) {
    I32 y = shift_right(x, 8 * n) & 0xff;
    y = (y | (y << 12)) & 0x000f000f;
    return (y | (y << 6)) & 0x03030303;
}
WALLABY_KERNEL F32 f16_at(const uint8_t* p) { return load_f16(reinterpret_cast<const uint16_t*>(p)); }

// --- Plain numbers: one weight of each row at a time.

struct PlainF32 {
    static constexpr int step_bytes = 64;
    WALLABY_KERNEL static F32 at(const uint8_t* p) { return load(reinterpret_cast<const float*>(p)); }
};
struct PlainF16 {
    static constexpr int step_bytes = 32;
    WALLABY_KERNEL static F32 at(const uint8_t* p) { return f16_at(p); }
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
    store_u16(p, shift_right(select((bits & 0x7fffffff) > 0x7f800000, quiet, rounded), 16));
}

}  // namespace
}  // namespace wallaby::kernels
