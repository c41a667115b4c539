// AVX2 without VNNI (Haswell to Comet Lake, Zen to Zen 3).
#pragma once
#include "kernels/simd/avx2_lanes.h"

namespace wallaby::kernels {
namespace {

WALLABY_KERNEL Register splat_words(int16_t x) { return _mm256_set1_epi16(x); }
WALLABY_KERNEL Register low_nibbles(Register x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
WALLABY_KERNEL Register shift_words(Register x, int n) { return _mm256_srli_epi16(x, n); }
WALLABY_KERNEL Register multiply_bytes(Register codes, Register shared) { return _mm256_maddubs_epi16(codes, shared); }
WALLABY_KERNEL Register multiply_words(Register a, Register b) { return _mm256_madd_epi16(a, b); }
// g++ 12 would add in another order, for which registers do not suffice.
WALLABY_KERNEL Register add_words(Register a, Register b) {
    Register sum = _mm256_add_epi16(a, b);
    asm("" : "+x"(sum));
    return sum;
}
WALLABY_KERNEL Register add_dwords(Register a, Register b) { return _mm256_add_epi32(a, b); }

}  // namespace
}  // namespace wallaby::kernels

#include "kernels/simd/maddubs.h"
