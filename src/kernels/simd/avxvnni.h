// AVX2 with VNNI's products in registers of 32 bytes (Alder Lake and later, Zen 5, Sierra Forest).
#pragma once
#include "kernels/simd/avx2_lanes.h"

namespace wallaby::kernels {
namespace {

// Formats whose largest codes are of one class share the code for many columns.
constexpr int code_class(int) { return 255; }

// As avx512vnni.h says it.
template <int N, int max_code>
WALLABY_KERNEL I32 dot_group(I32 start, const I32* codes, const int8_t* shared) {
    Register sums[n_registers] = {part(start, 0), part(start, 1)};
    WALLABY_UNROLL
    for (int i = 0; i < N / 4; i++) {
        const Register x = splat_register(shared + 4 * i);
        WALLABY_UNROLL
        for (int r = 0; r < n_registers; r++) { sums[r] = _mm256_dpbusd_avx_epi32(sums[r], part(codes[i], r), x); }
    }
    return joined(sums);
}
template <int N, int max_code, int T, int n>
WALLABY_KERNEL void add_dot_groups(const uint8_t* const* codes, const int8_t* shared, int stride, I32* dots) {
    WALLABY_UNROLL
    for (int t = 0; t < T; t++) {
        WALLABY_UNROLL
        for (int i = 0; i < N / 4; i++) {
            const Register w[n_registers] = {load_register(codes[t] + 64 * i), load_register(codes[t] + 64 * i + 32)};
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) {
                const Register x = splat_register(shared + stride * c + 4 * i);
                I32& dot = dots[t * n + c];
                dot = joined(_mm256_dpbusd_avx_epi32(part(dot, 0), w[0], x),
                             _mm256_dpbusd_avx_epi32(part(dot, 1), w[1], x));
            }
        }
    }
}
// sum + the products of two signed 16-bit numbers in each lane and two that all lanes share.
WALLABY_KERNEL I32 add_pair_products(I32 sum, I32 pairs, I32 shared) {
    return joined(_mm256_dpwssd_avx_epi32(part(sum, 0), part(pairs, 0), part(shared, 0)),
                  _mm256_dpwssd_avx_epi32(part(sum, 1), part(pairs, 1), part(shared, 1)));
}

}  // namespace
}  // namespace wallaby::kernels

#include "kernels/simd/plain_codes.h"
