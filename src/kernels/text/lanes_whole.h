// A vector of sixteen lanes in one register of 64 bytes: a vector type of the compiler, whose operators are IEEE
// operations lane by lane. lanes_parts.h says the same for smaller registers.
#pragma once
#include "kernels/text/lanes_common.h"

namespace wallaby::kernels {
namespace {

using F32 [[gnu::vector_size(64)]] = float;
using I32 [[gnu::vector_size(64)]] = int32_t;
using U32 [[gnu::vector_size(64)]] = uint32_t;
using I16 [[gnu::vector_size(64)]] = int16_t;
using U16 [[gnu::vector_size(64)]] = uint16_t;
using Bytes [[gnu::vector_size(64)]] = int8_t;

// At any address.
template <class Vector>
WALLABY_KERNEL Vector load_any(const void* p) {
    Vector x;
    std::memcpy(&x, p, sizeof(x));
    return x;
}
template <class Vector>
WALLABY_KERNEL void store_any(void* p, const Vector& x) {
    std::memcpy(p, &x, sizeof(x));
}
// The same bits.
template <class To, class From>
WALLABY_KERNEL To as(From x) {
    return reinterpret_cast<To>(x);
}
// a where the mask's lane is -1, b where it is 0.
template <class Vector>
WALLABY_KERNEL Vector select(I32 mask, Vector a, Vector b) {
    return mask ? a : b;
}
template <class Vector>
WALLABY_KERNEL auto lane(const Vector& x, int i) {
    return x[i];
}

WALLABY_KERNEL F32 splat(float x) { return F32{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
WALLABY_KERNEL I32 splat(int32_t x) { return I32{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
WALLABY_KERNEL I32 lane_numbers() { return I32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }
WALLABY_KERNEL F32 to_f32(I32 x) { return __builtin_convertvector(x, F32); }     // nearest even above 2^24
WALLABY_KERNEL I32 truncated(F32 x) { return __builtin_convertvector(x, I32); }  // towards zero

template <int N, class Vector>
WALLABY_KERNEL Vector rotate(Vector x) {
    return __builtin_shufflevector(x, x, (0 + N) % 16, (1 + N) % 16, (2 + N) % 16, (3 + N) % 16, (4 + N) % 16,
                                   (5 + N) % 16, (6 + N) % 16, (7 + N) % 16, (8 + N) % 16, (9 + N) % 16, (10 + N) % 16,
                                   (11 + N) % 16, (12 + N) % 16, (13 + N) % 16, (14 + N) % 16, (15 + N) % 16);
}
// All lanes joined, in the tree of every sum across lanes: lane i and lane i+8, then 4, 2, 1 apart.
template <class Vector, class Join>
WALLABY_KERNEL auto join(Vector x, const Join& f) {
    x = f(x, rotate<8>(x));
    x = f(x, rotate<4>(x));
    x = f(x, rotate<2>(x));
    x = f(x, rotate<1>(x));
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

// Numbers 0, 2, 4 ... and 1, 3, 5 ... of thirty-two, and back.
WALLABY_KERNEL F32 evens(F32 a, F32 b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
WALLABY_KERNEL F32 odds(F32 a, F32 b) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
WALLABY_KERNEL F32 first_half_of_turns(F32 a, F32 b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
WALLABY_KERNEL F32 second_half_of_turns(F32 a, F32 b) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

}  // namespace
}  // namespace wallaby::kernels

#include "kernels/text/lanes.h"
