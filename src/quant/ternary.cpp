// Formats of two to four levels under one f16 scale d per block.
#include <algorithm>
#include <array>
#include <numeric>

#include "quant/block.h"
#include "quant/codecs.h"
#include "quant/fit_blocks.h"

namespace wallaby::quant {

namespace {

// 256 weights as -d, 0 and d, of the least error: for any d the weights that are not 0 are the largest ones, and d
// their mean, so that each number of them is tried.
struct Ternary {
    static constexpr size_t len = 256;
    uint16_t d;
    uint8_t digits[len] = {};  // 0..2

    Ternary(const float* in, const float* importance) {
        const FitKind kind = fit_kind(in, len);
        d = unfitted_scale(kind);
        if (kind == FitKind::ordinary) {
            float weight[len];
            set_error_weights(weight, importance, len, len);
            d = base::f16_from_f32(best_scale(in, weight));
        }
        const float half = base::f32_from_f16(d) / 2;
        for (size_t i = 0; i < len; i++) { digits[i] = uint8_t(1 + (in[i] > half) - (in[i] < -half)); }
    }

    static float best_scale(const float* in, const float* weight) {
        std::array<uint8_t, len> order;
        std::iota(order.begin(), order.end(), uint8_t(0));
        std::ranges::sort(order, [&](uint8_t a, uint8_t b) {
            const float of_a = std::fabs(in[a]), of_b = std::fabs(in[b]);
            return of_a != of_b ? of_a > of_b : a < b;
        });
        double sum_w = 0, sum_x = 0, largest_gain = 0, found = 0;
        for (const uint8_t i : order) {
            sum_w += double(weight[i]);
            sum_x += double(weight[i]) * double(std::fabs(in[i]));
            const double gain = sum_w > 0 ? sum_x * sum_x / sum_w : 0;
            if (gain > largest_gain) {
                largest_gain = gain;
                found = sum_x / sum_w;
            }
        }
        return float(found);
    }
};

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

    static const uint8_t* encode_run(const uint8_t* digits, size_t n_bytes, size_t n_digits, uint8_t* bytes) {
        for (size_t i = 0; i < n_bytes; i++) {
            uint32_t number = 0;
            for (size_t digit = 0; digit < 5; digit++) {
                number = 3 * number + (digit < n_digits ? digits[digit * n_bytes + i] : 0u);
            }
            bytes[i] = uint8_t((256 * number + 242) / 243);
        }
        return digits + n_bytes * n_digits;
    }

    static TQ1_0 encode(const float* in, const float* importance) {
        const Ternary ternary(in, importance);
        TQ1_0 block = {};
        block.d = ternary.d;
        const uint8_t* digits = encode_run(ternary.digits, 32, 5, block.fives);
        digits = encode_run(digits, 16, 5, block.fives + 32);
        encode_run(digits, 4, 4, block.fours);
        return block;
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

    static TQ2_0 encode(const float* in, const float* importance) {
        const Ternary ternary(in, importance);
        TQ2_0 block = {};
        block.d = ternary.d;
        for (size_t i = 0; i < len; i++) {
            block.codes[32 * (i / 128) + i % 32] |= uint8_t(ternary.digits[i] << (2 * (i / 32 % 4)));
        }
        return block;
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

    // The best d is the mean size, whatever the signs.
    static Q1_0 encode(const float* in, const float* importance) {
        Q1_0 block = {};
        const FitKind kind = fit_kind(in, len);
        block.d = unfitted_scale(kind);
        if (kind == FitKind::ordinary) {
            float weight[len];
            set_error_weights(weight, importance, len, len);
            double sum_w = 0, sum_x = 0;
            for (size_t i = 0; i < len; i++) {
                sum_w += double(weight[i]);
                sum_x += double(weight[i]) * double(std::fabs(in[i]));
            }
            block.d = base::f16_from_f32(float(sum_x / sum_w));
        }
        for (size_t i = 0; i < len; i++) { block.codes[i / 8] |= uint8_t((in[i] > 0 ? 1 : 0) << (i % 8)); }
        return block;
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

    static constexpr auto fit = fit_scaled<len, Steps<-1, 2>>;
    static Q2_0 of(const BlockFit<len>& found) {
        Q2_0 block = {found.d, {}};
        for (size_t i = 0; i < len; i++) { block.codes[i / 4] |= uint8_t((found.codes[i] + 1) << (2 * (i % 4))); }
        return block;
    }
};
static_assert(sizeof(Q2_0) == 18);

}  // namespace

void decode_tq1_0(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<TQ1_0>(blocks, out, n_blocks); }
void decode_tq2_0(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<TQ2_0>(blocks, out, n_blocks); }
void decode_q1_0(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q1_0>(blocks, out, n_blocks); }
void decode_q2_0(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<Q2_0>(blocks, out, n_blocks); }

void encode_tq1_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<TQ1_0>(in, blocks, n_blocks, importance);
}
void encode_tq2_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<TQ2_0>(in, blocks, n_blocks, importance);
}
void encode_q1_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<Q1_0>(in, blocks, n_blocks, importance);
}
void encode_q2_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_fits<Q2_0>(in, blocks, n_blocks, importance);
}

}  // namespace wallaby::quant
