// K-quants: super-blocks of 256 weights with one f16 scale d (and, where there are minima, an f16 scale m for them);
// groups of 16 or 32 weights have small integer scales and minima of their own. Groups follow the order of weights.
//
// Codes are spread so that neighbouring bytes hold neighbouring weights. Within a run of bytes:
//   2-bit fields: weight i lies in byte 32 * (i / 128) + i % 32, at bit 2 * (i / 32 % 4)
//   nibbles:      weight i lies in byte 32 * (i / 64) + i % 32, at bit 4 * (i / 32 % 2)
//   single bits:  weight i lies in byte i % 32, at bit i / 32
#include "quant/block.h"
#include "quant/codecs.h"
#include "quant/fit.h"

namespace wallaby::quant {

namespace {

constexpr size_t len_256 = 256;

constexpr int bits2(const uint8_t* bytes, size_t i) { return bytes[32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4)) & 3; }
constexpr int bits4(const uint8_t* bytes, size_t i) { return bytes[32 * (i / 64) + i % 32] >> (4 * (i / 32 % 2)) & 15; }
constexpr int bits1(const uint8_t* bytes, size_t i) { return bytes[i % 32] >> (i / 32) & 1; }

constexpr void put2(uint8_t* bytes, size_t i, int code) {
    bytes[32 * (i / 128) + i % 32] |= uint8_t((code & 3) << (2 * (i / 32 % 4)));
}
constexpr void put4(uint8_t* bytes, size_t i, int code) {
    bytes[32 * (i / 64) + i % 32] |= uint8_t((code & 15) << (4 * (i / 32 % 2)));
}
constexpr void put1(uint8_t* bytes, size_t i, int code) { bytes[i % 32] |= uint8_t((code & 1) << (i / 32)); }

//  0                   16                64       80 82
//  | scales: 16 x u8   | codes: 64 x u8  | d f16  | m f16 |  84 bytes
//  scales[g]: scale in the low nibble, minimum in the high one, of weights 16g..16g+15
//  w = (d * scale) * code - m * minimum, code 0..3
struct Q2_K {
    static constexpr size_t len = len_256;
    uint8_t scales[16];
    uint8_t codes[64];
    uint16_t d;
    uint16_t m;

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        const float super_minimum = base::f32_from_f16(m);
        for (size_t group = 0; group < 16; group++) {
            const float scale = super_scale * float(scales[group] & 15);
            const float minimum = super_minimum * float(scales[group] >> 4);
            for (size_t i = 16 * group; i < 16 * group + 16; i++) { out[i] = scale * float(bits2(codes, i)) - minimum; }
        }
    }

    static Q2_K encode(const float* in, const float* importance) {
        const AffineFit fit = fit_affine<16, 3, 15>(in, importance);
        Q2_K block = {};
        block.d = fit.d;
        block.m = fit.m;
        for (size_t g = 0; g < 16; g++) { block.scales[g] = uint8_t(fit.scales[g] | fit.minima[g] << 4); }
        for (size_t i = 0; i < len; i++) { put2(block.codes, i, fit.codes[i]); }
        return block;
    }
};
static_assert(sizeof(Q2_K) == 84);

//  0                32               96                 108
//  | high: 32 x u8  | codes: 64 x u8 | scales: 12 x u8  | d f16 |  110 bytes
//  scale g (of weights 16g..16g+15) has 6 bits: its low four in byte g % 8, at bit 4 * (g / 8);
//  its high two in byte 8 + g % 4, at bit 2 * (g / 4). `high` holds each code's third bit.
//  w = (d * (scale - 32)) * (code - 4), code 0..7
struct Q3_K {
    static constexpr size_t len = len_256;
    uint8_t high[32];
    uint8_t codes[64];
    uint8_t scales[12];
    uint16_t d;

    int scale_of(size_t group) const {
        const int low = scales[group % 8] >> (4 * (group / 8)) & 15;
        const int top = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
        return low | top << 4;
    }

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        for (size_t group = 0; group < 16; group++) {
            const float scale = super_scale * float(scale_of(group) - 32);
            for (size_t i = 16 * group; i < 16 * group + 16; i++) {
                out[i] = scale * float((bits2(codes, i) | bits1(high, i) << 2) - 4);
            }
        }
    }

    static Q3_K encode(const float* in, const float* importance) {
        const CentredFit fit = fit_centred<16, Steps<-4, 3>, 32>(in, importance);
        Q3_K block = {};
        block.d = fit.d;
        for (size_t g = 0; g < 16; g++) {
            const int scale = fit.scales[g] + 32;
            block.scales[g % 8] |= uint8_t((scale & 15) << (4 * (g / 8)));
            block.scales[8 + g % 4] |= uint8_t((scale >> 4) << (2 * (g / 4)));
        }
        for (size_t i = 0; i < len; i++) {
            const int code = fit.levels[i] + 4;
            put2(block.codes, i, code);
            put1(block.high, i, code >> 2);
        }
        return block;
    }
};
static_assert(sizeof(Q3_K) == 110);

// Eight 6-bit scales and minima in 12 bytes, shared by Q4_K and Q5_K:
//   bytes 0..3   scale g in bits 0..5,                bits 4..5 of scale g + 4 in bits 6..7     (g = 0..3)
//   bytes 4..7   minimum g in bits 0..5,              bits 4..5 of minimum g + 4 in bits 6..7
//   bytes 8..11  bits 0..3 of scale g + 4 in bits 0..3, bits 0..3 of minimum g + 4 in bits 4..7
struct SixBitPairs {
    uint8_t bytes[12];

    int scale(size_t group) const {
        if (group < 4) { return bytes[group] & 63; }
        return (bytes[group + 4] & 15) | (bytes[group - 4] >> 6) << 4;
    }
    int minimum(size_t group) const {
        if (group < 4) { return bytes[group + 4] & 63; }
        return bytes[group + 4] >> 4 | (bytes[group] >> 6) << 4;
    }

    static SixBitPairs of(const AffineFit& fit) {
        SixBitPairs pairs = {};
        for (size_t g = 0; g < 4; g++) {
            const int scale = fit.scales[g + 4], minimum = fit.minima[g + 4];
            pairs.bytes[g] = uint8_t(fit.scales[g] | (scale >> 4) << 6);
            pairs.bytes[g + 4] = uint8_t(fit.minima[g] | (minimum >> 4) << 6);
            pairs.bytes[g + 8] = uint8_t((scale & 15) | (minimum & 15) << 4);
        }
        return pairs;
    }
};

//  0        2        4                       16
//  | d f16  | m f16  | scales: 12 x u8       | codes: 128 x u8 |  144 bytes
//  scales and minima of weights 32g..32g+31: SixBitPairs
//  w = (d * scale) * code - m * minimum, code 0..15
struct Q4_K {
    static constexpr size_t len = len_256;
    uint16_t d;
    uint16_t m;
    SixBitPairs scales;
    uint8_t codes[128];

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        const float super_minimum = base::f32_from_f16(m);
        for (size_t group = 0; group < 8; group++) {
            const float scale = super_scale * float(scales.scale(group));
            const float minimum = super_minimum * float(scales.minimum(group));
            for (size_t i = 32 * group; i < 32 * group + 32; i++) { out[i] = scale * float(bits4(codes, i)) - minimum; }
        }
    }

    static Q4_K encode(const float* in, const float* importance) {
        const AffineFit fit = fit_affine<32, 15, 63>(in, importance);
        Q4_K block = {fit.d, fit.m, SixBitPairs::of(fit), {}};
        for (size_t i = 0; i < len; i++) { put4(block.codes, i, fit.codes[i]); }
        return block;
    }
};
static_assert(sizeof(Q4_K) == 144);

//  0        2        4                   16               48
//  | d f16  | m f16  | scales: 12 x u8   | high: 32 x u8  | codes: 128 x u8 |  176 bytes
//  As Q4_K, with each code's fifth bit in `high`.
//  w = (d * scale) * code - m * minimum, code 0..31
struct Q5_K {
    static constexpr size_t len = len_256;
    uint16_t d;
    uint16_t m;
    SixBitPairs scales;
    uint8_t high[32];
    uint8_t codes[128];

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        const float super_minimum = base::f32_from_f16(m);
        for (size_t group = 0; group < 8; group++) {
            const float scale = super_scale * float(scales.scale(group));
            const float minimum = super_minimum * float(scales.minimum(group));
            for (size_t i = 32 * group; i < 32 * group + 32; i++) {
                out[i] = scale * float(bits4(codes, i) | bits1(high, i) << 4) - minimum;
            }
        }
    }

    static Q5_K encode(const float* in, const float* importance) {
        const AffineFit fit = fit_affine<32, 31, 63>(in, importance);
        Q5_K block = {fit.d, fit.m, SixBitPairs::of(fit), {}, {}};
        for (size_t i = 0; i < len; i++) {
            put4(block.codes, i, fit.codes[i]);
            put1(block.high, i, fit.codes[i] >> 4);
        }
        return block;
    }
};
static_assert(sizeof(Q5_K) == 176);

//  0               128             192                208
//  | low: 128 x u8 | high: 64 x u8 | scales: 16 x s8  | d f16 |  210 bytes
//  `low` has wider strides than the other nibbles: weight i's four low bits are in byte 64 * (i / 128) + i % 64, at
//  bit 4 * (i / 64 % 2). `high` holds the two bits above them. scales[g] is of weights 16g..16g+15.
//  w = (d * scale) * (code - 32), code 0..63
struct Q6_K {
    static constexpr size_t len = len_256;
    uint8_t low[128];
    uint8_t high[64];
    int8_t scales[16];
    uint16_t d;

    int code(size_t i) const {
        const int four = low[64 * (i / 128) + i % 64] >> (4 * (i / 64 % 2)) & 15;
        return four | bits2(high, i) << 4;
    }

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        for (size_t group = 0; group < 16; group++) {
            const float scale = super_scale * float(scales[group]);
            for (size_t i = 16 * group; i < 16 * group + 16; i++) { out[i] = scale * float(code(i) - 32); }
        }
    }

    static Q6_K encode(const float* in, const float* importance) {
        const CentredFit fit = fit_centred<16, Steps<-32, 31>, 128>(in, importance);
        Q6_K block = {};
        block.d = fit.d;
        std::memcpy(block.scales, fit.scales, sizeof(block.scales));
        for (size_t i = 0; i < len; i++) {
            const int code = fit.levels[i] + 32;
            block.low[64 * (i / 128) + i % 64] |= uint8_t((code & 15) << (4 * (i / 64 % 2)));
            put2(block.high, i, code >> 4);
        }
        return block;
    }
};
static_assert(sizeof(Q6_K) == 210);

}  // namespace

void decode_q2_k(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q2_K>(blocks, out, n_blocks); }
void decode_q3_k(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q3_K>(blocks, out, n_blocks); }
void decode_q4_k(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q4_K>(blocks, out, n_blocks); }
void decode_q5_k(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q5_K>(blocks, out, n_blocks); }
void decode_q6_k(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q6_K>(blocks, out, n_blocks); }

void encode_q2_k(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q2_K>(in, blocks, n_blocks, importance);
}
void encode_q3_k(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q3_K>(in, blocks, n_blocks, importance);
}
void encode_q4_k(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q4_K>(in, blocks, n_blocks, importance);
}
void encode_q5_k(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q5_K>(in, blocks, n_blocks, importance);
}
void encode_q6_k(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q6_K>(in, blocks, n_blocks, importance);
}

}  // namespace wallaby::quant
