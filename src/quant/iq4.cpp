// Four-bit codes that index sixteen uneven levels (codebooks.h) instead of counting equal steps.
// Codes lie as in Q4_0: of 32 weights, byte j holds weight j in its low nibble and weight j + 16 in its high one.
#include <algorithm>

#include "quant/block.h"
#include "quant/codebooks.h"
#include "quant/codecs.h"
#include "quant/fit.h"
#include "quant/fit_blocks.h"

namespace wallaby::quant {

namespace {

void decode_32(const uint8_t* pairs, float scale, float* out) {
    for (size_t j = 0; j < 16; j++) {
        out[j] = scale * float(iq4_levels[pairs[j] & 15]);
        out[j + 16] = scale * float(iq4_levels[pairs[j] >> 4]);
    }
}

void put_32(const int8_t* levels, uint8_t* pairs) {
    const auto code = [](int8_t level) { return std::ranges::lower_bound(iq4_levels, level) - iq4_levels.begin(); };
    for (size_t j = 0; j < 16; j++) { pairs[j] = uint8_t(code(levels[j]) | code(levels[j + 16]) << 4); }
}

//  0        2                 18
//  | d f16  | pairs: 16 x u8  |
//  w = d * levels[code]
struct IQ4_NL {
    static constexpr size_t len = 32;
    uint16_t d;
    uint8_t pairs[16];

    void decode(float* out) const { decode_32(pairs, base::f32_from_f16(d), out); }

    static constexpr auto fit = fit_scaled<len, Iq4Levels>;
    static IQ4_NL of(const BlockFit<len>& found) {
        IQ4_NL block = {found.d, {}};
        put_32(found.codes, block.pairs);
        return block;
    }
};
static_assert(sizeof(IQ4_NL) == 18);

//  0        2            4                    8
//  | d f16  | high: u16  | low: 4 x u8        | pairs: 128 x u8 |  136 bytes
//  scale g, of weights 32g..32g+31, has 6 bits: the low four in nibble g of `low`, the high two at bit 2g of `high`
//  w = (d * (scale - 32)) * levels[code]
struct IQ4_XS {
    static constexpr size_t len = 256;
    uint16_t d;
    uint16_t high;
    uint8_t low[4];
    uint8_t pairs[128];

    int scale_of(size_t group) const {
        return (low[group / 2] >> (4 * (group % 2)) & 15) | (high >> (2 * group) & 3) << 4;
    }

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        for (size_t group = 0; group < 8; group++) {
            decode_32(pairs + 16 * group, super_scale * float(scale_of(group) - 32), out + 32 * group);
        }
    }

    static IQ4_XS encode(const float* in, const float* importance) {
        const CentredFit fit = fit_centred<32, Iq4Levels, 32>(in, importance);
        IQ4_XS block = {};
        block.d = fit.d;
        for (size_t g = 0; g < 8; g++) {
            const int scale = fit.scales[g] + 32;
            block.low[g / 2] |= uint8_t((scale & 15) << (4 * (g % 2)));
            block.high |= uint16_t((scale >> 4) << (2 * g));
            put_32(fit.levels + 32 * g, block.pairs + 16 * g);
        }
        return block;
    }
};
static_assert(sizeof(IQ4_XS) == 136);

}  // namespace

void decode_iq4_nl(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<IQ4_NL>(blocks, out, n_blocks); }
void decode_iq4_xs(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<IQ4_XS>(blocks, out, n_blocks); }

void encode_iq4_nl(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_fits<IQ4_NL>(in, blocks, n_blocks, importance);
}
void encode_iq4_xs(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<IQ4_XS>(in, blocks, n_blocks, importance);
}

}  // namespace wallaby::quant
