// Any processor: what the compiler makes of vector types, and fused multiply-add by double arithmetic where the target
// has none. The truth that the other instruction sets are compared with, bit by bit.
#pragma once
#include <cmath>

#include "base/float16.h"
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
inline constexpr int sums_at_once = 1;

// f of each number.
template <class F>
WALLABY_KERNEL F32 of_each(const F32& x, const F& f) {
    float lanes[n_lanes];
    store(lanes, x);
    for (float& y : lanes) { y = f(y); }
    return load(lanes);
}

#if defined(__FMA__) || defined(__aarch64__)
WALLABY_KERNEL F32 fma(const F32& a, const F32& b, const F32& c) {
    float x[n_lanes], y[n_lanes], z[n_lanes];
    store(x, a);
    store(y, b);
    store(z, c);
    for (int i = 0; i < n_lanes; i++) { x[i] = __builtin_fmaf(x[i], y[i], z[i]); }
    return load(x);
}
#else
using F64 [[gnu::vector_size(16)]] = double;

// a * b + c rounded once. The product of two f32 is exact in double; the sum is rounded to odd (Boldo and Melquiond
// 2008), which makes the second rounding, to f32, the only one that counts. A call for all lanes: unrolled into every
// kernel, it would make most of the binary.
[[gnu::noinline]] inline void add_product(const F32& a, const F32& b, const F32& c, F32& out) {
    float x[n_lanes], y[n_lanes], z[n_lanes];
    store(x, a);
    store(y, b);
    store(z, c);
    for (int i = 0; i < n_lanes; i += 2) {
        const F64 product = F64{x[i], x[i + 1]} * F64{y[i], y[i + 1]};
        const F64 addend = F64{z[i], z[i + 1]};
        const F64 sum = product + addend;
        const F64 from_addend = sum - product;
        const F64 error = (product - (sum - from_addend)) + (addend - from_addend);  // exact (Knuth's two-sum)
        const I64::Part bits = reinterpret_cast<I64::Part>(sum);
        const I64::Part is_inexact = (error > 0) | (error < 0);
        const I64::Part is_even = -((bits & 1) ^ 1);
        const I64::Part is_away = (error > 0) ^ (sum > 0);  // the exact sum lies on the side of zero
        const I64::Part step = is_inexact & is_even & (is_away | 1);
        const F64 odd = reinterpret_cast<F64>(bits + step);
        x[i] = float(odd[0]);
        x[i + 1] = float(odd[1]);
    }
    out = load(x);
}
WALLABY_KERNEL F32 fma(const F32& a, const F32& b, const F32& c) {
    F32 out;
    add_product(a, b, c, out);
    return out;
}
#endif

WALLABY_KERNEL F32 sqrt(const F32& x) {
    return of_each(x, [](float y) WALLABY_INLINE { return __builtin_sqrtf(y); });
}
// x * 2^k rounded once, for whole k from -250 to 250 and |x| from 1/2 to 2: the first of two steps is exact.
WALLABY_KERNEL F32 times_power(F32 x, F32 k) {
    const I32 whole = truncated(k);
    const I32 half = whole >> 1, rest = whole - half;
    return x * from_bits((half + 127) << 23) * from_bits((rest + 127) << 23);
}
// |x| < 2^22: adding 1.5 * 2^23 leaves the rounded number in the low bits.
WALLABY_KERNEL I32 round_to_i32(F32 x) { return bits_of(x + 0x1.8p23f) - 0x4b400000; }
WALLABY_KERNEL F32 load_f16(const uint16_t* p) {
    float x[n_lanes];
    for (int i = 0; i < n_lanes; i++) { x[i] = base::f32_from_f16(p[i]); }
    return load(x);
}
WALLABY_KERNEL void store_f16(uint16_t* p, const F32& x) {
    for (int i = 0; i < n_lanes; i++) { p[i] = base::f16_from_f32(lane(x, i)); }
}
template <class T>
WALLABY_KERNEL I32 load_narrow(const T* p) {
    int32_t x[n_lanes];
    for (int i = 0; i < n_lanes; i++) { x[i] = p[i]; }  // NOLINT(bugprone-signed-char-misuse): a number
    return load_dwords(x);
}
template <class T>
WALLABY_KERNEL void store_narrow(T* p, const I32& x) {
    int32_t lanes[n_lanes];
    store_dwords(lanes, x);
    for (int i = 0; i < n_lanes; i++) { p[i] = T(lanes[i]); }
}
WALLABY_KERNEL I32 load_i8(const int8_t* p) { return load_narrow(p); }
WALLABY_KERNEL I32 load_u16(const uint16_t* p) { return load_narrow(p); }
WALLABY_KERNEL void store_u16(uint16_t* p, const I32& x) { store_narrow(p, x); }
WALLABY_KERNEL void store_i8(int8_t* p, const I32& x) { store_narrow(p, x); }

// The entry that each byte names, 0 to 15.
WALLABY_KERNEL I32 look_up(const uint8_t (&table)[16], const I32& indices) {
    uint8_t bytes[64];
    store_dwords(bytes, indices);
    for (uint8_t& b : bytes) { b = table[b]; }
    return load_dwords(bytes);
}
// Bits n to n + 3 of each lane, n a multiple of 4, each as a byte of ones or zeros.
WALLABY_KERNEL I32 spread_bits(I32 x, int n) {
    I32 y = shift_right(x, n) & 15;
    y = (y | (y << 14)) & 0x00030003;
    y = (y | (y << 7)) & 0x01010101;
    return (y << 8) - y;
}

// Formats whose largest codes are of one class share the code for many columns.
constexpr int code_class(int) { return 255; }

// start + products of n_vectors of codes: a call, for many formats and widths share it. Products of a code up to 255
// and a signed byte fit 16 bits; sums are taken in 32.
[[gnu::noinline]] inline void add_code_products(I32& sum, const uint8_t* codes, int n_vectors, const int8_t* shared) {
    I32 all = sum;
    for (int i = 0; i < n_vectors; i++) {
        const int8_t* s = shared + 4 * i;
        const auto pair = [](int low, int high) { return int32_t(uint32_t(high) << 16 | (uint32_t(low) & 0xffff)); };
        const I32 four = load_dwords(codes + 64 * i);
        const I32 even = as<I32>(as<I16>(four & 0x00ff00ff) * as<I16>(splat(pair(s[0], s[2]))));
        const I32 odd = as<I32>(as<I16>(shift_right(four, 8) & 0x00ff00ff) * as<I16>(splat(pair(s[1], s[3]))));
        all += (even >> 16) + (odd >> 16) + (shift_left(even, 16) >> 16) + (shift_left(odd, 16) >> 16);
    }
    sum = all;
}
// As avx512vnni.h says it.
template <int N, int max_code>
WALLABY_KERNEL I32 dot_group(I32 start, const I32* codes, const int8_t* shared) {
    add_code_products(start, reinterpret_cast<const uint8_t*>(codes), N / 4, shared);
    return start;
}
template <int N, int max_code, int T, int n>
WALLABY_KERNEL void add_dot_groups(const uint8_t* const* codes, const int8_t* shared, int stride, I32* dots) {
    for (int t = 0; t < T; t++) {
        for (int c = 0; c < n; c++) { add_code_products(dots[t * n + c], codes[t], N / 4, shared + stride * c); }
    }
}
struct SumFactor {
    F32 w;
    WALLABY_KERNEL explicit SumFactor(F32 factor) : w(factor) {}
    // + 0: a zero is positive, as a fused subtraction leaves it.
    WALLABY_KERNEL F32 times(I32 sum) const { return (from_bits(sum) - splat(sum_zero_f32)) * w + splat(0.0f); }
};
WALLABY_KERNEL I32 add_pair_products(I32 sum, I32 pairs, I32 shared) {
    const auto low = [](I32 x) { return shift_left(x, 16) >> 16; };
    return sum + low(pairs) * low(shared) + (pairs >> 16) * (shared >> 16);
}
WALLABY_KERNEL void prefetch(const void*) {}
WALLABY_KERNEL void prefetch_to_write(const void*) {}
WALLABY_KERNEL void prefetch_later(const void*) {}

}  // namespace
}  // namespace wallaby::kernels

#include "kernels/simd/plain_codes.h"
