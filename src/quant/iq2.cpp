// IQ2: eight weights at a time are one entry of a grid of magnitudes (codebooks.h) and eight signs; bit j of the signs
// set means that weight j is negative. Super-blocks of 256 weights share an f16 scale d. A group's 4-bit scale s stands
// for (s + 1/2) / 4, so w = ((d * (s + 1/2)) / 4) * (+-magnitude).
#include "quant/block.h"
#include "quant/codebooks.h"
#include "quant/codecs.h"
#include "quant/fit_grid.h"

namespace wallaby::quant {

namespace {

float group_scale(float super_scale, uint32_t s) { return super_scale * (0.5f + float(s)) * 0.25f; }

void decode_8(const Grid8& magnitudes, uint32_t signs, float scale, float* out) {
    for (size_t j = 0; j < 8; j++) { out[j] = scale * float((signs >> j & 1u) != 0 ? -magnitudes[j] : magnitudes[j]); }
}

void pack_nibbles(const uint8_t (&scales)[16], uint8_t (&out)[8]) {
    for (size_t i = 0; i < 8; i++) { out[i] = uint8_t(scales[2 * i] | scales[2 * i + 1] << 4); }
}

//  0        2                      66
//  | d f16  | groups: 8 x 8 bytes  |    a group is 32 weights:
//                                       | entries: 4 x u8 | u32: 4 x 7 bits of signs, s in bits 28..31 |
struct IQ2_XXS {
    static constexpr size_t len = 256;
    struct Group {
        uint8_t entries[4];
        uint8_t signs_and_scale[4];
    };
    uint16_t d;
    Group groups[8];

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        for (const Group& group : groups) {
            const auto word = base::load_le<uint32_t>(group.signs_and_scale);
            const float scale = group_scale(super_scale, word >> 28);
            for (size_t k = 0; k < 4; k++, out += 8) {
                decode_8(iq2_xxs_grid[group.entries[k]], signs_from_7_bits(word >> (7 * k)), scale, out);
            }
        }
    }

    static IQ2_XXS encode(const float* in, const float* importance) {
        const GridFit fit = fit_grid<Type::iq2_xxs>(in, importance);
        IQ2_XXS block = {};
        block.d = fit.d;
        for (size_t g = 0; g < 8; g++) {
            uint32_t word = uint32_t(fit.scales[g]) << 28;
            for (size_t k = 0; k < 4; k++) {
                block.groups[g].entries[k] = uint8_t(fit.entries[4 * g + k]);
                word |= (fit.signs[4 * g + k] & 127u) << (7 * k);
            }
            std::memcpy(block.groups[g].signs_and_scale, &word, sizeof(word));
        }
        return block;
    }
};
static_assert(sizeof(IQ2_XXS) == 66);

//  0        2                 66               74
//  | d f16  | words: 32 x u16 | scales: 8 x u8 |
//  words[k], weights 8k..8k+7: entry in bits 0..8, signs in bits 9..15
//  scales[g]: s of weights 32g..32g+15 in the low nibble, of the next 16 in the high one
struct IQ2_XS {
    static constexpr size_t len = 256;
    uint16_t d;
    uint16_t words[32];
    uint8_t scales[8];

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        for (size_t k = 0; k < 32; k++) {
            const float scale = group_scale(super_scale, scales[k / 4] >> (4 * (k / 2 % 2)) & 15u);
            decode_8(iq2_xs_grid[words[k] & 511u], signs_from_7_bits(words[k] >> 9), scale, out + 8 * k);
        }
    }

    static IQ2_XS encode(const float* in, const float* importance) {
        const GridFit fit = fit_grid<Type::iq2_xs>(in, importance);
        IQ2_XS block = {};
        block.d = fit.d;
        for (size_t k = 0; k < 32; k++) { block.words[k] = uint16_t(fit.entries[k] | (fit.signs[k] & 127) << 9); }
        pack_nibbles(fit.scales, block.scales);
        return block;
    }
};
static_assert(sizeof(IQ2_XS) == 74);

//  0        2              34              66             74               82
//  | d f16  | low: 32 x u8 | signs: 32 x u8 | high: 8 x u8 | scales: 8 x u8 |
//  entry k, of weights 8k..8k+7: low[k] and, above it, two bits of high[k / 4] at bit 2 * (k % 4)
//  scales: as IQ2_XS
struct IQ2_S {
    static constexpr size_t len = 256;
    uint16_t d;
    uint8_t low[32];
    uint8_t signs[32];
    uint8_t high[8];
    uint8_t scales[8];

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        for (size_t k = 0; k < 32; k++) {
            const float scale = group_scale(super_scale, scales[k / 4] >> (4 * (k / 2 % 2)) & 15u);
            const uint32_t entry = low[k] | (high[k / 4] >> (2 * (k % 4)) & 3u) << 8;
            decode_8(iq2_s_grid[entry], signs[k], scale, out + 8 * k);
        }
    }

    static IQ2_S encode(const float* in, const float* importance) {
        const GridFit fit = fit_grid<Type::iq2_s>(in, importance);
        IQ2_S block = {};
        block.d = fit.d;
        for (size_t k = 0; k < 32; k++) {
            block.low[k] = uint8_t(fit.entries[k]);
            block.signs[k] = fit.signs[k];
            block.high[k / 4] |= uint8_t((fit.entries[k] >> 8) << (2 * (k % 4)));
        }
        pack_nibbles(fit.scales, block.scales);
        return block;
    }
};
static_assert(sizeof(IQ2_S) == 82);

}  // namespace

void decode_iq2_xxs(const uint8_t* blocks, float* out, size_t n_blocks) {
    decode_blocks<IQ2_XXS>(blocks, out, n_blocks);
}
void decode_iq2_xs(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<IQ2_XS>(blocks, out, n_blocks); }
void decode_iq2_s(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<IQ2_S>(blocks, out, n_blocks); }

void encode_iq2_xxs(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<IQ2_XXS>(in, blocks, n_blocks, importance);
}
void encode_iq2_xs(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<IQ2_XS>(in, blocks, n_blocks, importance);
}
void encode_iq2_s(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<IQ2_S>(in, blocks, n_blocks, importance);
}

}  // namespace wallaby::quant
