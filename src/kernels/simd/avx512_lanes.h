// AVX-512 (Skylake-X and later): a vector is one zmm register. All but the integer products, which are VNNI's
// (avx512vnni.h) or those of AVX-512BW (avx512.h).
#pragma once
#include <immintrin.h>

#include "kernels/text/lanes_whole.h"

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

// The entry that each byte names, 0 to 15.
WALLABY_KERNEL I32 look_up(const uint8_t (&table)[16], I32 indices) {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return reinterpret_cast<I32>(
        _mm512_shuffle_epi8(_mm512_maskz_broadcast_i32x4(0xffff, entries), reinterpret_cast<__m512i>(indices)));
}
// Bits n to n + 3 of each lane, n a multiple of 4, each as a byte of ones or zeros.
WALLABY_KERNEL I32 spread_bits(I32 x, int n) {
    const I32 byte = (lane_numbers() % 4 * 4 + n / 8) * 0x01010101;  // of each 16
    const __m512i bytes = _mm512_shuffle_epi8(reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(byte));
    const auto bits = reinterpret_cast<__m512i>(splat(int32_t(n % 8 == 0 ? 0x08040201 : 0x80402010)));
    return reinterpret_cast<I32>(_mm512_movm_epi8(_mm512_test_epi8_mask(bytes, bits)));
}
// The entries of 4 bytes that the lanes name, and of 8 bytes, whose first and last four are vectors. Gathers: loads one
// by one (lanes_parts.h) take about twice as long on Granite Rapids.
WALLABY_KERNEL I32 load_fours(const void* table, I32 entry) {
    return reinterpret_cast<I32>(
        _mm512_mask_i32gather_epi32(__m512i{}, 0xffff, reinterpret_cast<__m512i>(entry), table, 4));
}
WALLABY_KERNEL void load_eights(const void* table, I32 entry, I32& first, I32& second) {
    const auto e = reinterpret_cast<__m512i>(entry);
    const auto eight = [=](__m256i x)
                           WALLABY_INLINE { return _mm512_mask_i32gather_epi64(__m512i{}, 0xff, x, table, 8); };
    const __m512i low = eight(_mm512_maskz_extracti64x4_epi64(0xf, e, 0));
    const __m512i high = eight(_mm512_maskz_extracti64x4_epi64(0xf, e, 1));
    const auto evens = reinterpret_cast<__m512i>(lane_numbers() * 2);
    const auto odds = reinterpret_cast<__m512i>(lane_numbers() * 2 + 1);
    first = reinterpret_cast<I32>(_mm512_permutex2var_epi32(low, evens, high));
    second = reinterpret_cast<I32>(_mm512_permutex2var_epi32(low, odds, high));
}

// n * w, rounded once, of sums n that began at sum_zero. w has at most 22 bits: what is taken away again is exact.
struct SumFactor {
    F32 w, zero_times_minus_w;
    WALLABY_KERNEL explicit SumFactor(F32 factor) : w(factor), zero_times_minus_w(factor * splat(-sum_zero_f32)) {}
    WALLABY_KERNEL F32 times(I32 sum) const { return fma(from_bits(sum), w, zero_times_minus_w); }
};
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
