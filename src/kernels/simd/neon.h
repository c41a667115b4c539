// 64-bit ARM without products of four bytes (Cortex-A53, A72: Raspberry Pi 3 and 4). Products of bytes have 16 bits; as
// many are added as codes allow. Codes beyond 127 are taken as two times four bits.
#pragma once
#include "kernels/simd/neon_lanes.h"

namespace wallaby::kernels {
namespace {

// Formats whose largest codes are of one class share the code for many columns.
constexpr int code_class(int max_code) { return max_code <= 31 ? 31 : (max_code <= 127 ? 127 : 255); }
// How many products fit 16 bits together.
constexpr int products_that_fit(int max_code) { return 32767 / (127 * code_class(max_code)); }

// dots [n] += the products of N codes in each lane, those of 4 k that weight(i, r) gives the registers of, and the
// signed ones of n columns, `stride` apart; all times 2^shift.
template <int N, int max_code, int n, int shift, class Weight>
WALLABY_KERNEL void add_small_products(const Weight& weight, const int8_t* shared, int stride,
                                       int32x4_t (&dots)[n][n_registers]) {
    constexpr int n_vectors = N / 4, fits = products_that_fit(max_code), together = fits < n_vectors ? fits : n_vectors;
    static_assert(n_vectors % together == 0);
    WALLABY_UNROLL
    for (int first = 0; first < n_vectors; first += together) {
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) {
            WALLABY_UNROLL
            for (int r = 0; r < n_registers; r++) {
                int16x8_t low{}, high{};
                WALLABY_UNROLL
                for (int j = 0; j < together; j++) {
                    const int i = first + j;
                    const int8x16_t w = weight(i, r);
                    const int8x16_t x = vreinterpretq_s8_s32(vld1q_dup_s32(
                        static_cast<const int32_t*>(static_cast<const void*>(shared + stride * c + 4 * i))));
                    low = j == 0 ? vmull_s8(vget_low_s8(w), vget_low_s8(x))
                                 : vmlal_s8(low, vget_low_s8(w), vget_low_s8(x));
                    high = j == 0 ? vmull_high_s8(w, x) : vmlal_high_s8(high, w, x);
                }
                const int32x4_t sum = vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
                dots[c][r] = vaddq_s32(dots[c][r], shift == 0 ? sum : vshlq_n_s32(sum, shift));
            }
        }
    }
}
template <int N, int max_code, int n, class Weight>
WALLABY_KERNEL void add_byte_products(const Weight& weight, const int8_t* shared, int stride, I32* dots) {
    int32x4_t sums[n][n_registers];
    WALLABY_UNROLL
    for (int c = 0; c < n; c++) {
        WALLABY_UNROLL
        for (int r = 0; r < n_registers; r++) { sums[c][r] = part(dots[c], r); }
    }
    if constexpr (code_class(max_code) < 255) {
        add_small_products<N, max_code, n, 0>(weight, shared, stride, sums);
    } else {
        const auto low = [&](int i, int r) WALLABY_INLINE { return vandq_s8(weight(i, r), vdupq_n_s8(15)); };
        const auto high = [&](int i, int r) WALLABY_INLINE {
            return vreinterpretq_s8_u8(vshrq_n_u8(vreinterpretq_u8_s8(weight(i, r)), 4));
        };
        add_small_products<N, 15, n, 0>(low, shared, stride, sums);
        add_small_products<N, 15, n, 4>(high, shared, stride, sums);
    }
    WALLABY_UNROLL
    for (int c = 0; c < n; c++) { dots[c] = joined(sums[c]); }
}

}  // namespace
}  // namespace wallaby::kernels

#include "kernels/simd/neon_dots.h"
