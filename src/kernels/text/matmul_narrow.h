// Matmuls of few columns: weights are unpacked in registers as they stream by.
//
// int32 bounds: |dot| <= 32 * 255 * 127 < 2^21 from sum_zero on, at any time.
#pragma once
#include "kernels/text/formats.h"
#include "kernels/text/sums.h"

namespace wallaby::kernels {
namespace {

// Flat formats: y += s_act * (scale * dot), block after block.
template <class Format, int n>
struct Flat {
    static constexpr uint32_t block = 32;
    WALLABY_KERNEL static void range(const uint8_t* tile, const uint8_t* acts, uint32_t begin, uint32_t end, F32* out) {
        F32 y[n];
        clear<n>(y);
        for (uint32_t k = begin; k < end; k += 32) {
            I32 codes[8];
            const uint8_t* at = tile + uint64_t(k / 32) * Format::block_bytes;
            if (Format::is_fetched_ahead) { prefetch_ahead<Format::block_bytes>(at); }
            const SumFactor scale(Format::unpack(at, codes));
            const uint8_t* a = acts + uint64_t(k / 32) * (44 * n);
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) {
                const I32 start = splat_dword(a + flat_start<Format>(n) + 4 * c);
                const I32 dot =
                    dot_group<32, Format::max_code>(start, codes, reinterpret_cast<const int8_t*>(a) + 32 * c);
                y[c] = fma(scale.times(dot), splat_f32(a + 40 * n + 4 * c), y[c]);
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
    static constexpr uint32_t block = 256;
    WALLABY_KERNEL static void range(const uint8_t* tile, const uint8_t* acts, uint32_t begin, uint32_t end, F32* y) {
        clear<n>(y);
        for (uint32_t k = begin; k < end; k += 256) {
            const uint8_t* at = tile + uint64_t(k / 256) * Format::block_bytes;
            const uint8_t* a = acts + uint64_t(k / 256) * (340 * n);
            typename Format::Scales s;
            Format::scales(at, s);
            F32 sums[n];
            clear<n>(sums);
            for (int i = 0; i < 256 / Format::group / Format::groups_together; i++) {
                prefetch_ahead<Format::step_bytes>(at + Format::first_codes + Format::step_bytes * i);
                WALLABY_UNROLL
                for (int j = 0; j < Format::groups_together; j++) {
                    const int g = Format::index(i, j);
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
                y[c] = add_nested<Format>(y[c], sums[c], s, a + 320 * n + 16 * c, a + 336 * n + 4 * c);
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
    static constexpr uint32_t block = 1;
    WALLABY_KERNEL static void range(const uint8_t* tile, const uint8_t* acts, uint32_t begin, uint32_t end, F32* out) {
        F32 y[n];
        clear<n>(y);
        add_products<Plain, n>(tile, 0, acts, begin, end, y);
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) { out[c] = y[c]; }
    }
};

// One tile times one group of n columns.
template <class Chain, int n>
[[gnu::noinline]] void multiply_group(const MatmulArgs& args, const uint8_t* tile, uint32_t first_row,
                                      const uint8_t* acts, uint32_t first_column) {
    const EightRanges ranges(args.n_in, Chain::block);
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
                w[q] = tile + uint64_t(begin[q] + i) * Plain::step_bytes;
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

template <template <class, int> class Chain, class Format>
Group group_of_width(uint32_t width) {
    return for_width(width, [](auto n) -> Group { return multiply_group<Chain<Format, n>, n>; });
}

// The most columns for which unpacking in registers, again for each group, is cheaper than a panel.
inline constexpr uint32_t narrow_columns = columns_at_once < 8 ? columns_at_once : 8;

// Up to one group: the weights are unpacked in registers as they stream by.
template <template <class, int> class Chain, class Format>
void multiply_narrow(const MatmulArgs& args, uint64_t tile_bytes) {
    const Group run = group_of_width<Chain, Format>(group_width(args.n_columns));
    for (uint32_t row = 0; row < args.n_rows; row += tile_rows) {
        run(args, args.tiles + row / tile_rows * tile_bytes, row, args.activations, 0);
    }
}

}  // namespace
}  // namespace wallaby::kernels
