// What every spelling of sixteen lanes begins with.
//
// Everything in text/ and simd/ is local to the translation unit that includes it: code compiled for one instruction
// set must never be linked into another's path.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/kernels.h"

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

// A pointer that g++ 12 keeps in one register, where it would otherwise keep one for every constant added to it.
template <class T>
WALLABY_KERNEL const T* in_one_register(const T* p) {
    asm("" : "+r"(p));
    return p;
}

}  // namespace
}  // namespace wallaby::kernels
