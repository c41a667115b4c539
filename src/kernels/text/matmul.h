// Matmul: one text per way of scaling, for every format, width and instruction set. A result is eight chains over k,
// added in a fixed tree (docs/numerics.md, the rule of eight).
//
// int32 bounds: |flat dot| <= 32 * 255 * 127 = 2^20; |nested sum| <= 256 * 63 * 127 * 128 < 2^28.
#pragma once
#include "kernels/text/activations.h"
#include "kernels/text/formats.h"

namespace wallaby::kernels {
namespace {

// Where the eight ranges begin and end, in units of `unit` weights: 256, or the format's block where k is no multiple.
struct EightRanges {
    uint32_t n_units, unit;
    WALLABY_KERNEL EightRanges(uint32_t n_in, uint32_t block)
        : n_units(n_in % 256 == 0 ? n_in / 256 : n_in / block), unit(n_in % 256 == 0 ? 256 : block) {}
    WALLABY_KERNEL uint32_t begin(uint32_t r) const { return uint32_t(uint64_t(r) * n_units / 8) * unit; }
};

// The tree ((0+1)+(2+3)) + ((4+5)+(6+7)) with three sums waiting at most. In memory: a range is long.
template <int n>
struct EightSums {
    F32 a[n], b[n], c[n];
    void take(uint32_t r, const F32* y) {
        for (int i = 0; i < n; i++) {
            switch (r) {
                case 0: a[i] = y[i]; break;
                case 1: a[i] = a[i] + y[i]; break;
                case 2: b[i] = y[i]; break;
                case 3: a[i] = a[i] + (b[i] + y[i]); break;
                case 4: b[i] = y[i]; break;
                case 5: b[i] = b[i] + y[i]; break;
                case 6: c[i] = y[i]; break;
                default: a[i] = a[i] + (b[i] + (c[i] + y[i])); break;
            }
        }
    }
};

template <int n>
WALLABY_KERNEL void clear(F32* y) {
    WALLABY_UNROLL
    for (int c = 0; c < n; c++) { y[c] = F32{}; }
}

// Flat formats: y += (scale * s_act) * dot, block after block.
template <class Format, int n>
struct Flat {
    static constexpr uint32_t block = 32;
    WALLABY_KERNEL static void range(const uint8_t* tile, const uint8_t* acts, uint32_t begin, uint32_t end, F32* out) {
        F32 y[n];
        clear<n>(y);
        for (uint32_t k = begin; k < end; k += 32) {
            I32 codes[8];
            const F32 scale = Format::unpack(tile + uint64_t(k / 32) * Format::block_bytes, codes);
            const uint8_t* a = acts + uint64_t(k / 32) * (40 * n);
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) {
                const I32 bias = splat_dword(a + 32 * n + 4 * c) << Format::bias_shift;
                const I32 dot =
                    dot_group<32, Format::max_code>(bias, codes, reinterpret_cast<const int8_t*>(a) + 32 * c);
                y[c] = fma(to_f32(dot), scale * splat_f32(a + 36 * n + 4 * c), y[c]);
            }
        }
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) { out[c] = y[c]; }
    }
};

template <class Format>
WALLABY_KERNEL auto nested_scales(const uint8_t* block) {
    typename Format::Scales s;
    Format::scales(block, s);
    return s;
}
template <class Format>
    requires requires(const uint8_t* p) { Format::scales(p); }
WALLABY_KERNEL const auto& nested_scales(const uint8_t* block) { return Format::scales(block); }

// Nested formats: the integers of a block are summed exactly, then y += (d * s_act) * sum, y -= (dmin * s_act) *
// minima.
template <class Format, int n>
struct NestedSums {
    static constexpr uint32_t block = 256;
    WALLABY_KERNEL static void range(const uint8_t* tile, const uint8_t* acts, uint32_t begin, uint32_t end, F32* y) {
        clear<n>(y);
        for (uint32_t k = begin; k < end; k += 256) {
            const uint8_t* at = tile + uint64_t(k / 256) * Format::block_bytes;
            const uint8_t* a = acts + uint64_t(k / 256) * (340 * n);
            const auto& s = nested_scales<Format>(at);
            I32 sums[n];
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) { sums[c] = I32{}; }
            for (int i = 0; i < 256 / Format::group / Format::groups_together; i++) {
                WALLABY_UNROLL
                for (int j = 0; j < Format::groups_together; j++) {
                    const int g = Format::index(i, j);
                    I32 codes[Format::group / 4];
                    Format::unpack(at, i, j, codes);
                    WALLABY_UNROLL
                    for (int c = 0; c < n; c++) {
                        const auto* shared = reinterpret_cast<const int8_t*>(a) + 256 * c + Format::group * g;
                        const I32 start = Format::has_minimum ? I32{} : splat_dword(a + 256 * n + 64 * c + 4 * g);
                        sums[c] += s.scales[g] * dot_group<Format::group, Format::max_code>(start, codes, shared);
                    }
                }
            }
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) {
                const F32 s_act = splat_f32(a + 336 * n + 4 * c);
                y[c] = fma(to_f32(sums[c]), s.d * s_act, y[c]);
                if constexpr (Format::has_minimum) {
                    I32 minima{};
                    WALLABY_UNROLL
                    for (int i = 0; i < 4; i++) {
                        minima = add_pair_products(minima, s.minima[i], splat_dword(a + 320 * n + 16 * c + 4 * i));
                    }
                    y[c] = fma(to_f32(minima), -(s.dmin * s_act), y[c]);
                }
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
                prefetch(at + uint64_t(t) * tile_bytes + prefetch_distance);
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

// Results of one tile, in a group of columns from first_column on: the last group's columns may be fewer than n.
template <int n>
WALLABY_KERNEL void write_results(const MatmulArgs& args, const F32* sums, uint32_t first_row, uint32_t first_column) {
    const uint32_t n_rows = args.n_rows - first_row < tile_rows ? args.n_rows - first_row : tile_rows;
    const uint32_t n_used = args.n_columns - first_column < n ? args.n_columns - first_column : n;
    const F32 bias = args.bias == nullptr ? F32{} : load_first(args.bias + first_row, n_rows);
    for (uint32_t c = 0; c < n_used; c++) {
        F32 y = sums[c];
        if (args.bias != nullptr && args.scale_bias) { y = y + bias; }
        if (args.scale != 1) { y = y * splat(args.scale); }
        if (args.bias != nullptr && !args.scale_bias) { y = y + bias; }
        store_first(args.out[first_column + c] + first_row, y, n_rows);
    }
}

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
    write_results<n>(args, sums.a, first_row, first_column);
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
                    prefetch(w[q] + j * Plain::step_bytes + prefetch_distance);
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

// Two tiles of plain numbers times a full group, which halves the loads of what their lanes share.
template <class Plain, int n>
[[gnu::noinline]] void multiply_pair(const MatmulArgs& args, const uint8_t* tile, uint32_t first_row,
                                     const uint8_t* acts, uint32_t first_column) {
    const EightRanges ranges(args.n_in, 1);
    EightSums<2 * n> sums;
    for (uint32_t r = 0; r < 8; r++) {
        F32 y[2 * n];
        clear<2 * n>(y);
        add_products<Plain, n, 2>(tile, uint64_t(args.n_in) * Plain::step_bytes, acts, ranges.begin(r),
                                  ranges.begin(r + 1), y);
        sums.take(r, y);
    }
    write_results<n>(args, sums.a, first_row, first_column);
    write_results<n>(args, sums.a + n, first_row + tile_rows, first_column);
}

using Group = void (*)(const MatmulArgs&, const uint8_t* tile, uint32_t first_row, const uint8_t* acts,
                       uint32_t column);

template <template <class, int> class Chain, class Format>
Group group_of_width(uint32_t width) {
    switch (width) {
        case 1: return multiply_group<Chain<Format, 1>, 1>;
        case 2: return multiply_group<Chain<Format, 2>, 2>;
        case 3: return multiply_group<Chain<Format, 3>, 3>;
        case 4: return multiply_group<Chain<Format, 4>, 4>;
        default: break;
    }
    if constexpr (columns_at_once > 4) {
        switch (width) {
            case 6: return multiply_group<Chain<Format, 6>, 6>;
            case 8: return multiply_group<Chain<Format, 8>, 8>;
            default: break;
        }
    }
    return multiply_group<Chain<Format, columns_at_once>, columns_at_once>;
}

// Up to one group: the weights are unpacked in registers as they stream by.
template <template <class, int> class Chain, class Format>
void multiply_narrow(const MatmulArgs& args, uint64_t tile_bytes) {
    const Group run = group_of_width<Chain, Format>(group_width(args.n_columns));
    for (uint32_t row = 0; row < args.n_rows; row += tile_rows) {
        run(args, args.tiles + row / tile_rows * tile_bytes, row, args.activations, 0);
    }
}

// Every group over every tile, the tiles in turn under one group's activations.
template <template <class, int> class Chain, class Format>
void multiply_groups(const MatmulArgs& args, const uint8_t* tiles, uint64_t tile_bytes, Activations kind) {
    for (uint32_t column = 0; column < args.n_columns; column += columns_at_once) {
        const Group run = group_of_width<Chain, Format>(group_width(args.n_columns - column));
        const uint8_t* acts = args.activations + column * column_bytes(kind, args.n_in);
        for (uint32_t row = 0; row < args.n_rows; row += tile_rows) {
            run(args, tiles + row / tile_rows * tile_bytes, row, acts, column);
        }
    }
}

// Whether two tiles times a full group fit the registers that attention fills.
inline constexpr bool pairs_fit = 2 * columns_at_once <= sums_at_once;

// The most columns for which unpacking in registers, again for each group, is cheaper than a panel.
inline constexpr uint32_t narrow_columns = columns_at_once < 8 ? columns_at_once : 8;

template <template <class, int> class Chain, class Format, template <class> class Panel, uint32_t block>
void multiply_quantised(const MatmulArgs& args, Activations kind) {
    const uint64_t n_blocks = args.n_in / block, tile_bytes = n_blocks * Format::block_bytes;
    if (args.n_columns <= narrow_columns) { return multiply_narrow<Chain, Format>(args, tile_bytes); }
    const uint32_t n_tiles = (args.n_rows + tile_rows - 1) / tile_rows;
    for (uint64_t i = 0; i < n_blocks * n_tiles; i++) {
        Panel<Format>::write(args.tiles + i * Format::block_bytes, args.scratch + i * Panel<Format>::block_bytes);
    }
    multiply_groups<Chain, Panel<Format>>(args, args.scratch, n_blocks * Panel<Format>::block_bytes, kind);
}
template <class Format>
void multiply_flat(const MatmulArgs& args) {
    multiply_quantised<Flat, Format, FlatPanel, 32>(args, Activations::per_32);
}
template <class Format>
void multiply_nested(const MatmulArgs& args) {
    multiply_quantised<NestedSums, Format, NestedPanel, 256>(args, Activations::per_256);
}
template <class Plain>
void multiply_plain(const MatmulArgs& args) {
    const uint64_t tile_bytes = uint64_t(args.n_in) * Plain::step_bytes;
    if (args.n_columns <= 2 && args.n_in % 256 == 0) {
        const Group run = args.n_columns == 1 ? multiply_quarters<Plain, 1> : multiply_quarters<Plain, 2>;
        for (uint32_t row = 0; row < args.n_rows; row += tile_rows) {
            run(args, args.tiles + row / tile_rows * tile_bytes, row, args.activations, 0);
        }
        return;
    }
    for (uint32_t column = 0; column < args.n_columns; column += columns_at_once) {
        const uint32_t width = group_width(args.n_columns - column);
        const Group run = group_of_width<PlainSums, Plain>(width);
        const uint8_t* acts = args.activations + column * column_bytes(Activations::f32, args.n_in);
        for (uint32_t row = 0; row < args.n_rows;) {
            const uint8_t* tile = args.tiles + row / tile_rows * tile_bytes;
            if (pairs_fit && width == columns_at_once && row + tile_rows < args.n_rows) {
                multiply_pair<Plain, columns_at_once>(args, tile, row, acts, column);
                row += 2 * tile_rows;
            } else {
                run(args, tile, row, acts, column);
                row += tile_rows;
            }
        }
    }
}

template <class Format>
constexpr Matmul flat() {
    return {Activations::per_32, multiply_flat<Format>, 8 * FlatPanel<Format>::block_bytes};
}
template <class Format>
constexpr Matmul nested() {
    return {Activations::per_256, multiply_nested<Format>, NestedPanel<Format>::block_bytes};
}

inline Matmul matmul(quant::Type type) {
    switch (type) {
        case quant::Type::f32: return {Activations::f32, multiply_plain<PlainF32>};
        case quant::Type::f16: return {Activations::f32, multiply_plain<PlainF16>};
        case quant::Type::bf16: return {Activations::f32, multiply_plain<PlainBf16>};
        case quant::Type::q4_0: return flat<Q4_0>();
        case quant::Type::q8_0: return flat<Q8_0>();
        case quant::Type::q4_k: return nested<Q4_K>();
        case quant::Type::q6_k: return nested<Q6_K>();
        default: return {Activations::f32};
    }
}

}  // namespace
}  // namespace wallaby::kernels
