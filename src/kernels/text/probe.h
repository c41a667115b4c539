// Loops that do one thing as fast as one core can, for the probe. What they multiply passes through opaque(), or a
// compiler would take it out of the loop; so do the chains' starts, or it would keep one chain of twelve.
#pragma once
#include "kernels/kernels.h"

namespace wallaby::kernels {
namespace {

inline constexpr int n_chains = 12;
inline constexpr uint64_t read_ahead = 2048;  // bytes

template <class Vector>
WALLABY_KERNEL void opaque(Vector& x) {
    asm volatile("" : "+m"(x));
}

template <class Vector>
WALLABY_KERNEL void start(Vector (&sums)[n_chains]) {
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
    for (int j = 0; j < n_lanes; j++) { y ^= uint32_t(all[j]); }
    for (; i + 4 <= n_bytes; i += 4) {
        uint32_t word;
        std::memcpy(&word, bytes + i, sizeof(word));
        y ^= word;
    }
    return y;
}

// The products of wide matmuls, on operands that stay in the first-level cache, or in registers.
inline uint64_t int8_chains(uint64_t n) {
    I32 sums[n_chains], codes = splat(int32_t(0x01020304));
    start(sums);
    const uint8_t* tiles[wide_tiles];
    for (const uint8_t*& t : tiles) { t = reinterpret_cast<const uint8_t*>(&codes); }
    int8_t shared[4] = {1, -2, 3, 4};
    opaque(shared);
    for (uint64_t i = 0; i < n; i++) {
        opaque(codes);
        add_dot_groups<4, 127, wide_tiles, n_chains / wide_tiles>(tiles, shared, 0, sums);
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
    F32 sums[n_chains];
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
    return {read_bytes, int8_chains, f32_chains, uint64_t(n_chains) * n_lanes * 4 * 2,
            uint64_t(n_chains) * n_lanes * 2};
}

}  // namespace
}  // namespace wallaby::kernels
