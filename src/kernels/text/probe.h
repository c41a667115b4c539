// Loops that do one thing as fast as one core can, for the probe. What they multiply passes through opaque(), or a
// compiler would take it out of the loop; so do the chains' starts, or it would keep one chain of twelve.
#pragma once
#include "kernels/kernels.h"

namespace wallaby::kernels {
namespace {

// As many as wide matmuls have; f32's are enough for a latency of five.
inline constexpr int n_chains = wide_tiles * wide_columns, n_f32_chains = n_chains < 6 ? 6 : n_chains;
inline constexpr uint64_t read_ahead = 2048;  // bytes

template <class Vector>
WALLABY_KERNEL void opaque(Vector& x) {
    asm volatile("" : "+m"(x));
}

template <class Vector, int n>
WALLABY_KERNEL void start(Vector (&sums)[n]) {
    Vector zero{};
    WALLABY_UNROLL
    for (Vector& s : sums) {
        opaque(zero);
        s = zero;
    }
}

inline uint64_t read_bytes(const uint8_t* bytes, uint64_t n_bytes) {
    I32 x[4] = {};
    uint64_t i = 0;
    for (; i + 256 <= n_bytes; i += 256) {
        WALLABY_UNROLL
        for (int j = 0; j < 4; j++) {
            prefetch(bytes + i + read_ahead + 64 * uint64_t(j));
            x[j] ^= load_dwords(bytes + i + 64 * uint64_t(j));
        }
    }
    const I32 all = (x[0] ^ x[1]) ^ (x[2] ^ x[3]);
    uint32_t y = 0;
    for (int j = 0; j < n_lanes; j++) { y ^= uint32_t(lane(all, j)); }
    for (; i + 4 <= n_bytes; i += 4) {
        uint32_t word;
        std::memcpy(&word, bytes + i, sizeof(word));
        y ^= word;
    }
    return y;
}

// The products of wide matmuls, of codes so small that as many as ever are added before sums are widened, on operands
// that stay in the first-level cache.
inline constexpr int int8_k = 32;
inline uint64_t int8_chains(uint64_t n) {
    constexpr int n_columns = n_chains / wide_tiles;
    struct Panel {
        alignas(64) uint8_t codes[wide_tiles][code_bytes<int8_k, 15>];
    } panel;
    const uint8_t* tiles[wide_tiles];
    for (int t = 0; t < wide_tiles; t++) {
        I32 codes[int8_k / 4];
        for (I32& c : codes) { c = splat(int32_t(0x01020304)); }
        store_codes<int8_k, 15>(panel.codes[t], codes);
        tiles[t] = panel.codes[t];
    }
    alignas(64) int8_t shared[n_columns * int8_k];
    constexpr int8_t four[] = {1, -2, 3, 4};
    for (int i = 0; i < n_columns * int8_k; i++) { shared[i] = four[i % 4]; }
    I32 sums[n_chains];
    start(sums);
    for (uint64_t i = 0; i < n; i++) {
        opaque(panel);
        opaque(shared);
        add_dot_groups<int8_k, 15, wide_tiles, n_columns>(tiles, shared, int8_k, sums);
    }
    uint64_t y = 0;
    WALLABY_UNROLL  // an array that is looped over would stay in memory
        for (const I32& s : sums) {
        y += uint64_t(uint32_t(sum(s)));
    }
    return y;
}
// Chains of step(sum, x).
template <class Vector, class Step>
WALLABY_KERNEL uint64_t float_chains(uint64_t n, Vector x, const Step& step) {
    F32 sums[n_f32_chains];
    start(sums);
    for (uint64_t i = 0; i < n; i++) {
        opaque(x);
        WALLABY_UNROLL
        for (F32& s : sums) { s = step(s, x); }
    }
    float y = 0;
    WALLABY_UNROLL
    for (const F32& s : sums) { y += sum(s); }
    uint32_t bits;
    std::memcpy(&bits, &y, sizeof(bits));
    return bits;
}
inline uint64_t f32_chains(uint64_t n) {
    return float_chains(n, splat(0.5f), [](F32 s, F32 x) WALLABY_INLINE { return fma(s, x, x); });
}

constexpr Probe make_probe() {
    return {read_bytes, int8_chains, f32_chains, uint64_t(n_chains) * n_lanes * int8_k * 2,
            uint64_t(n_f32_chains) * n_lanes * 2};
}

}  // namespace
}  // namespace wallaby::kernels
