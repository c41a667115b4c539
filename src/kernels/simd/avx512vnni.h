// AVX-512 with VNNI (Ice Lake, Zen 4 and later): a vector is one zmm register, a group of int8 products one chain of
// vpdpbusd, which never saturates.
#pragma once
#include <immintrin.h>

#include "kernels/text/lanes.h"

namespace wallaby::kernels {
namespace {

// The columns that lie together.
inline constexpr int columns_at_once = 12;
// A wide matmul of codes: two tiles times six columns have 24 sums, of integers and of numbers, in 32 registers. What
// the tiles share is loaded once for both: with one tile and twelve columns the two load ports are what waits.
inline constexpr int wide_tiles = 2, wide_columns = 6;
// The sums that attention holds in registers at once.
inline constexpr int sums_at_once = 24;

WALLABY_KERNEL F32 fma(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
WALLABY_KERNEL F32 sqrt(F32 x) { return _mm512_sqrt_ps(x); }
WALLABY_KERNEL F32 times_power(F32 x, F32 k) { return _mm512_scalef_ps(x, k); }
WALLABY_KERNEL I32 round_to_i32(F32 x) { return reinterpret_cast<I32>(_mm512_cvtps_epi32(x)); }
WALLABY_KERNEL F32 load_f16(const uint16_t* p) {
    return _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
WALLABY_KERNEL void store_f16(uint16_t* p, F32 x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
// Integers widened, and the low bits of wide ones: what g++ 12 would do lane by lane.
WALLABY_KERNEL I32 load_i8(const int8_t* p) {
    return reinterpret_cast<I32>(
        _mm512_maskz_cvtepi8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
WALLABY_KERNEL I32 load_u16(const uint16_t* p) {
    return reinterpret_cast<I32>(
        _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
WALLABY_KERNEL void store_i8(int8_t* p, I32 x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(0xffff, reinterpret_cast<__m512i>(x)));
}
WALLABY_KERNEL void store_u16(uint16_t* p, I32 x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_maskz_cvtepi32_epi16(0xffff, reinterpret_cast<__m512i>(x)));
}

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
// those that all lanes share at shared + c * stride.
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
// n * w, rounded once, of sums n that began at sum_zero. w has at most 22 bits: what is taken away again is exact.
struct SumFactor {
    F32 w, zero_times_minus_w;
    WALLABY_KERNEL explicit SumFactor(F32 factor) : w(factor), zero_times_minus_w(factor * splat(-sum_zero_f32)) {}
    WALLABY_KERNEL F32 times(I32 sum) const { return fma(from_bits(sum), w, zero_times_minus_w); }
};
// sum + the products of two signed 16-bit numbers in each lane and two that all lanes share.
WALLABY_KERNEL I32 add_pair_products(I32 sum, I32 pairs, I32 shared) {
    return reinterpret_cast<I32>(_mm512_dpwssd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(pairs),
                                                     reinterpret_cast<__m512i>(shared)));
}
// Tells the processor that a cache line will be read.
WALLABY_KERNEL void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
// That it will be written.
WALLABY_KERNEL void prefetch_to_write(const void* p) {
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(p)));
}
// Likewise, but not at once: as far as the second cache, where more can be under way.
WALLABY_KERNEL void prefetch_later(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace
}  // namespace wallaby::kernels
