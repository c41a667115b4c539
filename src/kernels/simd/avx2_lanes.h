// AVX2 with FMA and F16C: a vector is two ymm registers. All but the integer products, which are those of AVX2 (avx2.h)
// or of AVX-VNNI (avxvnni.h).
#pragma once
#include <immintrin.h>

namespace wallaby::kernels {
namespace {
inline constexpr int register_bytes = 32;
}  // namespace
}  // namespace wallaby::kernels

#include "kernels/text/lanes_parts.h"

namespace wallaby::kernels {
namespace {

inline constexpr int columns_at_once = 4;
inline constexpr int wide_tiles = 1, wide_columns = 4;
inline constexpr int sums_at_once = 4;

// --- A vector in registers.

using Register = __m256i;
inline constexpr int n_registers = 2;
WALLABY_KERNEL Register part(const I32& x, int r) { return reinterpret_cast<Register>(x.p[r]); }
WALLABY_KERNEL __m256 part(const F32& x, int r) { return reinterpret_cast<__m256>(x.p[r]); }
WALLABY_KERNEL I32 joined(Register low, Register high) {
    return {reinterpret_cast<I32::Part>(low), reinterpret_cast<I32::Part>(high)};
}
WALLABY_KERNEL I32 joined(const Register (&x)[n_registers]) { return joined(x[0], x[1]); }
WALLABY_KERNEL F32 joined(__m256 low, __m256 high) {
    return {reinterpret_cast<F32::Part>(low), reinterpret_cast<F32::Part>(high)};
}
WALLABY_KERNEL Register load_register(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
WALLABY_KERNEL Register splat_register(const void* p) {
    int32_t x;
    std::memcpy(&x, p, sizeof(x));
    return _mm256_set1_epi32(x);
}

// --- The vocabulary.

WALLABY_KERNEL F32 fma(F32 a, F32 b, F32 c) {
    return joined(_mm256_fmadd_ps(part(a, 0), part(b, 0), part(c, 0)),
                  _mm256_fmadd_ps(part(a, 1), part(b, 1), part(c, 1)));
}
WALLABY_KERNEL F32 sqrt(F32 x) { return joined(_mm256_sqrt_ps(part(x, 0)), _mm256_sqrt_ps(part(x, 1))); }
WALLABY_KERNEL I32 round_to_i32(F32 x) {
    return joined(_mm256_cvtps_epi32(part(x, 0)), _mm256_cvtps_epi32(part(x, 1)));
}
// x * 2^k rounded once, for whole k from -250 to 250 and |x| from 1/2 to 2: the first of two steps is exact.
WALLABY_KERNEL F32 times_power(F32 x, F32 k) {
    const I32 whole = round_to_i32(k), half = whole >> 1, rest = whole - half;
    return x * from_bits((half + 127) << 23) * from_bits((rest + 127) << 23);
}
WALLABY_KERNEL F32 load_f16(const uint16_t* p) {
    const auto eight = [p](int i) WALLABY_INLINE {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8 * i)));
    };
    return joined(eight(0), eight(1));
}
WALLABY_KERNEL void store_f16(uint16_t* p, F32 x) {
    for (int r = 0; r < 2; r++) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8 * r), _mm256_cvtps_ph(part(x, r), _MM_FROUND_TO_NEAREST_INT));
    }
}
WALLABY_KERNEL I32 load_i8(const int8_t* p) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return joined(_mm256_cvtepi8_epi32(x), _mm256_cvtepi8_epi32(_mm_srli_si128(x, 8)));
}
WALLABY_KERNEL I32 load_u16(const uint16_t* p) {
    const auto eight = [p](int i) WALLABY_INLINE {
        return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8 * i)));
    };
    return joined(eight(0), eight(1));
}
// Of the low 16 bits of lanes, those of the first register first.
WALLABY_KERNEL __m256i low_words(I32 x) {
    const __m256i mask = _mm256_set1_epi32(0xffff);
    const __m256i words = _mm256_packus_epi32(_mm256_and_si256(part(x, 0), mask), _mm256_and_si256(part(x, 1), mask));
    return _mm256_permute4x64_epi64(words, 0xd8);
}
WALLABY_KERNEL void store_u16(uint16_t* p, I32 x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), low_words(x)); }
WALLABY_KERNEL void store_i8(int8_t* p, I32 x) {
    const __m256i bytes = _mm256_and_si256(low_words(x), _mm256_set1_epi16(0xff));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm_packus_epi16(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)));
}
// The entry that each byte names, 0 to 15.
WALLABY_KERNEL I32 look_up(const uint8_t (&table)[16], I32 indices) {
    const __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
    return joined(_mm256_shuffle_epi8(entries, part(indices, 0)), _mm256_shuffle_epi8(entries, part(indices, 1)));
}
// Bits n to n + 3 of each lane, n a multiple of 4, each as a byte of ones or zeros.
WALLABY_KERNEL I32 spread_bits(I32 x, int n) {
    const int first = 0x01010101 * (n / 8), next = 0x04040404;  // the byte, and the one of the next lane
    const __m256i byte = _mm256_setr_epi32(first, first + next, first + 2 * next, first + 3 * next, first, first + next,
                                           first + 2 * next, first + 3 * next);
    const __m256i bits = _mm256_set1_epi32(n % 8 == 0 ? 0x08040201 : int(0x80402010));
    const auto spread = [&](int r) WALLABY_INLINE {
        return _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(part(x, r), byte), bits), bits);
    };
    return joined(spread(0), spread(1));
}
// n * w, rounded once, of sums n that began at sum_zero. w has at most 22 bits: what is taken away again is exact.
struct SumFactor {
    F32 w, zero_times_minus_w;
    WALLABY_KERNEL explicit SumFactor(F32 factor) : w(factor), zero_times_minus_w(factor * splat(-sum_zero_f32)) {}
    WALLABY_KERNEL F32 times(I32 sum) const { return fma(from_bits(sum), w, zero_times_minus_w); }
};
// Tells the processor that a cache line will be read; that it will be written; that it will be read, but not at once.
WALLABY_KERNEL void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
WALLABY_KERNEL void prefetch_to_write(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
WALLABY_KERNEL void prefetch_later(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace
}  // namespace wallaby::kernels
