// The first block formats: 32 weights share an f16 scale d, in the "_1" forms an f16 minimum m as well.
// Codes of 4 bits lie two to a byte: byte j holds weight j in its low nibble and weight j + 16 in its high one.
// A fifth bit lies apart: bit i of the little-endian word `high` belongs to weight i.
//
// The encoders search for the scale (and minimum) of the least error (fit_blocks.h); Q8_0's, which has little to gain
// by it, gives the same bytes as ggml's reference encoder. Its codes come from the f32 scale, before that is rounded to
// f16; weights so large that the scale exceeds f16's range get an infinite one.
#include <algorithm>
#include <cmath>

#include "quant/block.h"
#include "quant/codecs.h"
#include "quant/fit_blocks.h"

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

using Fit = BlockFit<len_32>;

// Of code + zero, which is 0 or more.
void put_nibbles(const Fit& fit, int zero, uint8_t* pairs) {
    for (size_t j = 0; j < 16; j++) {
        pairs[j] = uint8_t(((fit.codes[j] + zero) & 15) | ((fit.codes[j + 16] + zero) & 15) << 4);
    }
}

void put_fifth_bits(const Fit& fit, int zero, uint8_t* bytes) {
    uint32_t high = 0;
    for (size_t i = 0; i < len_32; i++) { high |= uint32_t((fit.codes[i] + zero) >> 4) << i; }
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

    static constexpr auto fit = fit_scaled<len, Steps<-8, 7>>;
    static Q4_0 of(const Fit& found) {
        Q4_0 block = {found.d, {}};
        put_nibbles(found, 8, block.pairs);
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

    static constexpr auto fit = fit_ranged<len, 15>;
    static Q4_1 of(const Fit& found) {
        Q4_1 block = {found.d, found.m, {}};
        put_nibbles(found, 0, block.pairs);
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

    static constexpr auto fit = fit_scaled<len, Steps<-16, 15>>;
    static Q5_0 of(const Fit& found) {
        Q5_0 block = {found.d, {}, {}};
        put_fifth_bits(found, 16, block.high);
        put_nibbles(found, 16, block.pairs);
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

    static constexpr auto fit = fit_ranged<len, 31>;
    static Q5_1 of(const Fit& found) {
        Q5_1 block = {found.d, found.m, {}, {}};
        put_fifth_bits(found, 0, block.high);
        put_nibbles(found, 0, block.pairs);
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
    encode_fits<Q4_0>(in, blocks, n_blocks, importance);
}
void encode_q4_1(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_fits<Q4_1>(in, blocks, n_blocks, importance);
}
void encode_q5_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_fits<Q5_0>(in, blocks, n_blocks, importance);
}
void encode_q5_1(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_fits<Q5_1>(in, blocks, n_blocks, importance);
}
void encode_q8_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q8_0>(in, blocks, n_blocks, importance);
}

}  // namespace wallaby::quant
