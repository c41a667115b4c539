// Sixteen lanes, as every instruction set spells them: vector types of the compiler, whose operators are IEEE
// operations lane by lane. What operators cannot say (fma, square root, rounding, half precision, int8 dot products)
// comes from simd/<isa>.h, which includes this file.
//
// Everything here is local to the translation unit that includes it: code compiled for one instruction set must never
// be linked into another's path.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__clang__)
#define WALLABY_UNROLL _Pragma("clang loop unroll(full)")
#else
#define WALLABY_UNROLL _Pragma("GCC unroll 64")
#endif
#pragma GCC diagnostic ignored "-Wpsabi"  // no vector crosses a translation unit
#define WALLABY_KERNEL [[gnu::always_inline]] inline
#define WALLABY_INLINE __attribute__((always_inline))  // of a lambda: behind its parameters

namespace wallaby::kernels {
namespace {

inline constexpr int n_lanes = 16;

using F32 [[gnu::vector_size(64)]] = float;
using I32 [[gnu::vector_size(64)]] = int32_t;
using U32 [[gnu::vector_size(64)]] = uint32_t;
using I8 [[gnu::vector_size(16)]] = int8_t;
using U16 [[gnu::vector_size(32)]] = uint16_t;
using F32Anywhere [[gnu::aligned(1), gnu::may_alias]] = F32;
using I32Anywhere [[gnu::aligned(1), gnu::may_alias]] = I32;
using U16Anywhere [[gnu::aligned(1), gnu::may_alias]] = U16;
using I8Anywhere [[gnu::aligned(1), gnu::may_alias]] = I8;

WALLABY_KERNEL F32 load(const float* p) { return *reinterpret_cast<const F32Anywhere*>(p); }
WALLABY_KERNEL void store(float* p, F32 x) { *reinterpret_cast<F32Anywhere*>(p) = x; }
// 64 bytes as sixteen dwords.
WALLABY_KERNEL I32 load_dwords(const void* p) { return *static_cast<const I32Anywhere*>(p); }
WALLABY_KERNEL void store_dwords(void* p, I32 x) { *static_cast<I32Anywhere*>(p) = x; }

WALLABY_KERNEL F32 splat(float x) { return F32{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
WALLABY_KERNEL I32 splat(int32_t x) { return I32{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
WALLABY_KERNEL F32 splat_f32(const void* p) {
    float x;
    std::memcpy(&x, p, sizeof(x));
    return splat(x);
}
// Four bytes, in every lane.
WALLABY_KERNEL I32 splat_dword(const void* p) {
    int32_t x;
    std::memcpy(&x, p, sizeof(x));
    return splat(x);
}

// The first n lanes, n <= 16; the others are +0.
WALLABY_KERNEL F32 load_first(const float* p, uint32_t n) {
    if (n >= uint32_t(n_lanes)) { return load(p); }
    float lanes[n_lanes] = {};
    for (uint32_t i = 0; i < n; i++) { lanes[i] = p[i]; }
    return load(lanes);
}
WALLABY_KERNEL void store_first(float* p, F32 x, uint32_t n) {
    if (n >= uint32_t(n_lanes)) { return store(p, x); }
    float lanes[n_lanes];
    store(lanes, x);
    for (uint32_t i = 0; i < n; i++) { p[i] = lanes[i]; }
}

WALLABY_KERNEL I32 lane_numbers() { return I32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }
// The first n lanes of x; the others are +0.
WALLABY_KERNEL F32 keep_first(F32 x, uint32_t n) { return lane_numbers() < splat(int32_t(n)) ? x : F32{}; }

WALLABY_KERNEL I32 bits_of(F32 x) { return reinterpret_cast<I32>(x); }
WALLABY_KERNEL F32 from_bits(I32 x) { return reinterpret_cast<F32>(x); }
WALLABY_KERNEL I32 shift_right(I32 x, int n) { return reinterpret_cast<I32>(reinterpret_cast<U32>(x) >> uint32_t(n)); }
WALLABY_KERNEL F32 to_f32(I32 x) { return __builtin_convertvector(x, F32); }  // nearest even above 2^24
WALLABY_KERNEL F32 max(F32 a, F32 b) { return a > b ? a : b; }
WALLABY_KERNEL F32 min(F32 a, F32 b) { return a < b ? a : b; }
WALLABY_KERNEL I32 max(I32 a, I32 b) { return a > b ? a : b; }
WALLABY_KERNEL F32 abs(F32 x) { return from_bits(bits_of(x) & 0x7fffffff); }

template <int N, class Vector>
WALLABY_KERNEL Vector rotate(Vector x) {
    return __builtin_shufflevector(x, x, (0 + N) % 16, (1 + N) % 16, (2 + N) % 16, (3 + N) % 16, (4 + N) % 16,
                                   (5 + N) % 16, (6 + N) % 16, (7 + N) % 16, (8 + N) % 16, (9 + N) % 16, (10 + N) % 16,
                                   (11 + N) % 16, (12 + N) % 16, (13 + N) % 16, (14 + N) % 16, (15 + N) % 16);
}

// The tree of every sum across lanes: lane i + lane i+8, then 4, 2, 1 apart.
template <class Vector>
WALLABY_KERNEL auto sum(Vector x) {
    x = x + rotate<8>(x);
    x = x + rotate<4>(x);
    x = x + rotate<2>(x);
    x = x + rotate<1>(x);
    return x[0];
}
template <class Vector>
WALLABY_KERNEL auto largest(Vector x) {
    x = max(x, rotate<8>(x));
    x = max(x, rotate<4>(x));
    x = max(x, rotate<2>(x));
    x = max(x, rotate<1>(x));
    return x[0];
}

}  // namespace
}  // namespace wallaby::kernels
