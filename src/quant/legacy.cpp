// The first block formats: 32 weights share an f16 scale d, in the "_1" forms an f16 minimum m as well.
// Codes of 4 bits lie two to a byte: byte j holds weight j in its low nibble and weight j + 16 in its high one.
// A fifth bit lies apart: bit i of the little-endian word `high` belongs to weight i.
//
// The encoders give the same bytes as ggml's reference encoders, so that a file quantised here can be compared with
// one quantised there. Codes come from the f32 scale, before it is rounded to f16. Weights so large that the scale
// exceeds f16's range get an infinite scale.
#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/block.h"
#include "quant/codecs.h"

namespace wallaby::quant {

namespace {

constexpr size_t len_32 = 32;

constexpr int low_nibble(uint8_t byte) { return byte & 15; }
constexpr int high_nibble(uint8_t byte) { return byte >> 4; }

// The weight farthest from zero, with its sign; the first of several.
float farthest(const float* in) {
    float found = 0.0f;
    for (size_t i = 0; i < len_32; i++) {
        if (std::fabs(in[i]) > std::fabs(found)) { found = in[i]; }
    }
    return found;
}

struct Range {
    float low = std::numeric_limits<float>::max();
    float high = -std::numeric_limits<float>::max();
};

Range range_of(const float* in) {
    Range range;
    for (size_t i = 0; i < len_32; i++) {
        if (in[i] < range.low) { range.low = in[i]; }
        if (in[i] > range.high) { range.high = in[i]; }
    }
    return range;
}

float inverse(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

// Centred codes 0..2n-1 stand for -n..n-1. The farthest weight gets -n exactly, so d takes the opposite sign.
struct Centred {
    uint16_t d = 0;
    uint8_t codes[len_32] = {};
};

template <int n>
Centred encode_centred(const float* in) {
    Centred result;
    const float d = farthest(in) / float(-n);
    const float inverse_d = inverse(d);
    result.d = base::f16_from_f32(d);
    for (size_t i = 0; i < len_32; i++) {
        result.codes[i] = uint8_t(truncate_within(in[i] * inverse_d + (float(n) + 0.5f), 0, 2 * n - 1));
    }
    return result;
}

// Codes 0..top stand for low..high in equal steps.
struct Ranged {
    uint16_t d = 0;
    uint16_t m = 0;
    uint8_t codes[len_32] = {};
};

template <int top>
Ranged encode_ranged(const float* in) {
    Ranged result;
    const Range range = range_of(in);
    const float d = (range.high - range.low) / float(top);
    const float inverse_d = inverse(d);
    result.d = base::f16_from_f32(d);
    result.m = base::f16_from_f32(range.low);
    for (size_t i = 0; i < len_32; i++) {
        result.codes[i] = uint8_t(truncate_within((in[i] - range.low) * inverse_d + 0.5f, 0, top));
    }
    return result;
}

void put_nibbles(const uint8_t* codes, uint8_t* pairs) {
    for (size_t j = 0; j < 16; j++) { pairs[j] = uint8_t((codes[j] & 15) | (codes[j + 16] & 15) << 4); }
}

void put_fifth_bits(const uint8_t* codes, uint8_t* bytes) {
    uint32_t high = 0;
    for (size_t i = 0; i < len_32; i++) { high |= uint32_t(codes[i] >> 4) << i; }
    std::memcpy(bytes, &high, sizeof(high));
}

// Five-bit codes 0..31 of weights j and j + 16.
int low_code(const uint8_t* pairs, uint32_t high, size_t j) { return low_nibble(pairs[j]) | int(high >> j & 1u) << 4; }
int high_code(const uint8_t* pairs, uint32_t high, size_t j) {
    return high_nibble(pairs[j]) | int(high >> (j + 16) & 1u) << 4;
}

//  0        2                                18
//  | d f16  | pairs: 16 x (low, high) nibble |
//  w = d * (code - 8)
struct Q4_0 {
    static constexpr size_t len = len_32;
    uint16_t d;
    uint8_t pairs[16];

    void decode(float* out) const {
        const float scale = base::f32_from_f16(d);
        for (size_t j = 0; j < 16; j++) {
            out[j] = scale * float(low_nibble(pairs[j]) - 8);
            out[j + 16] = scale * float(high_nibble(pairs[j]) - 8);
        }
    }

    static Q4_0 encode(const float* in) {
        const Centred centred = encode_centred<8>(in);
        Q4_0 block = {centred.d, {}};
        put_nibbles(centred.codes, block.pairs);
        return block;
    }
};
static_assert(sizeof(Q4_0) == 18);

//  0        2        4                                20
//  | d f16  | m f16  | pairs: 16 x (low, high) nibble |
//  w = d * code + m
struct Q4_1 {
    static constexpr size_t len = len_32;
    uint16_t d;
    uint16_t m;
    uint8_t pairs[16];

    void decode(float* out) const {
        const float scale = base::f32_from_f16(d);
        const float low = base::f32_from_f16(m);
        for (size_t j = 0; j < 16; j++) {
            out[j] = scale * float(low_nibble(pairs[j])) + low;
            out[j + 16] = scale * float(high_nibble(pairs[j])) + low;
        }
    }

    static Q4_1 encode(const float* in) {
        const Ranged ranged = encode_ranged<15>(in);
        Q4_1 block = {ranged.d, ranged.m, {}};
        put_nibbles(ranged.codes, block.pairs);
        return block;
    }
};
static_assert(sizeof(Q4_1) == 20);

//  0        2            6                                22
//  | d f16  | high: u32  | pairs: 16 x (low, high) nibble |
//  w = d * (code - 16)
struct Q5_0 {
    static constexpr size_t len = len_32;
    uint16_t d;
    uint8_t high[4];
    uint8_t pairs[16];

    void decode(float* out) const {
        const float scale = base::f32_from_f16(d);
        const auto bits = base::load_le<uint32_t>(high);
        for (size_t j = 0; j < 16; j++) {
            out[j] = scale * float(low_code(pairs, bits, j) - 16);
            out[j + 16] = scale * float(high_code(pairs, bits, j) - 16);
        }
    }

    static Q5_0 encode(const float* in) {
        const Centred centred = encode_centred<16>(in);
        Q5_0 block = {centred.d, {}, {}};
        put_fifth_bits(centred.codes, block.high);
        put_nibbles(centred.codes, block.pairs);
        return block;
    }
};
static_assert(sizeof(Q5_0) == 22);

//  0        2        4            8                                24
//  | d f16  | m f16  | high: u32  | pairs: 16 x (low, high) nibble |
//  w = d * code + m
struct Q5_1 {
    static constexpr size_t len = len_32;
    uint16_t d;
    uint16_t m;
    uint8_t high[4];
    uint8_t pairs[16];

    void decode(float* out) const {
        const float scale = base::f32_from_f16(d);
        const float low = base::f32_from_f16(m);
        const auto bits = base::load_le<uint32_t>(high);
        for (size_t j = 0; j < 16; j++) {
            out[j] = scale * float(low_code(pairs, bits, j)) + low;
            out[j + 16] = scale * float(high_code(pairs, bits, j)) + low;
        }
    }

    static Q5_1 encode(const float* in) {
        const Ranged ranged = encode_ranged<31>(in);
        Q5_1 block = {ranged.d, ranged.m, {}, {}};
        put_fifth_bits(ranged.codes, block.high);
        put_nibbles(ranged.codes, block.pairs);
        return block;
    }
};
static_assert(sizeof(Q5_1) == 24);

//  0        2                 34
//  | d f16  | codes: 32 x s8  |
//  w = d * code
struct Q8_0 {
    static constexpr size_t len = len_32;
    uint16_t d;
    int8_t codes[len_32];

    void decode(float* out) const {
        const float scale = base::f32_from_f16(d);
        for (size_t i = 0; i < len; i++) { out[i] = scale * float(codes[i]); }
    }

    static Q8_0 encode(const float* in) {
        const float scale = std::fabs(farthest(in)) / 127.0f;
        const float inverse_scale = inverse(scale);
        Q8_0 block = {base::f16_from_f32(scale), {}};
        for (size_t i = 0; i < len; i++) { block.codes[i] = int8_t(round_within(in[i] * inverse_scale, 127)); }
        return block;
    }
};
static_assert(sizeof(Q8_0) == 34);

}  // namespace

void decode_q4_0(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q4_0>(blocks, out, n_blocks); }
void decode_q4_1(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q4_1>(blocks, out, n_blocks); }
void decode_q5_0(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q5_0>(blocks, out, n_blocks); }
void decode_q5_1(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q5_1>(blocks, out, n_blocks); }
void decode_q8_0(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q8_0>(blocks, out, n_blocks); }

void encode_q4_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q4_0>(in, blocks, n_blocks, importance);
}
void encode_q4_1(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q4_1>(in, blocks, n_blocks, importance);
}
void encode_q5_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q5_0>(in, blocks, n_blocks, importance);
}
void encode_q5_1(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q5_1>(in, blocks, n_blocks, importance);
}
void encode_q8_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q8_0>(in, blocks, n_blocks, importance);
}

}  // namespace wallaby::quant
