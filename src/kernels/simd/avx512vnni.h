// AVX-512 with VNNI (Ice Lake, Zen 4 and later): a vector is one zmm register, a group of int8 products one chain of
// vpdpbusd, which never saturates.
#pragma once
#include <immintrin.h>

#include "kernels/text/lanes.h"

namespace wallaby::kernels {
namespace {

// The columns that a wide matmul holds in registers at once: twelve sums beside eight vectors of weights leave room for
// scales, in 32 registers.
inline constexpr int columns_at_once = 12;
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
// sum + the products of two signed 16-bit numbers in each lane and two that all lanes share.
WALLABY_KERNEL I32 add_pair_products(I32 sum, I32 pairs, I32 shared) {
    return reinterpret_cast<I32>(_mm512_dpwssd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(pairs),
                                                     reinterpret_cast<__m512i>(shared)));
}
// Tells the processor that a cache line will be read.
WALLABY_KERNEL void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
// Likewise, but not at once: as far as the second cache, where more can be under way.
WALLABY_KERNEL void prefetch_later(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace
}  // namespace wallaby::kernels
