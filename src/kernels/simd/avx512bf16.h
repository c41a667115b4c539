// AVX-512 with VNNI and native products of bf16 numbers (Cooper Lake, Zen 4 and later).
#pragma once
#include "kernels/simd/avx512vnni.h"

namespace wallaby::kernels {
namespace {

// sum + the products of two bf16 numbers in each lane and two that all lanes share, as vdpbf16ps rounds them: twice,
// and denormal numbers are zeros.
WALLABY_KERNEL F32 add_bf16_products(F32 sum, I32 pairs, I32 shared) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(pairs), reinterpret_cast<__m512bh>(shared));
}
// Sixteen numbers of 16 bits and the sixteen behind them: lane i holds the i-th of both.
WALLABY_KERNEL I32 load_pairs(const uint8_t* p) {
    const I32 second = (lane_numbers() + 16) << 16;
    const auto order = reinterpret_cast<__m512i>(lane_numbers() | second);
    return reinterpret_cast<I32>(_mm512_permutexvar_epi16(order, reinterpret_cast<__m512i>(load_dwords(p))));
}

}  // namespace
}  // namespace wallaby::kernels
