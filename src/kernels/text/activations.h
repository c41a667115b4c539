// Activations as matmuls read them. Columns lie in groups of a few (columns_at_once, the last one narrower), the
// numbers of a group's columns close together in the order in which a kernel needs them, so that it addresses them by
// constants:
//   f32      per 64 k:   x [width][64]
//   per_32   per 32 k:   codes [width][32], -8 * sum of codes [width] i32, scale [width] f32
//   per_256  per 256 k:  codes [width][256], -32 * sum per 16 codes [width][16] i32,
//                        sums per 32 codes as pairs of i16 (0,2) (1,3) (4,6) (5,7) [width][4], scale [width] f32
// code = nearest even of x * (127 / amax), scale = amax / 127, amax the largest magnitude of the 32 or 256. amax below
// 2^-120 gives zeros; with an infinity or NaN among them the scale is NaN, so that every result is.
#pragma once
#include "kernels/kernels.h"

namespace wallaby::kernels {
namespace {

// The width of the next group when n columns are left: the narrowest that holds them among those there are kernels for.
WALLABY_KERNEL constexpr uint32_t group_width(uint32_t n) {
    if (n >= uint32_t(columns_at_once)) { return columns_at_once; }
    if (n <= 4) { return n; }
    return n <= 6 ? 6 : (n <= 8 ? 8 : columns_at_once);
}

WALLABY_KERNEL constexpr uint64_t column_bytes(Activations kind, uint32_t n_in) {
    switch (kind) {
        case Activations::f32: return (uint64_t(n_in) + 63) / 64 * 256;
        case Activations::per_32: return uint64_t(n_in) / 32 * 40;
        case Activations::per_256: return uint64_t(n_in) / 256 * 340;
    }
    return 0;
}

inline uint64_t activation_bytes(Activations kind, uint32_t n_in, uint32_t n_columns) {
    const uint32_t rest = n_columns % columns_at_once;
    return (n_columns - rest + (rest == 0 ? 0 : group_width(rest))) * column_bytes(kind, n_in);
}

// Sixteen numbers to codes.
struct Scaled {
    float inverse = 0, scale = 0;
    WALLABY_KERNEL I32 codes(const float* x) const { return round_to_i32(load(x) * splat(inverse)); }
};
// amax: as bits.
WALLABY_KERNEL Scaled scaled(int32_t amax) {
    float largest_magnitude;
    std::memcpy(&largest_magnitude, &amax, sizeof(amax));
    if (amax >= 0x7f800000) { return {0, __builtin_nanf("")}; }
    if (largest_magnitude < 0x1p-120f) { return {0, 0}; }
    return {127 / largest_magnitude, largest_magnitude / 127};
}
template <class T>
WALLABY_KERNEL void put(uint8_t* at, T value) {
    std::memcpy(at, &value, sizeof(value));
}

inline void write_per_32(const float* x, uint32_t n_in, uint8_t* group, uint32_t width, uint32_t c) {
    for (uint32_t k = 0; k < n_in; k += 32, group += uint64_t(width) * 40) {
        const I32 magnitudes = max(bits_of(load(x + k)) & 0x7fffffff, bits_of(load(x + k + 16)) & 0x7fffffff);
        const Scaled s = scaled(largest(magnitudes));
        I32 low{}, high{};
        if (s.inverse != 0) {
            low = s.codes(x + k);
            high = s.codes(x + k + 16);
        }
        auto* codes = reinterpret_cast<int8_t*>(group) + 32 * c;
        store_i8(codes, low);
        store_i8(codes + 16, high);
        put(group + 32 * width + 4 * c, -8 * sum(low + high));
        put(group + 36 * width + 4 * c, s.scale);
    }
}

inline void write_per_256(const float* x, uint32_t n_in, uint8_t* group, uint32_t width, uint32_t c) {
    for (uint32_t k = 0; k < n_in; k += 256, group += uint64_t(width) * 340) {
        I32 magnitudes{};
        for (uint32_t i = 0; i < 256; i += 16) { magnitudes = max(magnitudes, bits_of(load(x + k + i)) & 0x7fffffff); }
        const Scaled s = scaled(largest(magnitudes));
        auto* codes = reinterpret_cast<int8_t*>(group) + 256 * c;
        uint8_t* biases = group + 256 * width + 64 * c;
        int32_t sums[16];
        for (uint32_t i = 0; i < 16; i++) {
            I32 sixteen{};
            if (s.inverse != 0) { sixteen = s.codes(x + k + 16 * i); }
            store_i8(codes + 16 * i, sixteen);
            sums[i] = sum(sixteen);
            put(biases + 4 * i, -32 * sums[i]);
        }
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t first = i / 2 * 4 + i % 2;
            uint8_t* pair = group + 320 * width + 16 * c + 4 * i;
            put(pair, int16_t(sums[2 * first] + sums[2 * first + 1]));
            put(pair + 2, int16_t(sums[2 * first + 4] + sums[2 * first + 5]));
        }
        put(group + 336 * width + 4 * c, s.scale);
    }
}

inline void write_f32(const float* x, uint32_t n_in, uint8_t* group, uint32_t width, uint32_t c) {
    for (uint32_t k = 0; k < n_in; k += 64, group += uint64_t(width) * 256) {
        const uint32_t n = n_in - k < 64 ? n_in - k : 64;
        std::memcpy(group + 256 * c, x + k, n * sizeof(float));
    }
}

// A column that fills up a group: zeros, so that no arithmetic meets chance numbers.
inline void clear_column(Activations kind, uint32_t n_in, uint8_t* group, uint32_t width, uint32_t c) {
    const auto clear = [&](uint32_t len, uint32_t begin, uint32_t n_bytes) {
        for (uint32_t k = 0; k < n_in; k += len) {
            std::memset(group + uint64_t(k / len) * column_bytes(kind, len) * width + begin * width + n_bytes * c, 0,
                        n_bytes);
        }
    };
    switch (kind) {
        case Activations::f32: return clear(64, 0, 256);
        case Activations::per_32:
            clear(32, 0, 32);
            clear(32, 32, 4);
            return clear(32, 36, 4);
        case Activations::per_256:
            clear(256, 0, 256);
            clear(256, 256, 64);
            clear(256, 320, 16);
            return clear(256, 336, 4);
    }
}

// Writes column `column` of n_columns in all; x [n_in]. The last one also what fills up its group.
inline void write_activations(Activations kind, const float* x, uint32_t n_in, uint32_t n_columns, uint32_t column,
                              uint8_t* out) {
    const uint32_t first = column / columns_at_once * columns_at_once;
    const uint32_t width = group_width(n_columns - first);
    uint8_t* group = out + first * column_bytes(kind, n_in);
    if (column + 1 == n_columns) {
        for (uint32_t c = column + 1 - first; c < width; c++) { clear_column(kind, n_in, group, width, c); }
    }
    switch (kind) {
        case Activations::f32: return write_f32(x, n_in, group, width, column - first);
        case Activations::per_32: return write_per_32(x, n_in, group, width, column - first);
        case Activations::per_256: return write_per_256(x, n_in, group, width, column - first);
    }
}

}  // namespace
}  // namespace wallaby::kernels
