// 64-bit ARM with products of four bytes (Cortex-A55, A76: Raspberry Pi 5; Apple since A12; Neoverse N1). They are
// signed: codes beyond 127 are taken less 128, and 128 times the inputs are added again.
#pragma once
#include "kernels/simd/neon_lanes.h"

namespace wallaby::kernels {
namespace {

constexpr int code_class(int max_code) { return max_code <= 127 ? 127 : 255; }

// dots [n] += the products of N codes in each lane, those of 4 k that weight(i, r) gives the registers of, and the
// signed ones of n columns, `stride` apart.
template <int N, int max_code, int n, class Weight>
WALLABY_KERNEL void add_byte_products(const Weight& weight, const int8_t* shared, int stride, I32* dots) {
    constexpr bool is_large = code_class(max_code) == 255;
    int32x4_t sums[n][n_registers], inputs[n];
    WALLABY_UNROLL
    for (int c = 0; c < n; c++) {
        inputs[c] = vdupq_n_s32(0);
        WALLABY_UNROLL
        for (int r = 0; r < n_registers; r++) { sums[c][r] = part(dots[c], r); }
    }
    WALLABY_UNROLL
    for (int i = 0; i < N / 4; i += 4) {
        int8x16_t x[n];  // of 16 k
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) {
            x[c] = vld1q_s8(shared + stride * c + 4 * i);
            if (is_large) { inputs[c] = vdotq_s32(inputs[c], x[c], vdupq_n_s8(64)); }
        }
        WALLABY_UNROLL
        for (int r = 0; r < n_registers; r++) {
            int8x16_t w[4];
            WALLABY_UNROLL
            for (int j = 0; j < 4; j++) {
                w[j] = weight(i + j, r);
                if (is_large) { w[j] = veorq_s8(w[j], vdupq_n_s8(-128)); }
            }
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) {
                sums[c][r] = vdotq_laneq_s32(sums[c][r], w[0], x[c], 0);
                sums[c][r] = vdotq_laneq_s32(sums[c][r], w[1], x[c], 1);
                sums[c][r] = vdotq_laneq_s32(sums[c][r], w[2], x[c], 2);
                sums[c][r] = vdotq_laneq_s32(sums[c][r], w[3], x[c], 3);
            }
        }
    }
    WALLABY_UNROLL
    for (int c = 0; c < n; c++) {
        dots[c] = joined(sums[c]);
        if (is_large) { dots[c] += splat(2 * vaddvq_s32(inputs[c])); }
    }
}

}  // namespace
}  // namespace wallaby::kernels

#include "kernels/simd/neon_dots.h"
