// 64-bit ARM with products of matrices of bytes (Neoverse V1, Cortex-X2, Apple M2 and later): 2 x 8 unsigned by 8 x 2
// signed ones at a time, twice the work of a product of four bytes.
#pragma once
#include "kernels/simd/neon_lanes.h"

namespace wallaby::kernels {
namespace {

constexpr int code_class(int) { return 255; }

// As avx512vnni.h says it. One column has no second one to make a matrix with.
template <int N, int max_code>
WALLABY_KERNEL I32 dot_group(I32 start, const I32* codes, const int8_t* shared) {
    int32x4_t sums[n_registers];
    WALLABY_UNROLL
    for (int r = 0; r < n_registers; r++) { sums[r] = part(start, r); }
    WALLABY_UNROLL
    for (int i = 0; i < N / 4; i += 4) {
        const int8x16_t x = vld1q_s8(shared + 4 * i);
        const auto weight = [&](int j, int r) WALLABY_INLINE { return vreinterpretq_u8_s32(part(codes[i + j], r)); };
        WALLABY_UNROLL
        for (int r = 0; r < n_registers; r++) {
            sums[r] = vusdotq_laneq_s32(sums[r], weight(0, r), x, 0);
            sums[r] = vusdotq_laneq_s32(sums[r], weight(1, r), x, 1);
            sums[r] = vusdotq_laneq_s32(sums[r], weight(2, r), x, 2);
            sums[r] = vusdotq_laneq_s32(sums[r], weight(3, r), x, 3);
        }
    }
    return joined(sums);
}
// Panels hold eight codes of a row together, two rows in a register.
template <int N, int max_code>
inline constexpr int code_bytes = 16 * N;
template <int N, int max_code>
WALLABY_KERNEL void store_codes(uint8_t* out, const I32* codes) {
    WALLABY_UNROLL
    for (int i = 0; i < N / 8; i++) {
        WALLABY_UNROLL
        for (int r = 0; r < n_registers; r++) {
            const int32x4_t first = part(codes[2 * i], r), second = part(codes[2 * i + 1], r);
            vst1q_u8(out + 128 * i + 32 * r, vreinterpretq_u8_s32(vzip1q_s32(first, second)));
            vst1q_u8(out + 128 * i + 32 * r + 16, vreinterpretq_u8_s32(vzip2q_s32(first, second)));
        }
    }
}
// Columns by twos; where n is odd, the last one is its own second.
template <int N, int max_code, int T, int n>
WALLABY_KERNEL void add_dot_groups(const uint8_t* const* codes, const int8_t* shared, int stride, I32* dots) {
    constexpr int n_pairs = (n + 1) / 2;
    const auto column = [&](int c) WALLABY_INLINE { return shared + stride * (c < n ? c : n - 1); };
    WALLABY_UNROLL
    for (int t = 0; t < T; t++) {
        int32x4_t sums[n_pairs][n_registers][2];  // of rows (0,1) and (2,3): row 0's two columns, row 1's
        WALLABY_UNROLL
        for (int c = 0; c < n_pairs; c++) {
            WALLABY_UNROLL
            for (int r = 0; r < n_registers; r++) { sums[c][r][0] = sums[c][r][1] = vdupq_n_s32(0); }
        }
        WALLABY_UNROLL
        for (int i = 0; i < N / 8; i++) {
            int8x16_t x[n_pairs];
            WALLABY_UNROLL
            for (int c = 0; c < n_pairs; c++) {
                x[c] = vcombine_s8(vld1_s8(column(2 * c) + 8 * i), vld1_s8(column(2 * c + 1) + 8 * i));
            }
            WALLABY_UNROLL
            for (int r = 0; r < n_registers; r++) {
                const uint8_t* at = codes[t] + 128 * i + 32 * r;
                const uint8x16_t low = vld1q_u8(at), high = vld1q_u8(at + 16);
                WALLABY_UNROLL
                for (int c = 0; c < n_pairs; c++) {
                    sums[c][r][0] = vusmmlaq_s32(sums[c][r][0], low, x[c]);
                    sums[c][r][1] = vusmmlaq_s32(sums[c][r][1], high, x[c]);
                }
            }
        }
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) {
            dots[t * n + c] += registers([&](int r) WALLABY_INLINE {
                const int32x4_t low = sums[c / 2][r][0], high = sums[c / 2][r][1];
                return c % 2 == 0 ? vuzp1q_s32(low, high) : vuzp2q_s32(low, high);
            });
        }
    }
}

}  // namespace
}  // namespace wallaby::kernels
