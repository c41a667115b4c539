// 64-bit ARM: a vector is four registers of 128 bits. All but the integer products, which are those of ARMv8.0
// (neon.h), of four bytes (dotprod.h) or of matrices (i8mm.h).
#pragma once
#include <arm_neon.h>

namespace wallaby::kernels {
namespace {
inline constexpr int register_bytes = 16;
}  // namespace
}  // namespace wallaby::kernels

#include "kernels/text/lanes_parts.h"

namespace wallaby::kernels {
namespace {

inline constexpr int columns_at_once = 4;
inline constexpr int wide_tiles = 1, wide_columns = 4;
inline constexpr int sums_at_once = 4;

// --- A vector in registers.

inline constexpr int n_registers = 4;
WALLABY_KERNEL int32x4_t part(const I32& x, int r) { return reinterpret_cast<int32x4_t>(x.p[r]); }
WALLABY_KERNEL float32x4_t part(const F32& x, int r) { return reinterpret_cast<float32x4_t>(x.p[r]); }
WALLABY_KERNEL I32 joined(const int32x4_t (&x)[n_registers]) {
    return each<int32_t>([&](int r) WALLABY_INLINE { return reinterpret_cast<I32::Part>(x[r]); });
}
// f of each register.
template <class F>
WALLABY_KERNEL I32 registers(const F& f) {
    return each<int32_t>([&](int r) WALLABY_INLINE { return reinterpret_cast<I32::Part>(f(r)); });
}
template <class F>
WALLABY_KERNEL F32 registers_f32(const F& f) {
    return each<float>([&](int r) WALLABY_INLINE { return reinterpret_cast<F32::Part>(f(r)); });
}

// --- The vocabulary.

WALLABY_KERNEL F32 fma(F32 a, F32 b, F32 c) {
    return registers_f32([&](int r) WALLABY_INLINE { return vfmaq_f32(part(c, r), part(a, r), part(b, r)); });
}
WALLABY_KERNEL F32 sqrt(F32 x) {
    return registers_f32([&](int r) WALLABY_INLINE { return vsqrtq_f32(part(x, r)); });
}
WALLABY_KERNEL I32 round_to_i32(F32 x) {
    return registers([&](int r) WALLABY_INLINE { return vcvtnq_s32_f32(part(x, r)); });
}
// x * 2^k rounded once, for whole k from -250 to 250 and |x| from 1/2 to 2: the first of two steps is exact.
WALLABY_KERNEL F32 times_power(F32 x, F32 k) {
    const I32 whole = round_to_i32(k), half = whole >> 1, rest = whole - half;
    return x * from_bits((half + 127) << 23) * from_bits((rest + 127) << 23);
}
WALLABY_KERNEL F32 load_f16(const uint16_t* p) {
    return registers_f32([=](int r) WALLABY_INLINE { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * r))); });
}
WALLABY_KERNEL void store_f16(uint16_t* p, F32 x) {
    WALLABY_UNROLL
    for (int r = 0; r < n_registers; r++) { vst1_u16(p + 4 * r, vreinterpret_u16_f16(vcvt_f16_f32(part(x, r)))); }
}
WALLABY_KERNEL I32 load_i8(const int8_t* p) {
    const int8x16_t x = vld1q_s8(p);
    const int16x8_t low = vmovl_s8(vget_low_s8(x)), high = vmovl_s8(vget_high_s8(x));
    const int32x4_t out[n_registers] = {vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)),
                                        vmovl_s16(vget_low_s16(high)), vmovl_s16(vget_high_s16(high))};
    return joined(out);
}
WALLABY_KERNEL I32 load_u16(const uint16_t* p) {
    return registers([=](int r) WALLABY_INLINE { return vreinterpretq_s32_u32(vmovl_u16(vld1_u16(p + 4 * r))); });
}
WALLABY_KERNEL int16x8_t low_words(I32 x, int half) {
    return vcombine_s16(vmovn_s32(part(x, 2 * half)), vmovn_s32(part(x, 2 * half + 1)));
}
WALLABY_KERNEL void store_u16(uint16_t* p, I32 x) {
    vst1q_u16(p, vreinterpretq_u16_s16(low_words(x, 0)));
    vst1q_u16(p + 8, vreinterpretq_u16_s16(low_words(x, 1)));
}
WALLABY_KERNEL void store_i8(int8_t* p, I32 x) {
    vst1q_s8(p, vcombine_s8(vmovn_s16(low_words(x, 0)), vmovn_s16(low_words(x, 1))));
}
// The entry that each byte names, 0 to 15.
WALLABY_KERNEL I32 look_up(const uint8_t (&table)[16], I32 indices) {
    const uint8x16_t entries = vld1q_u8(table);
    return registers([&](int r) WALLABY_INLINE {
        return vreinterpretq_s32_u8(vqtbl1q_u8(entries, vreinterpretq_u8_s32(part(indices, r))));
    });
}
// Bits n to n + 3 of each lane, n a multiple of 4, each as a byte of ones or zeros.
WALLABY_KERNEL I32 spread_bits(I32 x, int n) {
    const auto first = uint8_t(n / 8);
    const uint8x16_t byte = {first,
                             first,
                             first,
                             first,
                             uint8_t(first + 4),
                             uint8_t(first + 4),
                             uint8_t(first + 4),
                             uint8_t(first + 4),
                             uint8_t(first + 8),
                             uint8_t(first + 8),
                             uint8_t(first + 8),
                             uint8_t(first + 8),
                             uint8_t(first + 12),
                             uint8_t(first + 12),
                             uint8_t(first + 12),
                             uint8_t(first + 12)};
    const uint8x16_t bits = vreinterpretq_u8_u32(vdupq_n_u32(n % 8 == 0 ? 0x08040201u : 0x80402010u));
    return registers([&](int r) WALLABY_INLINE {
        return vreinterpretq_s32_u8(vtstq_u8(vqtbl1q_u8(vreinterpretq_u8_s32(part(x, r)), byte), bits));
    });
}
// n * w, rounded once, of sums n that began at sum_zero. w has at most 22 bits: what is taken away again is exact.
struct SumFactor {
    F32 w, zero_times_minus_w;
    WALLABY_KERNEL explicit SumFactor(F32 factor) : w(factor), zero_times_minus_w(factor * splat(-sum_zero_f32)) {}
    WALLABY_KERNEL F32 times(I32 sum) const { return fma(from_bits(sum), w, zero_times_minus_w); }
};
// sum + the products of two signed 16-bit numbers in each lane and two that all lanes share.
WALLABY_KERNEL I32 add_pair_products(I32 sum, I32 pairs, I32 shared) {
    return registers([&](int r) WALLABY_INLINE {
        const int16x8_t p = vreinterpretq_s16_s32(part(pairs, r)), s = vreinterpretq_s16_s32(part(shared, r));
        const int32x4_t low = vmull_s16(vget_low_s16(p), vget_low_s16(s)), high = vmull_high_s16(p, s);
        return vaddq_s32(part(sum, r), vpaddq_s32(low, high));
    });
}
// Tells the processor that a cache line will be read; that it will be written; that it will be read, but not at once.
WALLABY_KERNEL void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }
WALLABY_KERNEL void prefetch_to_write(const void* p) { __builtin_prefetch(p, 1, 3); }
WALLABY_KERNEL void prefetch_later(const void* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace
}  // namespace wallaby::kernels
