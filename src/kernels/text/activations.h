// Activations as matmuls read them. Columns lie in groups of a few (columns_at_once, the last one narrower), the
// numbers of a group's columns close together in the order in which a kernel needs them, so that it addresses them by
// constants:
//   f32      per 64 k:   x [width][64]
//   bf16     per 64 k:   x [width][64], rounded to nearest even; +0 behind the last
//   per_16   per 16 k:   codes [width][16], starts of offset 12 [width] i32, scale [width] f32
//   per_32   per 32 k:   codes [width][32], starts of offset 8 [width] i32, starts of offset 128 [width] i32,
//                        scale [width] f32
//   per_256  per 256 k:  codes [width][256], starts of offset 32 per 16 codes [width][16] i32,
//                        sums per 32 codes as pairs of i16 (0,2) (1,3) (4,6) (5,7) [width][4],
//                        sums per 16 codes likewise, to (13,15) [width][8], scale [width] f32, starts of offset 124
//                        for all 256 [width] i32
// A start is where an integer sum begins whose unsigned codes are too large by the offset: sum_zero - offset * sum of
// codes. code = nearest even of x * (127 / amax), scale = amax / 127, amax the largest magnitude of the 16, 32 or 256.
// amax below 2^-120 gives zeros; with an infinity or NaN among them the scale is NaN, so that every result is.
#pragma once
#include <type_traits>

#include "kernels/text/formats.h"

namespace wallaby::kernels {
namespace {

// The width of the next group when n columns are left: the narrowest that holds them among those there are kernels for.
WALLABY_KERNEL constexpr uint32_t group_width(uint32_t n) {
    if (n >= uint32_t(columns_at_once)) { return columns_at_once; }
    if (n <= 4) { return n; }
    return n <= 6 ? 6 : (n <= 8 ? 8 : columns_at_once);
}

// f of that width, at most `widest`, as a constant.
template <int widest = columns_at_once, class F>
auto for_width(uint32_t width, const F& f) {
    if constexpr (widest > 1) {
        if (width == 1) { return f(std::integral_constant<int, 1>()); }
    }
    if constexpr (widest > 2) {
        if (width == 2) { return f(std::integral_constant<int, 2>()); }
    }
    if constexpr (widest > 3) {
        if (width == 3) { return f(std::integral_constant<int, 3>()); }
    }
    if constexpr (widest > 4) {
        if (width == 4) { return f(std::integral_constant<int, 4>()); }
    }
    if constexpr (widest > 6) {
        if (width == 6) { return f(std::integral_constant<int, 6>()); }
    }
    if constexpr (widest > 8) {
        if (width == 8) { return f(std::integral_constant<int, 8>()); }
    }
    return f(std::integral_constant<int, widest>());
}

WALLABY_KERNEL constexpr uint64_t column_bytes(Activations kind, uint32_t n_in) {
    switch (kind) {
        case Activations::f32: return (uint64_t(n_in) + 63) / 64 * 256;
        case Activations::bf16: return (uint64_t(n_in) + 63) / 64 * 128;
        case Activations::per_16: return uint64_t(n_in) / 16 * 24;
        case Activations::per_32: return uint64_t(n_in) / 32 * 44;
        case Activations::per_256: return uint64_t(n_in) / 256 * 376;
    }
    return 0;
}

inline uint64_t activation_bytes(Activations kind, uint32_t n_in, uint32_t n_columns) {
    const uint32_t rest = n_columns % columns_at_once;
    return (n_columns - rest + (rest == 0 ? 0 : group_width(rest))) * column_bytes(kind, n_in);
}

// Of sixteen blocks: what turns numbers into codes, and codes into numbers.
struct Scaled {
    F32 inverse, scale;  // inverse 0: the codes are 0
};
// amax: as bits.
WALLABY_KERNEL Scaled scaled(I32 amax) {
    const F32 largest_magnitude = from_bits(amax);
    const I32 is_number = amax < splat(int32_t(0x7f800000)), counts = largest_magnitude >= splat(0x1p-120f);
    return {select(is_number & counts, splat(127.0f) / largest_magnitude, F32{}),
            select(is_number, select(counts, largest_magnitude / splat(127.0f), F32{}), splat(__builtin_nanf("")))};
}
WALLABY_KERNEL I32 codes_of(const float* x, float inverse) {
    const I32 codes = round_to_i32(load(x) * splat(inverse));
    return inverse != 0 ? codes : I32{};
}
template <class T>
WALLABY_KERNEL void put(uint8_t* at, T value) {
    std::memcpy(at, &value, sizeof(value));
}

inline void write_per_16(const float* x, uint32_t n_in, uint8_t* group, uint32_t width, uint32_t c) {
    for (uint32_t k = 0; k < n_in; k += 16, group += uint64_t(width) * 24) {
        const Scaled s = scaled(splat(largest(bits_of(load(x + k)) & 0x7fffffff)));
        const I32 codes = codes_of(x + k, lane(s.inverse, 0));
        store_i8(reinterpret_cast<int8_t*>(group) + 16 * c, codes);
        put(group + 16 * width + 4 * c, int32_t(sum_zero - 12 * sum(codes)));
        put(group + 20 * width + 4 * c, float(lane(s.scale, 0)));
    }
}

inline void write_per_32(const float* x, uint32_t n_in, uint8_t* group, uint32_t width, uint32_t c) {
    const uint64_t stride = uint64_t(width) * 44;
    for (uint32_t first = 0; first < n_in; first += 32 * n_lanes, x += 32 * n_lanes, group += n_lanes * stride) {
        const int n = n_in - first < 32 * n_lanes ? int(n_in - first) / 32 : n_lanes;
        I32 each[n_lanes] = {};
        for (int b = 0; b < n; b++) {
            each[b] = max(bits_of(load(x + 32 * b)) & 0x7fffffff, bits_of(load(x + 32 * b + 16)) & 0x7fffffff);
        }
        const Scaled s = scaled(largest_of_each(each));
        float inverse[n_lanes], scale[n_lanes];
        store(inverse, s.inverse);
        store(scale, s.scale);
        for (int b = 0; b < n; b++) {
            const I32 low = codes_of(x + 32 * b, inverse[b]), high = codes_of(x + 32 * b + 16, inverse[b]);
            auto* codes = reinterpret_cast<int8_t*>(group + b * stride) + 32 * c;
            store_i8(codes, low);
            store_i8(codes + 16, high);
            each[b] = low + high;
        }
        const I32 sums = sum_of_each(each);
        int32_t starts_8[n_lanes], starts_128[n_lanes];
        store_dwords(starts_8, sum_zero - (sums << 3));
        store_dwords(starts_128, sum_zero - (sums << 7));
        for (int b = 0; b < n; b++) {
            uint8_t* at = group + b * stride + 32 * width + 4 * c;
            put(at, starts_8[b]);
            put(at + 4 * width, starts_128[b]);
            put(at + 8 * width, scale[b]);
        }
    }
}

inline void write_per_256(const float* x, uint32_t n_in, uint8_t* group, uint32_t width, uint32_t c) {
    for (uint32_t k = 0; k < n_in; k += 256, group += uint64_t(width) * 376) {
        I32 each[n_lanes], magnitudes{};
        for (uint32_t i = 0; i < 256; i += 16) { magnitudes = max(magnitudes, bits_of(load(x + k + i)) & 0x7fffffff); }
        const Scaled s = scaled(splat(largest(magnitudes)));
        auto* codes = reinterpret_cast<int8_t*>(group) + 256 * c;
        for (int i = 0; i < n_lanes; i++) {
            each[i] = codes_of(x + k + 16 * i, lane(s.inverse, 0));
            store_i8(codes + 16 * i, each[i]);
        }
        const I32 sixteens = sum_of_each(each);
        store_dwords(group + 256 * width + 64 * c, sum_zero - (sixteens << 5));
        int32_t sums[n_lanes];
        store_dwords(sums, sixteens);
        const auto put_pairs = [&](uint8_t* at, uint32_t n, const auto& sum_of) {
            for (uint32_t i = 0; i < n / 2; i++) {
                const uint32_t first = i / 2 * 4 + i % 2;
                put(at + 4 * i, int16_t(sum_of(first)));
                put(at + 4 * i + 2, int16_t(sum_of(first + 2)));
            }
        };
        put_pairs(group + 320 * width + 16 * c, 8, [&](uint32_t i) { return sums[2 * i] + sums[2 * i + 1]; });
        put_pairs(group + 336 * width + 32 * c, 16, [&](uint32_t i) { return sums[i]; });
        put(group + 368 * width + 4 * c, float(lane(s.scale, 0)));
        put(group + 372 * width + 4 * c, int32_t(sum_zero - 124 * sum(sixteens)));
    }
}

inline void write_f32(const float* x, uint32_t n_in, uint8_t* group, uint32_t width, uint32_t c) {
    for (uint32_t k = 0; k < n_in; k += 64, group += uint64_t(width) * 256) {
        const uint32_t n = n_in - k < 64 ? n_in - k : 64;
        std::memcpy(group + 256 * c, x + k, n * sizeof(float));
    }
}

inline void write_bf16(const float* x, uint32_t n_in, uint8_t* group, uint32_t width, uint32_t c) {
    for (uint32_t k = 0; k < n_in; k += 16) {
        uint8_t* out = group + uint64_t(k / 64) * (128 * width) + 128 * c + k % 64 * 2;
        store_bf16(reinterpret_cast<uint16_t*>(out), load_first(x + k, n_in - k));
    }
    const uint64_t n_written = (uint64_t(n_in) + 15) / 16 * 16;
    uint8_t* rest = group + n_written / 64 * (128 * width) + 128 * c + n_written % 64 * 2;
    if (n_written % 64 != 0) { std::memset(rest, 0, (64 - n_written % 64) * 2); }
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
        case Activations::bf16: return clear(64, 0, 128);
        case Activations::per_16:
            clear(16, 0, 16);
            clear(16, 16, 4);
            return clear(16, 20, 4);
        case Activations::per_32:
            clear(32, 0, 32);
            clear(32, 32, 4);
            clear(32, 36, 4);
            return clear(32, 40, 4);
        case Activations::per_256:
            clear(256, 0, 256);
            clear(256, 256, 64);
            clear(256, 320, 16);
            clear(256, 336, 32);
            clear(256, 368, 4);
            return clear(256, 372, 4);
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
        case Activations::bf16: return write_bf16(x, n_in, group, width, column - first);
        case Activations::per_16: return write_per_16(x, n_in, group, width, column - first);
        case Activations::per_32: return write_per_32(x, n_in, group, width, column - first);
        case Activations::per_256: return write_per_256(x, n_in, group, width, column - first);
    }
}

}  // namespace
}  // namespace wallaby::kernels
