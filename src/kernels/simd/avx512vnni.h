// AVX-512 with VNNI (Ice Lake, Zen 4 and later): a group of int8 products is one chain of vpdpbusd, which never
// saturates.
#pragma once
#include "kernels/simd/avx512_lanes.h"

namespace wallaby::kernels {
namespace {

// Formats whose largest codes are of one class share the code for many columns.
constexpr int code_class(int) { return 255; }

// sum += the products of four unsigned codes in each lane and the four signed ones at `shared`. Written out, because
// g++ 12 loads what all lanes share by an instruction of its own.
WALLABY_KERNEL void add_products_of_four(__m512i& sum, __m512i codes, const int8_t* shared) {
    using Dword [[gnu::aligned(1), gnu::may_alias]] = int32_t;
    asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(codes), "m"(*reinterpret_cast<const Dword*>(shared)));
}

// start + the sum of products of N unsigned codes, at most max_code, in each lane and N signed ones that all lanes
// share; a vector holds four codes of each lane.
template <int N, int max_code>
WALLABY_KERNEL I32 dot_group(I32 start, const I32* codes, const int8_t* shared) {
    auto sum = reinterpret_cast<__m512i>(start);
    WALLABY_UNROLL
    for (int i = 0; i < N / 4; i++) { add_products_of_four(sum, reinterpret_cast<__m512i>(codes[i]), shared + 4 * i); }
    return reinterpret_cast<I32>(sum);
}
// T tiles times n columns: dots [T][n] += the products of N unsigned codes in each lane, N / 4 vectors at codes[t], and
// those that all lanes share at shared + c * stride. What the vectors hold is told by store_codes.
template <int N, int max_code, int T, int n>
WALLABY_KERNEL void add_dot_groups(const uint8_t* const* codes, const int8_t* shared, int stride, I32* dots) {
    WALLABY_UNROLL
    for (int i = 0; i < N / 4; i++) {
        __m512i weights[T];
        WALLABY_UNROLL
        for (int t = 0; t < T; t++) { weights[t] = reinterpret_cast<__m512i>(load_dwords(codes[t] + 64 * i)); }
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) {
            const auto x = reinterpret_cast<__m512i>(splat_dword(shared + stride * c + 4 * i));
            WALLABY_UNROLL
            for (int t = 0; t < T; t++) {
                I32& dot = dots[t * n + c];
                dot = reinterpret_cast<I32>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(dot), weights[t], x));
            }
        }
    }
}
// sum + the products of two signed 16-bit numbers in each lane and two that all lanes share.
WALLABY_KERNEL I32 add_pair_products(I32 sum, I32 pairs, I32 shared) {
    return reinterpret_cast<I32>(_mm512_dpwssd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(pairs),
                                                     reinterpret_cast<__m512i>(shared)));
}

}  // namespace
}  // namespace wallaby::kernels

#include "kernels/simd/plain_codes.h"
