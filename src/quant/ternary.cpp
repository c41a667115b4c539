// Formats of two to four levels under one f16 scale d per block.
#include "quant/block.h"
#include "quant/codecs.h"

namespace wallaby::quant {

namespace {

//  0                48               52
//  | fives: 48 x u8 | fours: 4 x u8  | d f16 |  54 bytes
//  Base-3 digits 0..2 for -1..1, five to a byte in `fives` and four in `fours`. A byte b is the fraction b / 256
//  (rounded up when it was made), so that its leading digit is floor(3b / 256), and 3b mod 256 brings up the next.
//  Weights: for each digit in turn, one from each of fives[0..31] (weights 0..159); likewise fives[32..47]
//  (weights 160..239); likewise fours (weights 240..255).
//  w = (digit - 1) * d
struct TQ1_0 {
    static constexpr size_t len = 256;
    uint8_t fives[48];
    uint8_t fours[4];
    uint16_t d;

    static float* decode_run(const uint8_t* bytes, size_t n_bytes, size_t n_digits, float scale, float* out) {
        uint32_t power = 1;
        for (size_t digit = 0; digit < n_digits; digit++, power *= 3) {
            for (size_t i = 0; i < n_bytes; i++) {
                const uint32_t rest = bytes[i] * power & 255u;
                *out++ = float(int(rest * 3 >> 8) - 1) * scale;
            }
        }
        return out;
    }

    void decode(float* out) const {
        const float scale = base::f32_from_f16(d);
        out = decode_run(fives, 32, 5, scale, out);
        out = decode_run(fives + 32, 16, 5, scale, out);
        decode_run(fours, 4, 4, scale, out);
    }
};
static_assert(sizeof(TQ1_0) == 54);

//  0                64       66
//  | codes: 64 x u8 | d f16  |
//  weight i lies in byte 32 * (i / 128) + i % 32, at bit 2 * (i / 32 % 4)
//  w = (code - 1) * d, code 0..2 (3 is unused and decodes as 2 * d)
struct TQ2_0 {
    static constexpr size_t len = 256;
    uint8_t codes[64];
    uint16_t d;

    void decode(float* out) const {
        const float scale = base::f32_from_f16(d);
        for (size_t i = 0; i < len; i++) {
            const int code = codes[32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4)) & 3;
            out[i] = float(code - 1) * scale;
        }
    }
};
static_assert(sizeof(TQ2_0) == 66);

//  0        2                 18
//  | d f16  | codes: 16 x u8  |
//  weight i lies in byte i / 8, at bit i % 8
//  w = code ? d : -d
struct Q1_0 {
    static constexpr size_t len = 128;
    uint16_t d;
    uint8_t codes[16];

    void decode(float* out) const {
        const float scale = base::f32_from_f16(d);
        for (size_t i = 0; i < len; i++) { out[i] = (codes[i / 8] >> (i % 8) & 1) != 0 ? scale : -scale; }
    }
};
static_assert(sizeof(Q1_0) == 18);

//  0        2                 18
//  | d f16  | codes: 16 x u8  |
//  weight i lies in byte i / 4, at bit 2 * (i % 4)
//  w = (code - 1) * d, code 0..3
struct Q2_0 {
    static constexpr size_t len = 64;
    uint16_t d;
    uint8_t codes[16];

    void decode(float* out) const {
        const float scale = base::f32_from_f16(d);
        for (size_t i = 0; i < len; i++) { out[i] = float((codes[i / 4] >> (2 * (i % 4)) & 3) - 1) * scale; }
    }
};
static_assert(sizeof(Q2_0) == 18);

}  // namespace

void decode_tq1_0(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<TQ1_0>(blocks, out, n_blocks); }
void decode_tq2_0(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<TQ2_0>(blocks, out, n_blocks); }
void decode_q1_0(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q1_0>(blocks, out, n_blocks); }
void decode_q2_0(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q2_0>(blocks, out, n_blocks); }

}  // namespace wallaby::quant
