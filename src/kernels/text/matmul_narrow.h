// Matmuls of few columns: weights are unpacked in registers as they stream by.
//
// int32 bounds: |dot| <= 32 * 255 * 127 < 2^21 from sum_zero on, at any time; a whole block's sum, of formats whose
// scaled weights fit a byte, is below 2^24 at any time and below 2^22 in the end (WholeWide, PairSums).
#pragma once
#include "kernels/text/panels.h"
#include "kernels/text/sums.h"

namespace wallaby::kernels {
namespace {

// What a sum that began at sum_zero is as a number; exact.
WALLABY_KERNEL F32 number_of(I32 sum) { return from_bits(sum) - splat(sum_zero_f32); }

// --- What is the same for few columns and many.

// Where the numbers of a column lie behind the codes in the activations of a part, and where its sum of products
// begins: offsets 8 and 128 are there, 1 and 16 follow from 8, all of them sum_zero - offset * sum of activations.
template <class Format, int width>
struct FlatNumbers {
    static constexpr bool is_short = Format::part == 16;
    static constexpr int scale = (is_short ? 4 : 8) * width;
    static constexpr int column_bytes = Format::part + (is_short ? 8 : 12);
    WALLABY_KERNEL static I32 eighths(const uint8_t* numbers) { return splat_dword(numbers); }
    WALLABY_KERNEL static I32 start(const uint8_t* numbers) {
        constexpr int offset = Format::offset;
        static_assert(is_short ? offset == 12
                               : offset == 0 || offset == 1 || offset == 8 || offset == 16 || offset == 128);
        if (offset == 0) { return splat(sum_zero); }
        if (offset == 1) { return (splat_dword(numbers) >> 3) + (sum_zero - (sum_zero >> 3)); }
        if (offset == 16) { return as<I32>((as<U32>(splat_dword(numbers)) << 1) - uint32_t(sum_zero)); }  // wraps
        return splat_dword(numbers + (offset == 128 ? 4 * width : 0));
    }
};
// A scale, made ready for many sums.
template <class Format>
struct FlatFactor {
    FlatScale s;
    SumFactor factor;
    WALLABY_KERNEL explicit FlatFactor(FlatScale scale) : s(scale), factor(scale.scale) {
        if (Format::has_minimum) { s.minimum = s.minimum * splat(-0.125f); }
    }
    // scale * dot, rounded once, and where there is a minimum + minimum * the sum of activations.
    WALLABY_KERNEL F32 times(I32 dot, I32 eighths) const {
        // A scale that is no f16 may be so large that SumFactor's overflows.
        const F32 scaled = Format::is_f16_scale ? factor.times(dot) : number_of(dot) * s.scale;
        return Format::has_minimum ? fma(s.minimum, number_of(eighths), scaled) : scaled;
    }
};

template <class Format>
WALLABY_KERNEL I32 nested_start(const uint8_t* activations) {
    return Format::has_minimum ? splat(sum_zero) : splat_dword(activations);
}
// Where a column's sums of activations lie behind the codes of a block of 256, as pairs of 16-bit numbers.
template <class Format>
constexpr int pairs_at(int width) {
    return (Format::group == 32 ? 320 : 336) * width;
}
template <class Format>
inline constexpr int pair_bytes = Format::group == 32 ? 16 : 32;
inline constexpr int nested_scale_at = 368, nested_start_at = 372, nested_bytes = 376;  // times the width

// sum + the products of a block's numbers by pairs and a column's sums of activations, which lie at `shared`.
template <int n_pairs>
WALLABY_KERNEL I32 add_all_pairs(I32 sum, const I32 (&pairs)[n_pairs], const uint8_t* shared) {
    WALLABY_UNROLL
    for (int i = 0; i < n_pairs; i++) { sum = add_pair_products(sum, pairs[i], splat_dword(shared + 4 * i)); }
    return sum;
}

// y and what a block of 256 adds: of the sum of its groups, and of their minima where the format has some. pairs,
// s_act: the column's sums of activations and their scale.
template <class Format, class Scales>
WALLABY_KERNEL F32 add_nested(F32 y, F32 sum, const Scales& s, const uint8_t* pairs, const uint8_t* s_act) {
    F32 scaled;
    if constexpr (Format::has_minimum) {
        const I32 minima = add_all_pairs(splat(sum_zero), s.minima, pairs);
        scaled = fma(sum, s.d, SumFactor(-s.dmin).times(minima));
    } else {
        scaled = sum * s.d;
    }
    return fma(scaled, splat_f32(s_act), y);
}

// The sum of a whole block's integers, as add_nested takes it.
template <class Format>
WALLABY_KERNEL F32 number_of_block(I32 sum) {
    const F32 number = number_of(sum);
    return Format::times == 1 ? number : number * splat(float(Format::times));
}

// What is fetched ahead in each of n_steps steps through a block, bytes: whole cache lines.
constexpr int fetched_per_step(int block_bytes, int n_steps) {
    return (block_bytes + 64 * n_steps - 1) / (64 * n_steps) * 64;
}

// --- Sums over a range.

// Flat formats: y += s_act * (scale * dot), part after part.
template <class Format, int n>
struct Flat {
    WALLABY_KERNEL static void range(const uint8_t* tile, const uint8_t* acts, uint32_t begin, uint32_t end, F32* out) {
        using Numbers = FlatNumbers<Format, n>;
        constexpr uint32_t block = Format::part * Format::n_parts;
        F32 y[n];
        clear<n>(y);
        for (uint32_t k = begin; k < end; k += block) {
            const uint8_t* at = tile + uint64_t(k / block) * Format::block_bytes;
            if (Format::is_fetched_ahead) { prefetch_ahead<Format::block_bytes>(at); }
            const uint8_t* a = acts + uint64_t(k / Format::part) * (Numbers::column_bytes * n);
            for (int p = 0; p < Format::n_parts; p++, a += Numbers::column_bytes * n) {
                I32 codes[Format::part / 4];
                const FlatFactor<Format> factor(Format::unpack(at, p, codes));
                WALLABY_UNROLL
                for (int c = 0; c < n; c++) {
                    const uint8_t* numbers = a + Format::part * n + 4 * c;
                    const auto* shared = reinterpret_cast<const int8_t*>(a) + Format::part * c;
                    const I32 dot = dot_group<Format::part, Format::max_code>(Numbers::start(numbers), codes, shared);
                    y[c] = fma(factor.times(dot, Numbers::eighths(numbers)), splat_f32(numbers + Numbers::scale), y[c]);
                }
            }
        }
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) { out[c] = y[c]; }
    }
};

// Nested formats: the groups of a block are summed, each product exact, then y += (d * s_act) * sum, y -= (dmin *
// s_act) * minima.
template <class Format, int n>
struct NestedSums {
    WALLABY_KERNEL static void range(const uint8_t* tile, const uint8_t* acts, uint32_t begin, uint32_t end, F32* y) {
        constexpr int n_steps = 256 / Format::group / Format::groups_together;
        constexpr int fetched = fetched_per_step(Format::block_bytes, n_steps);
        clear<n>(y);
        for (uint32_t k = begin; k < end; k += 256) {
            const uint8_t* at = tile + uint64_t(k / 256) * Format::block_bytes;
            const uint8_t* a = acts + uint64_t(k / 256) * (nested_bytes * n);
            typename Format::Scales s;
            Format::scales(at, s);
            F32 sums[n];
            clear<n>(sums);
            for (int i = 0; i < n_steps; i++) {
                prefetch_ahead<fetched>(at + fetched * i);
                WALLABY_UNROLL
                for (int j = 0; j < Format::groups_together; j++) {
                    const int g = nested_group<Format::group, Format::groups_together>(i, j);
                    I32 codes[Format::group / 4];
                    Format::unpack(at, i, j, codes);
                    WALLABY_UNROLL
                    for (int c = 0; c < n; c++) {
                        const auto* shared = reinterpret_cast<const int8_t*>(a) + 256 * c + Format::group * g;
                        const I32 start = nested_start<Format>(a + 256 * n + 64 * c + 4 * g);
                        const I32 dot = dot_group<Format::group, Format::max_code>(start, codes, shared);
                        sums[c] = fma(number_of(dot), s.scales[g], sums[c]);
                    }
                }
            }
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) {
                y[c] = add_nested<Format>(y[c], sums[c], s, a + pairs_at<Format>(n) + pair_bytes<Format> * c,
                                          a + nested_scale_at * n + 4 * c);
            }
        }
    }
};

// Groups whose scaled sums are added in integers: the dots of two groups as 16-bit halves, times their scales.
template <class Format, int n>
struct PairSums {
    WALLABY_KERNEL static void range(const uint8_t* tile, const uint8_t* acts, uint32_t begin, uint32_t end, F32* y) {
        constexpr int n_steps = 4, fetched = fetched_per_step(Format::block_bytes, n_steps);
        clear<n>(y);
        for (uint32_t k = begin; k < end; k += 256) {
            const uint8_t* at = tile + uint64_t(k / 256) * Format::block_bytes;
            const uint8_t* a = acts + uint64_t(k / 256) * (nested_bytes * n);
            Paired<Format::has_minimum> s;
            Format::scales(at, s);
            I32 sums[n];
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) { sums[c] = splat(sum_zero); }
            for (int i = 0; i < n_steps; i++) {
                prefetch_ahead<fetched>(at + fetched * i);
                WALLABY_UNROLL
                for (int j = 0; j < 4; j += 2) {
                    I32 codes[2][4];
                    Format::unpack_at(at, i, j, Format::bits_below(j), codes[0]);
                    Format::unpack_at(at, i, j + 1, Format::bits_below(j + 1), codes[1]);
                    const I32 scales = s.of_groups(i, j);
                    WALLABY_UNROLL
                    for (int c = 0; c < n; c++) {
                        const auto* shared =
                            reinterpret_cast<const int8_t*>(a) + 256 * c + 16 * nested_group<16, 4>(i, j);
                        const I32 first = dot_group<16, Format::most_below>(I32{}, codes[0], shared);
                        const I32 second = dot_group<16, Format::most_below>(I32{}, codes[1], shared + 32);
                        const I32 pair = (shift_right(first, Format::bits_below(j)) & 0xffff) |
                                         (shift_left(second, 16 - Format::bits_below(j + 1)) & int32_t(0xffff0000));
                        sums[c] = add_pair_products(sums[c], pair, scales);
                    }
                }
            }
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) {
                const uint8_t* pairs = a + pairs_at<Format>(n) + pair_bytes<Format> * c;
                if constexpr (Format::offset != 0) {
                    sums[c] = sums[c] - add_all_pairs(I32{}, s.scales, pairs) * Format::offset;
                }
                y[c] = add_nested<Format>(y[c], number_of_block<Format>(sums[c]), s, pairs,
                                          a + nested_scale_at * n + 4 * c);
            }
        }
    }
};

// y += w * x over k in [begin, end), x in the f32 layout; T tiles, tile_bytes apart, take each number of x together.
// y [T][n].
template <class Plain, int n, int T = 1>
WALLABY_KERNEL void add_products(const uint8_t* tile, uint64_t tile_bytes, const uint8_t* acts, uint32_t begin,
                                 uint32_t end, F32* y) {
    for (uint32_t k = begin; k < end;) {
        const uint32_t stop = k / 64 * 64 + 64 < end ? k / 64 * 64 + 64 : end;
        const uint8_t* a = acts + uint64_t(k / 64) * (256 * n) + k % 64 * 4;
        const uint8_t* at = tile + uint64_t(k) * Plain::step_bytes;
        for (; k < stop; k++, a += 4, at += Plain::step_bytes) {
            F32 weights[T];
            WALLABY_UNROLL
            for (int t = 0; t < T; t++) {
                prefetch_ahead<Plain::step_bytes>(at + uint64_t(t) * tile_bytes);
                weights[t] = Plain::at(at + uint64_t(t) * tile_bytes);
            }
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) {
                const F32 x = splat_f32(a + 256 * c);
                WALLABY_UNROLL
                for (int t = 0; t < T; t++) { y[t * n + c] = fma(weights[t], x, y[t * n + c]); }
            }
        }
    }
}

template <class Plain, int n>
struct PlainSums {
    WALLABY_KERNEL static void range(const uint8_t* tile, const uint8_t* acts, uint32_t begin, uint32_t end, F32* out) {
        F32 y[n];
        clear<n>(y);
        add_products<Plain, n>(tile, 0, acts, begin, end, y);
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) { out[c] = y[c]; }
    }
};

// One tile times one group of n columns. block: the weights of the format's block.
template <class Chain, int block, int n>
[[gnu::noinline]] void multiply_group(const MatmulArgs& args, const uint8_t* tile, uint32_t first_row,
                                      const uint8_t* acts, uint32_t first_column) {
    const EightRanges ranges(args.n_in, block);
    EightSums<n> sums;
    for (uint32_t r = 0; r < 8; r++) {
        F32 y[n];
        Chain::range(tile, acts, ranges.begin(r), ranges.begin(r + 1), y);
        sums.take(r, y);
    }
    write_results<n>(args, sums.results(), first_row, first_column);
}

// The same for plain numbers and columns so few that one chain's fmas would wait for each other: the quarters of k, of
// two ranges each, run side by side. n_in is a multiple of 256, and so are the ranges.
template <class Plain, int n>
[[gnu::noinline]] void multiply_quarters(const MatmulArgs& args, const uint8_t* tile, uint32_t first_row,
                                         const uint8_t* acts, uint32_t first_column) {
    constexpr uint32_t n_quarters = 4;
    const EightRanges ranges(args.n_in, 1);
    F32 sums[n_quarters][n];
    for (uint32_t half = 0; half < 2; half++) {
        F32 y[n_quarters][n];
        uint32_t begin[n_quarters], end[n_quarters], common = args.n_in;
        WALLABY_UNROLL
        for (uint32_t q = 0; q < n_quarters; q++) {
            clear<n>(y[q]);
            begin[q] = ranges.begin(2 * q + half);
            end[q] = ranges.begin(2 * q + half + 1);
            common = end[q] - begin[q] < common ? end[q] - begin[q] : common;
        }
        for (uint32_t i = 0; i < common; i += 64) {
            const uint8_t *w[n_quarters], *a[n_quarters];
            WALLABY_UNROLL
            for (uint32_t q = 0; q < n_quarters; q++) {
                w[q] = tile + (uint64_t(begin[q]) + i) * Plain::step_bytes;
                a[q] = acts + uint64_t((begin[q] + i) / 64) * (256 * n);
            }
            for (uint32_t j = 0; j < 64; j++) {
                WALLABY_UNROLL
                for (uint32_t q = 0; q < n_quarters; q++) {
                    prefetch_ahead<Plain::step_bytes>(w[q] + j * Plain::step_bytes);
                    const F32 weights = Plain::at(w[q] + j * Plain::step_bytes);
                    WALLABY_UNROLL
                    for (int c = 0; c < n; c++) { y[q][c] = fma(weights, splat_f32(a[q] + 4 * j + 256 * c), y[q][c]); }
                }
            }
        }
        WALLABY_UNROLL
        for (uint32_t q = 0; q < n_quarters; q++) {
            add_products<Plain, n>(tile, 0, acts, begin[q] + common, end[q], y[q]);
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) { sums[q][c] = half == 0 ? y[q][c] : sums[q][c] + y[q][c]; }
        }
    }
    WALLABY_UNROLL
    for (int c = 0; c < n; c++) { sums[0][c] = (sums[0][c] + sums[1][c]) + (sums[2][c] + sums[3][c]); }
    write_results<n>(args, sums[0], first_row, first_column);
}

using Group = void (*)(const MatmulArgs&, const uint8_t* tile, uint32_t first_row, const uint8_t* acts,
                       uint32_t column);

// The most columns for which unpacking in registers is cheaper than a panel. Formats that are rare have such a kernel
// for one column only: each takes 4 to 15 KB of the binary.
inline constexpr int most_narrow_columns = columns_at_once < 8 ? columns_at_once : 8;
template <class Format>
constexpr int narrow_columns() {
    if constexpr (requires { Format::is_rare; }) {
        return Format::is_rare ? 1 : most_narrow_columns;
    } else {
        return most_narrow_columns;
    }
}

template <template <class, int> class Chain, class Format, int block>
Group group_of_width(uint32_t width) {
    return for_width<narrow_columns<Format>()>(
        width, [](auto n) -> Group { return multiply_group<Chain<Format, n>, block, n>; });
}

// Up to one group: the weights are unpacked in registers as they stream by.
template <template <class, int> class Chain, class Format, int block>
void multiply_narrow(const MatmulArgs& args, uint64_t tile_bytes) {
    const Group run = group_of_width<Chain, Format, block>(group_width(args.n_columns));
    for (uint32_t row = 0; row < args.n_rows; row += tile_rows) {
        run(args, args.tiles + row / tile_rows * tile_bytes, row, args.activations, 0);
    }
}

}  // namespace
}  // namespace wallaby::kernels
