// What is done number by number along a row, and the norms. Tails are whole vectors whose last lanes are zero.
#pragma once
#include "kernels/text/elementary.h"

namespace wallaby::kernels {
namespace {

// out[i] = f(vectors of the inputs at i).
template <class F, class... Inputs>
WALLABY_KERNEL void each(float* out, uint32_t n, F f, Inputs... inputs) {
    for (uint32_t i = 0; i < n; i += n_lanes) { store_first(out + i, f(load_first(inputs + i, n - i)...), n - i); }
}

inline void add_rows(const float* a, const float* b, float* out, uint32_t n) {
    each(
        out, n, [](F32 x, F32 y) WALLABY_INLINE { return x + y; }, a, b);
}
inline void scale_row(const float* x, float factor, float* out, uint32_t n) {
    each(
        out, n, [f = splat(factor)](F32 v) WALLABY_INLINE { return v * f; }, x);
}
inline void silu_row(const float* x, float* out, uint32_t n) {
    each(
        out, n, [](F32 v) WALLABY_INLINE { return silu(v); }, x);
}
inline void gelu_tanh_row(const float* x, float* out, uint32_t n) {
    each(
        out, n, [](F32 v) WALLABY_INLINE { return gelu_tanh(v); }, x);
}
inline void softcap_row(const float* x, float cap, float* out, uint32_t n) {
    each(
        out, n, [c = splat(cap)](F32 v) WALLABY_INLINE { return softcap(v, c); }, x);
}
inline void exp_row(const float* x, float* out, uint32_t n) {
    each(
        out, n, [](F32 v) WALLABY_INLINE { return exp(v); }, x);
}

inline void gate(const GateArgs& args) {
    const F32 alpha = splat(args.alpha), limit = splat(args.limit);
    switch (args.act) {
        case GateArgs::Act::silu:
            return each(
                args.out, args.n, [](F32 x, F32 u) WALLABY_INLINE { return silu(x) * u; }, args.x, args.other);
        case GateArgs::Act::gelu_tanh:
            return each(
                args.out, args.n, [](F32 x, F32 u) WALLABY_INLINE { return gelu_tanh(x) * u; }, args.x, args.other);
        case GateArgs::Act::clamped_silu: break;
    }
    // Written so that NaN stays NaN.
    const auto clamped = [=](F32 x, F32 u) WALLABY_INLINE {
        const F32 low = min(limit, x), held = max(-limit, min(limit, u));
        return low / (splat(1.0f) + exp(-(alpha * low))) * (held + splat(1.0f));
    };
    each(args.out, args.n, clamped, args.x, args.other);
}

inline void combine(const float* results, const float* weights, uint32_t n_used, float* out, uint32_t width) {
    for (uint32_t i = 0; i < width; i += n_lanes) {
        F32 y{};
        for (uint32_t j = 0; j < n_used; j++) {
            y = fma(load_first(results + uint64_t(j) * width + i, width - i), splat(weights[j]), y);
        }
        store_first(out + i, y, width - i);
    }
}

// The sum of f(x) over a row: vector i goes to the chain i % 4, then a tree. f(sum, x) adds; it sees zeros beyond the
// row's end, and `n` says how many lanes count.
template <class F>
WALLABY_KERNEL float sum_of(const float* x, uint32_t n, F f) {
    F32 sums[4] = {};
    uint32_t i = 0;
    for (; i + 64 <= n; i += 64) {
        WALLABY_UNROLL
        for (uint32_t j = 0; j < 4; j++) { sums[j] = f(sums[j], load(x + i + 16 * j), 16); }
    }
    WALLABY_UNROLL
    for (uint32_t j = 0; j < 4; j++) {
        if (i + 16 * j < n) { sums[j] = f(sums[j], load_first(x + i + 16 * j, n - i - 16 * j), n - i - 16 * j); }
    }
    return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

inline void norm(const NormArgs& args) {
    for (uint32_t first = 0; first < args.width; first += args.group) {
        const float* x = args.x + first;
        const float* gain = args.gain + (args.per_group ? first : 0);
        const float n = float(args.group);
        F32 mean{};
        if (args.is_layer) {
            mean = splat(sum_of(x, args.group, [](F32 s, F32 v, uint32_t) WALLABY_INLINE { return s + v; }) / n);
        }
        const float squares = sum_of(x, args.group, [mean](F32 s, F32 v, uint32_t n_counting) WALLABY_INLINE {
            const F32 d = keep_first(v - mean, n_counting);
            return fma(d, d, s);
        });
        const F32 scale = splat(1.0f) / sqrt(splat(squares / n + args.eps));
        if (args.bias == nullptr) {
            each(
                args.out + first, args.group, [=](F32 v, F32 g) WALLABY_INLINE { return (v - mean) * scale * g; }, x,
                gain);
        } else {
            const float* bias = args.bias + (args.per_group ? first : 0);
            each(
                args.out + first, args.group,
                [=](F32 v, F32 g, F32 b) WALLABY_INLINE { return fma((v - mean) * scale, g, b); }, x, gain, bias);
        }
    }
}

struct Pair {
    F32 a, b;
};
// s-products are rounded, then fused into the others.
WALLABY_KERNEL Pair turned(Pair p, F32 c, F32 s) { return {fma(p.a, c, -(p.b * s)), fma(p.b, c, p.a * s)}; }

WALLABY_KERNEL void rope_halves(const RopeArgs& args, const float* x, float* out) {
    const uint32_t n = args.n_dims / 2;
    for (uint32_t i = 0; i < n; i += n_lanes) {
        const Pair p = {load_first(x + i, n - i), load_first(x + n + i, n - i)};
        const Pair y = turned(p, load_first(args.cosines + i, n - i), load_first(args.sines + i, n - i));
        store_first(out + i, y.a, n - i);
        store_first(out + n + i, y.b, n - i);
    }
}
WALLABY_KERNEL void rope_pairs(const RopeArgs& args, const float* x, float* out) {
    const uint32_t n = args.n_dims / 2;
    for (uint32_t i = 0; i < n; i += n_lanes) {
        const uint32_t rest = args.n_dims - 2 * i, beyond = rest > 16 ? rest - 16 : 0;
        const F32 low = load_first(x + 2 * i, rest), high = load_first(x + 2 * i + (beyond != 0 ? 16 : 0), beyond);
        const Pair p = {evens(low, high), odds(low, high)};
        const Pair y = turned(p, load_first(args.cosines + i, n - i), load_first(args.sines + i, n - i));
        store_first(out + 2 * i, first_half_of_turns(y.a, y.b), rest);
        if (beyond != 0) { store_first(out + 2 * i + 16, second_half_of_turns(y.a, y.b), beyond); }
    }
}

inline void rope(const RopeArgs& args) {
    for (uint32_t first = 0; first < args.width; first += args.head) {
        const float* x = args.x + first;
        float* out = args.out + first;
        args.halves ? rope_halves(args, x, out) : rope_pairs(args, x, out);
        if (out != x) { std::memcpy(out + args.n_dims, x + args.n_dims, (args.head - args.n_dims) * sizeof(float)); }
    }
}

}  // namespace
}  // namespace wallaby::kernels
