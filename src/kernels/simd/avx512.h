// AVX-512 without VNNI (Skylake-X, Cascade Lake's predecessors).
#pragma once
#include "kernels/simd/avx512_lanes.h"

namespace wallaby::kernels {
namespace {

// A vector in registers.
using Register = __m512i;
inline constexpr int n_registers = 1;
WALLABY_KERNEL Register part(I32 x, int) { return reinterpret_cast<Register>(x); }
WALLABY_KERNEL I32 joined(const Register (&x)[n_registers]) { return reinterpret_cast<I32>(x[0]); }
WALLABY_KERNEL Register load_register(const uint8_t* p) { return _mm512_loadu_si512(p); }
WALLABY_KERNEL Register splat_register(const void* p) { return reinterpret_cast<Register>(splat_dword(p)); }
WALLABY_KERNEL Register splat_words(int16_t x) { return _mm512_set1_epi16(x); }
WALLABY_KERNEL Register low_nibbles(Register x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
WALLABY_KERNEL Register shift_words(Register x, int n) { return _mm512_srli_epi16(x, unsigned(n)); }
WALLABY_KERNEL Register multiply_bytes(Register codes, Register shared) { return _mm512_maddubs_epi16(codes, shared); }
WALLABY_KERNEL Register multiply_words(Register a, Register b) { return _mm512_madd_epi16(a, b); }
// g++ 12 would add in another order, for which registers do not suffice.
WALLABY_KERNEL Register add_words(Register a, Register b) {
    Register sum = _mm512_add_epi16(a, b);
    asm("" : "+v"(sum));
    return sum;
}
WALLABY_KERNEL Register add_dwords(Register a, Register b) { return _mm512_add_epi32(a, b); }

}  // namespace
}  // namespace wallaby::kernels

#include "kernels/simd/maddubs.h"
