// exp, tanh and what is made of them, in f32. Errors were measured against base::exp in double over every fifth f32;
// the unit is the ulp of the result.
#pragma once
#include "kernels/kernels.h"

namespace wallaby::kernels {
namespace {

// x = k ln 2 + r with |r| <= ln(2) / 2, for |x| < 2^21.
struct Reduced {
    F32 k, r;
    U32 power_bits;  // k << 23
};
WALLABY_KERNEL Reduced reduce(F32 x) {
    const F32 shifted = fma(x, splat(0x1.715476p+0f), splat(0x1.8p23f));  // k stands in the low bits
    const F32 k = shifted - splat(0x1.8p23f);
    // ln 2 in two parts. The first has 21 bits, so this difference is exact.
    const F32 r = fma(k, splat(0x1.05c61p-29f), fma(k, splat(-0x1.62e43p-1f), x));
    return {k, r, as<U32>(shifted) << 23u};
}
// (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2: the polynomial whose largest relative error of e^r is least (Remez), 2^-28.
WALLABY_KERNEL F32 exp_tail(F32 r) {
    F32 q = fma(splat(0x1.6a242ap-10f), r, splat(0x1.1239f2p-7f));
    q = fma(q, r, splat(0x1.5558f2p-5f));
    q = fma(q, r, splat(0x1.555492p-3f));
    return fma(q, r, splat(0x1.fffffcp-2f));
}

// The largest f32 whose e^x lies below 2^-126, the smallest normal number.
inline constexpr float exp_vanishes = -0x1.5d58ap+6f;

// e^x for x <= 0; as exp().
WALLABY_KERNEL F32 exp_of_negative(F32 x) {
    const Reduced a = reduce(select(x <= splat(exp_vanishes), splat(-150.0f), x));
    return times_power(fma(fma(exp_tail(a.r), a.r, splat(1.0f)), a.r, splat(1.0f)), a.k);
}
// e^x within 1 ulp. Exact: 1 at 0; +0 where the result would be below 2^-126; +infinity from overflow on; NaN stays
// NaN.
WALLABY_KERNEL F32 exp(F32 x) { return exp_of_negative(min(splat(89.0f), x)); }

// tanh within 3 ulp; odd, exact at 0, 1 from 9.02 on; NaN stays NaN.
WALLABY_KERNEL F32 tanh(F32 x) {
    const Reduced a = reduce(min(splat(10.0f), abs(x)) * splat(2.0f));
    // e^2|x| - 1 = 2^k (e^r - 1) + (2^k - 1), without cancellation.
    const F32 small = fma(a.r * a.r, exp_tail(a.r), a.r);
    const F32 power = as<F32>(a.power_bits + (127u << 23));
    const F32 y = fma(small, power, power - splat(1.0f));
    const F32 t = y / (y + splat(2.0f));
    return from_bits(bits_of(t) | (bits_of(x) & int32_t(0x80000000)));
}

// Within 3 ulp down to -85; from there on it sinks to -0 by way of 1 / infinity, a little early.
WALLABY_KERNEL F32 silu(F32 x) { return x / (splat(1.0f) + exp(-x)); }

// x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3), written as x / (1 + exp(-2u)): nothing cancels.
// Within 4 ulp from -1 on, 24 from -3 on. Below, the rounding of 2u is multiplied by 2u: 300 ulp towards -10,
// where next to nothing is left of the result.
WALLABY_KERNEL F32 gelu_tanh(F32 x) {
    const F32 inner = fma(x * x, splat(0.044715f), splat(1.0f));
    return x / (splat(1.0f) + exp(x * inner * splat(-1.5957691f)));
}

WALLABY_KERNEL F32 softcap(F32 x, F32 cap) { return cap * tanh(x / cap); }

}  // namespace
}  // namespace wallaby::kernels
