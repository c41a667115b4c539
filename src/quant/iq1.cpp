// IQ1: eight weights at a time are one entry of a grid of {-1, 0, 1} (codebooks.h), moved by 1/8 up or down together.
// Super-blocks of 256 weights share an f16 scale d; a group's 3-bit scale s stands for 2s + 1.
// w = (d * (2s + 1)) * (value +- 1/8)
#include "quant/block.h"
#include "quant/codebooks.h"
#include "quant/codecs.h"
#include "quant/fit_grid.h"

namespace wallaby::quant {

namespace {

void decode_8(const Grid8& values, bool down, float scale, float* out) {
    const float shift = down ? -0.125f : 0.125f;
    for (size_t j = 0; j < 8; j++) { out[j] = scale * (float(values[j]) + shift); }
}

//  0        2              34              50
//  | d f16  | low: 32 x u8 | high: 8 x u16 |
//  high[g], of weights 32g..32g+31: bits 0..11 the top three bits of its four entries, 12..14 s, 15 move down
//  entry k, of weights 8k..8k+7: low[k] and, above it, three bits of high[k / 4] at bit 3 * (k % 4)
struct IQ1_S {
    static constexpr size_t len = 256;
    uint16_t d;
    uint8_t low[32];
    uint16_t high[8];

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        for (size_t k = 0; k < 32; k++) {
            const uint32_t word = high[k / 4];
            const uint32_t entry = low[k] | (word >> (3 * (k % 4)) & 7u) << 8;
            const float scale = super_scale * float(2 * (word >> 12 & 7u) + 1);
            decode_8(iq1_grid[entry], (word & 0x8000u) != 0, scale, out + 8 * k);
        }
    }

    static IQ1_S encode(const float* in, const float* importance) {
        const GridFit fit = fit_grid<Type::iq1_s>(in, importance);
        IQ1_S block = {};
        block.d = fit.d;
        for (size_t k = 0; k < 32; k++) {
            block.low[k] = uint8_t(fit.entries[k]);
            block.high[k / 4] |= uint16_t((fit.entries[k] >> 8) << (3 * (k % 4)));
        }
        for (size_t g = 0; g < 8; g++) {
            block.high[g] |= uint16_t(fit.scales[g] << 12 | (fit.down[4 * g] ? 0x8000 : 0));
        }
        return block;
    }
};
static_assert(sizeof(IQ1_S) == 50);

//  0              32              48               56
//  | low: 32 x u8 | high: 16 x u8 | scales: 4 x u16 |
//  nibble k of high, of weights 8k..8k+7: bits 0..2 the top three bits of its entry, bit 3 move down
//  scales[q]: 4 x 3 bits, s of weights 64q + 16n .. 64q + 16n + 15 at bit 3n; bits 12..15 are bits 4q..4q+3 of d (f16)
struct IQ1_M {
    static constexpr size_t len = 256;
    uint8_t low[32];
    uint8_t high[16];
    uint16_t scales[4];

    void decode(float* out) const {
        uint32_t d = 0;
        for (size_t q = 0; q < 4; q++) { d |= uint32_t(scales[q] >> 12) << (4 * q); }
        const float super_scale = base::f32_from_f16(uint16_t(d));
        for (size_t k = 0; k < 32; k++) {
            const uint32_t nibble = high[k / 2] >> (4 * (k % 2)) & 15u;
            const uint32_t entry = low[k] | (nibble & 7u) << 8;
            const uint32_t s = scales[k / 8] >> (3 * (k / 2 % 4)) & 7u;
            decode_8(iq1_grid[entry], (nibble & 8u) != 0, super_scale * float(2 * s + 1), out + 8 * k);
        }
    }

    static IQ1_M encode(const float* in, const float* importance) {
        const GridFit fit = fit_grid<Type::iq1_m>(in, importance);
        IQ1_M block = {};
        for (size_t k = 0; k < 32; k++) {
            block.low[k] = uint8_t(fit.entries[k]);
            block.high[k / 2] |= uint8_t((fit.entries[k] >> 8 | (fit.down[k] ? 8 : 0)) << (4 * (k % 2)));
        }
        for (size_t g = 0; g < 16; g++) { block.scales[g / 4] |= uint16_t(fit.scales[g] << (3 * (g % 4))); }
        for (size_t q = 0; q < 4; q++) { block.scales[q] |= uint16_t((fit.d >> (4 * q) & 15) << 12); }
        return block;
    }
};
static_assert(sizeof(IQ1_M) == 56);

}  // namespace

void decode_iq1_s(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<IQ1_S>(blocks, out, n_blocks); }
void decode_iq1_m(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<IQ1_M>(blocks, out, n_blocks); }

void encode_iq1_s(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<IQ1_S>(in, blocks, n_blocks, importance);
}
void encode_iq1_m(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<IQ1_M>(in, blocks, n_blocks, importance);
}

}  // namespace wallaby::quant
