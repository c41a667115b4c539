// Any processor: what the compiler makes of vector types, and fused multiply-add by double arithmetic where the target
// has none. The truth that the other instruction sets are compared with, bit by bit.
#pragma once
#include <cmath>

#include "base/float16.h"
#include "kernels/text/lanes.h"

namespace wallaby::kernels {
namespace {

inline constexpr int columns_at_once = 4;
inline constexpr int wide_tiles = 1, wide_columns = 4;
inline constexpr int sums_at_once = 1;

#if defined(__FMA__) || defined(__aarch64__)
WALLABY_KERNEL F32 fma(F32 a, F32 b, F32 c) {
    for (int i = 0; i < n_lanes; i++) { a[i] = __builtin_fmaf(a[i], b[i], c[i]); }
    return a;
}
#else
using F64 [[gnu::vector_size(16)]] = double;
using I64 [[gnu::vector_size(16)]] = int64_t;

// a * b + c rounded once. The product of two f32 is exact in double; the sum is rounded to odd (Boldo and Melquiond
// 2008), which makes the second rounding, to f32, the only one that counts. A call for all lanes: unrolled into every
// kernel, it would make most of the binary.
[[gnu::noinline]] inline void add_product(const F32& a, const F32& b, const F32& c, F32& out) {
    for (int i = 0; i < n_lanes; i += 2) {
        const F64 product = F64{a[i], a[i + 1]} * F64{b[i], b[i + 1]};
        const F64 addend = F64{c[i], c[i + 1]};
        const F64 sum = product + addend;
        const F64 from_addend = sum - product;
        const F64 error = (product - (sum - from_addend)) + (addend - from_addend);  // exact (Knuth's two-sum)
        const I64 bits = reinterpret_cast<I64>(sum);
        const I64 is_inexact = (error > 0) | (error < 0);
        const I64 is_even = -((bits & 1) ^ 1);
        const I64 is_away = (error > 0) ^ (sum > 0);  // the exact sum lies on the side of zero
        const I64 step = is_inexact & is_even & (is_away | 1);
        const F64 odd = reinterpret_cast<F64>(bits + step);
        out[i] = float(odd[0]);
        out[i + 1] = float(odd[1]);
    }
}
WALLABY_KERNEL F32 fma(F32 a, F32 b, F32 c) {
    F32 out;
    add_product(a, b, c, out);
    return out;
}
#endif

WALLABY_KERNEL F32 sqrt(F32 x) {
    for (int i = 0; i < n_lanes; i++) { x[i] = __builtin_sqrtf(x[i]); }
    return x;
}
// x * 2^k rounded once, for whole k from -250 to 250 and |x| from 1/2 to 2: the first of two steps is exact.
WALLABY_KERNEL F32 times_power(F32 x, F32 k) {
    const I32 whole = __builtin_convertvector(k, I32);
    const I32 half = whole >> 1, rest = whole - half;
    return x * from_bits((half + 127) << 23) * from_bits((rest + 127) << 23);
}
// |x| < 2^22: adding 1.5 * 2^23 leaves the rounded number in the low bits.
WALLABY_KERNEL I32 round_to_i32(F32 x) { return bits_of(x + 0x1.8p23f) - 0x4b400000; }
WALLABY_KERNEL F32 load_f16(const uint16_t* p) {
    F32 x;
    for (int i = 0; i < n_lanes; i++) { x[i] = base::f32_from_f16(p[i]); }
    return x;
}
WALLABY_KERNEL void store_f16(uint16_t* p, F32 x) {
    for (int i = 0; i < n_lanes; i++) { p[i] = base::f16_from_f32(x[i]); }
}
WALLABY_KERNEL I32 load_i8(const int8_t* p) {
    return __builtin_convertvector(*reinterpret_cast<const I8Anywhere*>(p), I32);
}
WALLABY_KERNEL I32 load_u16(const uint16_t* p) {
    return __builtin_convertvector(*reinterpret_cast<const U16Anywhere*>(p), I32);
}
WALLABY_KERNEL void store_u16(uint16_t* p, I32 x) {
    *reinterpret_cast<U16Anywhere*>(p) = __builtin_convertvector(x, U16);
}
WALLABY_KERNEL void store_i8(int8_t* p, I32 x) { *reinterpret_cast<I8Anywhere*>(p) = __builtin_convertvector(x, I8); }

using I16 [[gnu::vector_size(64)]] = int16_t;

// As avx512vnni.h says it. Products of a code up to 255 and a signed byte fit 16 bits; sums are taken in 32.
template <int N, int max_code>
WALLABY_KERNEL I32 dot_group(I32 start, const I32* codes, const int8_t* shared) {
    I32 sum = start;
    for (int i = 0; i < N / 4; i++) {
        const int8_t* s = shared + 4 * i;
        const auto pair = [](int8_t low, int8_t high) { return int32_t(uint32_t(high) << 16 | uint16_t(low)); };
        const auto even = reinterpret_cast<I16>(codes[i] & 0x00ff00ff) * reinterpret_cast<I16>(splat(pair(s[0], s[2])));
        const auto odd = reinterpret_cast<I16>(shift_right(codes[i], 8) & 0x00ff00ff) *
                         reinterpret_cast<I16>(splat(pair(s[1], s[3])));
        const I32 e = reinterpret_cast<I32>(even), o = reinterpret_cast<I32>(odd);
        sum += (e >> 16) + (o >> 16) + (reinterpret_cast<I32>(reinterpret_cast<U32>(e) << 16) >> 16) +
               (reinterpret_cast<I32>(reinterpret_cast<U32>(o) << 16) >> 16);
    }
    return sum;
}
template <int N, int max_code, int T, int n>
WALLABY_KERNEL void add_dot_groups(const uint8_t* const* codes, const int8_t* shared, int stride, I32* dots) {
    for (int t = 0; t < T; t++) {
        I32 weights[N / 4];
        for (int i = 0; i < N / 4; i++) { weights[i] = load_dwords(codes[t] + 64 * i); }
        for (int c = 0; c < n; c++) {
            dots[t * n + c] = dot_group<N, max_code>(dots[t * n + c], weights, shared + stride * c);
        }
    }
}
struct SumFactor {
    F32 w;
    WALLABY_KERNEL explicit SumFactor(F32 factor) : w(factor) {}
    // + 0: a zero is positive, as a fused subtraction leaves it.
    WALLABY_KERNEL F32 times(I32 sum) const { return (from_bits(sum) - splat(sum_zero_f32)) * w + splat(0.0f); }
};
WALLABY_KERNEL I32 add_pair_products(I32 sum, I32 pairs, I32 shared) {
    const auto low = [](I32 x) { return reinterpret_cast<I32>(reinterpret_cast<U32>(x) << 16) >> 16; };
    return sum + low(pairs) * low(shared) + (pairs >> 16) * (shared >> 16);
}
WALLABY_KERNEL void prefetch(const void*) {}
WALLABY_KERNEL void prefetch_to_write(const void*) {}
WALLABY_KERNEL void prefetch_later(const void*) {}

}  // namespace
}  // namespace wallaby::kernels
