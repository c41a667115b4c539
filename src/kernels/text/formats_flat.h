// Flat formats: parts of 32 weights, or of 16, that have a scale. A format's block holds n_parts of them.
//   block_bytes   of a block of 16 rows
//   part          weights of a part
//   offset        what is taken from a code: 8 or 128, for which the activations hold starts (activations.h), 1 or 16,
//                 which are made from them; 12 for parts of 16; 0 where there is a minimum
//   is_rare       no kernels of its own for more columns than one
//   unpack        one part's codes, part / 4 vectors, and scale
#pragma once
#include "kernels/text/formats.h"
#include "quant/codebooks.h"

namespace wallaby::kernels {
namespace {

// minimum: of formats that have one.
struct FlatScale {
    F32 scale;
    F32 minimum = F32{};
};

// Codes of 4 bits: of 16 weights in the low halves of 16 bytes, of the next 16 in the high ones.
WALLABY_KERNEL void unpack_nibbles(const uint8_t* at, I32* codes) {
    WALLABY_UNROLL
    for (int i = 0; i < 4; i++) {
        const I32 x = load_dwords(at + 64 * i);
        codes[i] = nibbles(x, 0);
        codes[4 + i] = nibbles(x, 1);
    }
}
// A fifth bit for each of them.
WALLABY_KERNEL void add_fifth_bits(const uint8_t* at, I32* codes) {
    const I32 bits = load_dwords(at);
    WALLABY_UNROLL
    for (int i = 0; i < 8; i++) { codes[i] |= spread_bits(bits, 4 * i) & 0x10101010; }
}

struct FlatFormat {
    static constexpr bool is_fetched_ahead = true, has_minimum = false, is_f16_scale = true, is_rare = false;
    static constexpr int n_parts = 1, part = 32;
};

struct Q4_0 : FlatFormat {
    static constexpr int block_bytes = 16 * 18, offset = 8, max_code = 15;
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int, I32* codes) {
        unpack_nibbles(block + 32, codes);
        return {f16_at(block)};
    }
};

struct Q4_1 : FlatFormat {
    static constexpr bool is_rare = true;
    static constexpr int block_bytes = 16 * 20, offset = 0, max_code = 15;
    static constexpr bool has_minimum = true;
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int, I32* codes) {
        unpack_nibbles(block + 64, codes);
        return {f16_at(block), f16_at(block + 32)};
    }
};

struct Q5_0 : FlatFormat {
    static constexpr bool is_rare = true;
    static constexpr int block_bytes = 16 * 22, offset = 16, max_code = 31;
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int, I32* codes) {
        unpack_nibbles(block + 96, codes);
        add_fifth_bits(block + 32, codes);
        return {f16_at(block)};
    }
};

struct Q5_1 : FlatFormat {
    static constexpr bool is_rare = true;
    static constexpr int block_bytes = 16 * 24, offset = 0, max_code = 31;
    static constexpr bool has_minimum = true;
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int, I32* codes) {
        unpack_nibbles(block + 128, codes);
        add_fifth_bits(block + 64, codes);
        return {f16_at(block), f16_at(block + 32)};
    }
};

struct Q8_0 : FlatFormat {
    static constexpr int block_bytes = 16 * 34, offset = 128, max_code = 255;
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int, I32* codes) {
        WALLABY_UNROLL
        for (int i = 0; i < 8; i++) { codes[i] = load_dwords(block + 32 + 64 * i) ^ int32_t(0x80808080); }
        return {f16_at(block)};
    }
};

// Sixteen levels above an offset.
struct Levels {
    uint8_t codes[16] = {};
    constexpr Levels(const std::array<int8_t, 16>& levels, int offset) {
        for (size_t i = 0; i < 16; i++) { codes[i] = uint8_t(levels[i] + offset); }
    }
};
inline constexpr Levels iq4_codes(quant::iq4_levels, 128);
inline constexpr Levels mxfp4_codes(quant::e2m1_doubled, 16), nvfp4_codes(quant::e2m1_doubled, 12);

struct IQ4_NL : FlatFormat {
    static constexpr int block_bytes = 16 * 18, offset = 128, max_code = 241;
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int, I32* codes) {
        unpack_nibbles(block + 32, codes);
        WALLABY_UNROLL
        for (int i = 0; i < 8; i++) { codes[i] = look_up(iq4_codes.codes, codes[i]); }
        return {f16_at(block)};
    }
};

// Levels count halves, so the scale is 2^(e - 128).
struct MXFP4 : FlatFormat {
    static constexpr int block_bytes = 16 * 17, offset = 16, max_code = 28;
    static constexpr bool is_f16_scale = false;
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int, I32* codes) {
        unpack_nibbles(block + 16, codes);
        WALLABY_UNROLL
        for (int i = 0; i < 8; i++) { codes[i] = look_up(mxfp4_codes.codes, codes[i]); }
        const I32 e = load_i8(reinterpret_cast<const int8_t*>(block)) & 0xff;
        return {from_bits(select(e < 2, (e + 1) << 21, (e - 1) << 23))};  // the first two are denormal
    }
};

// Levels count halves; the scale is half an unsigned E4M3 (quant/fp4.cpp).
struct NVFP4 : FlatFormat {
    static constexpr bool is_rare = true;
    static constexpr int block_bytes = 16 * 36, n_parts = 4, part = 16, offset = 12, max_code = 24;
    static constexpr bool is_f16_scale = false;
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int p, I32* codes) {
        WALLABY_UNROLL
        for (int i = 0; i < 2; i++) {
            const I32 x = load_dwords(block + 64 + 128 * p + 64 * i);
            codes[i] = look_up(nvfp4_codes.codes, nibbles(x, 0));
            codes[2 + i] = look_up(nvfp4_codes.codes, nibbles(x, 1));
        }
        const I32 code = shift_right(load_dwords(block), 8 * p) & 0xff;
        const I32 e = shift_right(code, 3) & 15, mantissa = code & 7;
        const F32 normal = from_bits(((e + (127 - 8)) << 23) | (mantissa << 20));
        const F32 scale = select(e == 0, to_f32(mantissa) * splat(0x1p-10f), normal);
        return {select(code == 0x7f, F32{}, scale)};
    }
};

// One bit: -1 or 1.
struct Q1_0 : FlatFormat {
    static constexpr bool is_rare = true;
    static constexpr int block_bytes = 16 * 18, n_parts = 4, offset = 1, max_code = 2;
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int p, I32* codes) {
        const I32 bits = load_dwords(block + 32 + 64 * p);
        WALLABY_UNROLL
        for (int i = 0; i < 8; i++) { codes[i] = spread_bits(bits, 4 * i) & 0x02020202; }
        return {f16_at(block)};
    }
};

// Two bits: -1 to 2.
struct Q2_0 : FlatFormat {
    static constexpr bool is_rare = true;
    static constexpr int block_bytes = 16 * 18, n_parts = 2, offset = 1, max_code = 3;
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int p, I32* codes) {
        WALLABY_UNROLL
        for (int i = 0; i < 8; i++) {
            codes[i] = spread_pairs(load_dwords(block + 32 + 128 * p + 64 * (i / 4)), i % 4);
        }
        return {f16_at(block)};
    }
};
struct TQ2_0 : FlatFormat {
    static constexpr bool is_rare = true;
    static constexpr int block_bytes = 16 * 66, n_parts = 8, offset = 1, max_code = 3;
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int p, I32* codes) {
        WALLABY_UNROLL
        for (int i = 0; i < 8; i++) {
            codes[i] = shifted_bits(load_dwords(block + 32 + 512 * (p / 4) + 64 * i), 2 * (p % 4), 0x03030303);
        }
        return {f16_at(block)};
    }
};

// Digits to the base of 3, five to a byte (quant/ternary.cpp). Weights 0 to 159 are digits of the first 32 bytes, to
// 239 of the next 16, and 16 more of the last 4.
struct TQ1_0 : FlatFormat {
    static constexpr bool is_rare = true;
    static constexpr int block_bytes = 16 * 54, n_parts = 8, offset = 1, max_code = 2;
    WALLABY_KERNEL static I32 digits(I32 bytes, int which) {
        static constexpr int16_t powers[] = {1, 3, 9, 27, 81};
        const int16_t power = powers[which];
        const auto digit = [power](I32 x) WALLABY_INLINE {  // of bytes, one to 16 bits
            const auto rest = (as<I16>(x) * power) & 0xff;
            return as<I32>((rest * 3) >> 8);
        };
        return digit(bytes & 0x00ff00ff) | (digit(shift_right(bytes, 8) & 0x00ff00ff) << 8);
    }
    WALLABY_KERNEL static FlatScale unpack(const uint8_t* block, int p, I32* codes) {
        const uint8_t* at = block + 32;
        const bool is_first = p < 5, is_last = p == 7;
        WALLABY_UNROLL
        for (int i = 0; i < 4; i++) {
            const int digit = is_first ? p : 2 * (p - 5);
            codes[i] = digits(load_dwords(at + 64 * (is_first ? i : 8 + i)), digit);
            codes[4 + i] = digits(load_dwords(at + 64 * (is_first ? 4 + i : (is_last ? 12 : 8 + i))),
                                  is_first ? p : (is_last ? i : digit + 1));
        }
        return {f16_at(block)};
    }
};

}  // namespace
}  // namespace wallaby::kernels
