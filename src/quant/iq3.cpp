// IQ3: four weights at a time are one entry of a grid of magnitudes (codebooks.h); every eight weights have eight
// signs, bit j set meaning that weight j is negative. Super-blocks of 256 weights share an f16 scale d.
#include "quant/block.h"
#include "quant/codebooks.h"
#include "quant/codecs.h"
#include "quant/fit_grid.h"

namespace wallaby::quant {

namespace {

void decode_4(const Grid4& magnitudes, uint32_t signs, float scale, float* out) {
    for (size_t j = 0; j < 4; j++) { out[j] = scale * float((signs >> j & 1u) != 0 ? -magnitudes[j] : magnitudes[j]); }
}

//  0        2                  66                             98
//  | d f16  | entries: 64 x u8 | signs and scales: 8 x u32    |
//  word g, of weights 32g..32g+31: 4 x 7 bits of signs, the 4-bit scale s in bits 28..31
//  w = ((d * (s + 1/2)) / 2) * (+-magnitude)
struct IQ3_XXS {
    static constexpr size_t len = 256;
    uint16_t d;
    uint8_t entries[64];
    uint8_t signs_and_scales[32];

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        for (size_t group = 0; group < 8; group++) {
            const auto word = base::load_le<uint32_t>(signs_and_scales + 4 * group);
            const float scale = super_scale * (0.5f + float(word >> 28)) * 0.5f;
            for (size_t k = 0; k < 8; k++, out += 4) {
                const uint32_t signs = signs_from_7_bits(word >> (7 * (k / 2))) >> (4 * (k % 2));
                decode_4(iq3_xxs_grid[entries[8 * group + k]], signs, scale, out);
            }
        }
    }

    static IQ3_XXS encode(const float* in, const float* importance) {
        const GridFit fit = fit_grid<Type::iq3_xxs>(in, importance);
        IQ3_XXS block = {};
        block.d = fit.d;
        for (size_t k = 0; k < 64; k++) { block.entries[k] = uint8_t(fit.entries[k]); }
        for (size_t g = 0; g < 8; g++) {
            uint32_t word = uint32_t(fit.scales[g]) << 28;
            for (size_t k = 0; k < 4; k++) { word |= (fit.signs[4 * g + k] & 127u) << (7 * k); }
            std::memcpy(block.signs_and_scales + 4 * g, &word, sizeof(word));
        }
        return block;
    }
};
static_assert(sizeof(IQ3_XXS) == 98);

//  0        2              66             74              106              110
//  | d f16  | low: 64 x u8 | high: 8 x u8 | signs: 32 x u8 | scales: 4 x u8 |
//  entry k, of weights 4k..4k+3: low[k] and, above it, bit k % 8 of high[k / 8]
//  nibble g of scales is s of weights 32g..32g+31
//  w = (d * (2s + 1)) * (+-magnitude)
struct IQ3_S {
    static constexpr size_t len = 256;
    uint16_t d;
    uint8_t low[64];
    uint8_t high[8];
    uint8_t signs[32];
    uint8_t scales[4];

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        for (size_t k = 0; k < 64; k++) {
            const size_t group = k / 8;
            const uint32_t s = scales[group / 2] >> (4 * (group % 2)) & 15u;
            const uint32_t entry = low[k] | (high[group] >> (k % 8) & 1u) << 8;
            const uint32_t four_signs = uint32_t(signs[k / 2]) >> (4 * (k % 2));
            decode_4(iq3_s_grid[entry], four_signs, super_scale * float(2 * s + 1), out + 4 * k);
        }
    }

    static IQ3_S encode(const float* in, const float* importance) {
        const GridFit fit = fit_grid<Type::iq3_s>(in, importance);
        IQ3_S block = {};
        block.d = fit.d;
        for (size_t k = 0; k < 64; k++) {
            block.low[k] = uint8_t(fit.entries[k]);
            block.high[k / 8] |= uint8_t((fit.entries[k] >> 8) << (k % 8));
        }
        std::memcpy(block.signs, fit.signs, sizeof(block.signs));
        for (size_t i = 0; i < 4; i++) { block.scales[i] = uint8_t(fit.scales[2 * i] | fit.scales[2 * i + 1] << 4); }
        return block;
    }
};
static_assert(sizeof(IQ3_S) == 110);

}  // namespace

void decode_iq3_xxs(const uint8_t* blocks, float* out, size_t n_blocks) {
    decode_blocks<IQ3_XXS>(blocks, out, n_blocks);
}
void decode_iq3_s(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<IQ3_S>(blocks, out, n_blocks); }

void encode_iq3_xxs(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<IQ3_XXS>(in, blocks, n_blocks, importance);
}
void encode_iq3_s(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<IQ3_S>(in, blocks, n_blocks, importance);
}

}  // namespace wallaby::quant
