// Four-bit codes that index sixteen uneven levels (codebooks.h) instead of counting equal steps.
// Codes lie as in Q4_0: of 32 weights, byte j holds weight j in its low nibble and weight j + 16 in its high one.
#include "quant/block.h"
#include "quant/codebooks.h"
#include "quant/codecs.h"

namespace wallaby::quant {

namespace {

void decode_32(const uint8_t* pairs, float scale, float* out) {
    for (size_t j = 0; j < 16; j++) {
        out[j] = scale * float(iq4_levels[pairs[j] & 15]);
        out[j + 16] = scale * float(iq4_levels[pairs[j] >> 4]);
    }
}

//  0        2                 18
//  | d f16  | pairs: 16 x u8  |
//  w = d * levels[code]
struct IQ4_NL {
    static constexpr size_t len = 32;
    uint16_t d;
    uint8_t pairs[16];

    void decode(float* out) const { decode_32(pairs, base::f32_from_f16(d), out); }
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
};
static_assert(sizeof(IQ4_XS) == 136);

}  // namespace

void decode_iq4_nl(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<IQ4_NL>(blocks, out, n_blocks); }
void decode_iq4_xs(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<IQ4_XS>(blocks, out, n_blocks); }

}  // namespace wallaby::quant
