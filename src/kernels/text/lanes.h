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

// A pointer that g++ 12 keeps in one register, where it would otherwise keep one for every constant added to it.
template <class T>
WALLABY_KERNEL const T* in_one_register(const T* p) {
    asm("" : "+r"(p));
    return p;
}

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

// Where sums of integer products begin: the bits of 1.5 * 2^23. A sum n below 2^22 that began here is, read as a
// float32, that number plus n, so that no conversion is needed (SumFactor, of the instruction set).
inline constexpr int32_t sum_zero = 0x4b400000;
inline constexpr float sum_zero_f32 = 0x1.8p23f;

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

// Lane i of the result: all lanes of x[i] joined by an operation whose order does not matter. x is used up.
template <class Join>
WALLABY_KERNEL I32 join_each(I32 (&x)[n_lanes], const Join& join) {
    WALLABY_UNROLL
    for (int i = 0; i < 8; i++) {
        x[i] =
            join(__builtin_shufflevector(x[i], x[i + 8], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
                 __builtin_shufflevector(x[i], x[i + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
    }
    WALLABY_UNROLL
    for (int i = 0; i < 4; i++) {
        x[i] =
            join(__builtin_shufflevector(x[i], x[i + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
                 __builtin_shufflevector(x[i], x[i + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31));
    }
    WALLABY_UNROLL
    for (int i = 0; i < 2; i++) {
        x[i] =
            join(__builtin_shufflevector(x[i], x[i + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
                 __builtin_shufflevector(x[i], x[i + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31));
    }
    return join(__builtin_shufflevector(x[0], x[1], 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
                __builtin_shufflevector(x[0], x[1], 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31));
}
WALLABY_KERNEL I32 largest_of_each(I32 (&x)[n_lanes]) {
    return join_each(x, [](I32 a, I32 b) WALLABY_INLINE { return max(a, b); });
}
WALLABY_KERNEL I32 sum_of_each(I32 (&x)[n_lanes]) {
    return join_each(x, [](I32 a, I32 b) WALLABY_INLINE { return a + b; });
}

}  // namespace
}  // namespace wallaby::kernels
