// Matmuls of many columns. Quantised tiles are unpacked once, to panels; then the loops are, from outside: blocks of
// columns and of tiles, whose sums wait in the second-level cache; slices of k, so short that the block's activations
// stay in the second-level cache and some tiles' part in the first; tiles, wide_tiles of them together; and columns, as
// many as registers hold.
#pragma once
#include "kernels/text/matmul_narrow.h"

namespace wallaby::kernels {
namespace {

// Of tiles, in a slice: half of the smaller first-level caches and more, beside the activations that stream by.
inline constexpr uint32_t slice_bytes = 24 * 1024;
// Groups of columns, and of wide_tiles tiles, in a block: 98 KiB of sums.
inline constexpr uint32_t groups_per_block = 4, tile_groups_per_block = 4;

// A part of one range.
struct Slice {
    uint32_t begin, end, range;
    bool opens, closes;  // the range
};
// Every range in equal pieces of at most `longest`, a multiple of `block`.
template <class Work>
WALLABY_KERNEL void for_each_slice(const EightRanges& ranges, uint32_t block, uint32_t longest, const Work& work) {
    for (uint32_t r = 0; r < 8; r++) {
        const uint32_t begin = ranges.begin(r), end = ranges.begin(r + 1), n = end - begin;
        const uint32_t n_pieces = n <= longest ? 1 : (n + longest - 1) / longest;
        const uint32_t piece = (n / block + n_pieces - 1) / n_pieces * block;
        for (uint32_t i = 0; i < n_pieces; i++) {
            const uint32_t from = begin + i * piece, to = i + 1 == n_pieces ? end : from + piece;
            work(Slice{from, to, r, i == 0, i + 1 == n_pieces});
        }
    }
}

// Tiles times some columns of one group: `first` is the first of them within it.
struct WideArgs {
    const uint8_t* tiles;  // T of them
    uint64_t tile_bytes;
    const uint8_t* acts;
    int first;
    Slice slice;
};

// As Flat in matmul_narrow.h; y [T][n].
template <class Panel, int width>
struct FlatWide {
    static constexpr uint32_t block = Panel::block, block_bytes = Panel::block_bytes;
    static constexpr int n_at_once = width <= wide_columns ? width : width / 2;
    template <int T, int n>
    WALLABY_KERNEL static void add(const WideArgs& args, F32* y) {
        using Numbers = FlatNumbers<Panel, width>;
        constexpr int part = Panel::part;
        for (uint32_t k = args.slice.begin; k < args.slice.end; k += part) {
            const uint8_t* a = args.acts + uint64_t(k / part) * (Numbers::column_bytes * width);
            const uint8_t* numbers = in_one_register(a + part * width + 4 * args.first);
            const auto* shared = in_one_register(reinterpret_cast<const int8_t*>(a) + part * args.first);
            const uint8_t* codes[T];
            I32 dots[T * n];
            WALLABY_UNROLL
            for (int t = 0; t < T; t++) {
                codes[t] = args.tiles + uint64_t(t) * args.tile_bytes + uint64_t(k / part) * block_bytes;
                WALLABY_UNROLL
                for (int c = 0; c < n; c++) { dots[t * n + c] = Numbers::start(numbers + 4 * c); }
            }
            add_dot_groups<part, Panel::max_code, T, n>(codes, shared, part, dots);
            WALLABY_UNROLL
            for (int t = 0; t < T; t++) {
                const FlatFactor<Panel> factor(Panel::scale(codes[t]));
                WALLABY_UNROLL
                for (int c = 0; c < n; c++) {
                    const F32 in = factor.times(dots[t * n + c], Numbers::eighths(numbers + 4 * c));
                    y[t * n + c] = fma(in, splat_f32(numbers + Numbers::scale + 4 * c), y[t * n + c]);
                }
            }
        }
    }
};

// y [T][n] and what a block of 256 at `at` adds with the block's activations at a: sums [T][n].
template <class Panel, int width, int T, int n>
WALLABY_KERNEL void add_block(const WideArgs& args, const uint8_t* at, const uint8_t* a, const F32* sums, F32* y) {
    const uint8_t* pairs = in_one_register(a + pairs_at<Panel>(width) + pair_bytes<Panel> * args.first);
    const uint8_t* s_act = in_one_register(a + nested_scale_at * width + 4 * args.first);
    WALLABY_UNROLL
    for (int t = 0; t < T; t++) {
        const auto& scales = Panel::scales(at + uint64_t(t) * args.tile_bytes);
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) {
            y[t * n + c] =
                add_nested<Panel>(y[t * n + c], sums[t * n + c], scales, pairs + pair_bytes<Panel> * c, s_act + 4 * c);
        }
    }
}

// As NestedSums.
template <class Panel, int width>
struct NestedWide {
    static constexpr uint32_t block = Panel::block, block_bytes = Panel::block_bytes;
    static constexpr int n_at_once = width <= wide_columns ? width : width / 2;
    template <int T, int n>
    WALLABY_KERNEL static void add(const WideArgs& args, F32* y) {
        constexpr int group = Panel::group, n_together = 4;
        for (uint32_t k = args.slice.begin; k < args.slice.end; k += 256) {
            const uint8_t* at = args.tiles + uint64_t(k / 256) * block_bytes;
            const uint8_t* a = args.acts + uint64_t(k / 256) * (nested_bytes * width);
            const auto* shared = in_one_register(reinterpret_cast<const int8_t*>(a) + 256 * args.first);
            const uint8_t* starts = in_one_register(a + 256 * width + 64 * args.first);
            F32 sums[T * n];
            clear<T * n>(sums);
            for (int i = 0; i < 256 / group / n_together; i++) {
                WALLABY_UNROLL
                for (int j = 0; j < n_together; j++) {
                    const int g = nested_group<group, n_together>(i, j);
                    const uint8_t* codes[T];
                    I32 dots[T * n];
                    WALLABY_UNROLL
                    for (int t = 0; t < T; t++) {
                        codes[t] = at + uint64_t(t) * args.tile_bytes + Panel::group_bytes * (i * n_together + j);
                        WALLABY_UNROLL
                        for (int c = 0; c < n; c++) { dots[t * n + c] = nested_start<Panel>(starts + 64 * c + 4 * g); }
                    }
                    add_dot_groups<group, Panel::max_code, T, n>(codes, shared + group * g, 256, dots);
                    WALLABY_UNROLL
                    for (int t = 0; t < T; t++) {
                        const F32 scale = Panel::scales(at + uint64_t(t) * args.tile_bytes).scales[g];
                        WALLABY_UNROLL
                        for (int c = 0; c < n; c++) {
                            sums[t * n + c] = fma(number_of(dots[t * n + c]), scale, sums[t * n + c]);
                        }
                    }
                }
            }
            add_block<Panel, width, T, n>(args, at, a, sums, y);
        }
    }
};

// One integer sum a block, then as NestedWide.
template <class Panel, int width>
struct WholeWide {
    static constexpr uint32_t block = Panel::block, block_bytes = Panel::block_bytes;
    static constexpr int n_at_once = width <= wide_columns ? width : width / 2;
    template <int T, int n>
    WALLABY_KERNEL static void add(const WideArgs& args, F32* y) {
        for (uint32_t k = args.slice.begin; k < args.slice.end; k += 256) {
            const uint8_t* at = args.tiles + uint64_t(k / 256) * block_bytes;
            const uint8_t* a = args.acts + uint64_t(k / 256) * (nested_bytes * width);
            const auto* shared = in_one_register(reinterpret_cast<const int8_t*>(a) + 256 * args.first);
            const uint8_t* starts = in_one_register(a + nested_start_at * width + 4 * args.first);
            I32 dots[T * n];
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) {
                static_assert(Panel::offset == 0 || Panel::offset == 124);
                const I32 start = Panel::offset == 0 ? splat(sum_zero) : splat_dword(starts + 4 * c);
                WALLABY_UNROLL
                for (int t = 0; t < T; t++) { dots[t * n + c] = start; }
            }
            for (int g = 0; g < 16; g++) {
                const uint8_t* codes[T];
                WALLABY_UNROLL
                for (int t = 0; t < T; t++) { codes[t] = at + uint64_t(t) * args.tile_bytes + Panel::group_bytes * g; }
                add_dot_groups<16, Panel::max_code, T, n>(codes, shared + 16 * g, 256, dots);
            }
            F32 sums[T * n];
            WALLABY_UNROLL
            for (int i = 0; i < T * n; i++) { sums[i] = number_of_block<Panel>(dots[i]); }
            add_block<Panel, width, T, n>(args, at, a, sums, y);
        }
    }
};

// Plain numbers have one sum a column and tile, and no panel.
template <class Plain, int width>
struct PlainWide {
    static constexpr uint32_t block = 1, block_bytes = Plain::step_bytes;
    static constexpr int n_at_once = width;
    template <int T, int n>
    WALLABY_KERNEL static void add(const WideArgs& args, F32* y) {
        static_assert(n == width);
        add_products<Plain, n, T>(args.tiles, args.tile_bytes, args.acts, args.slice.begin, args.slice.end, y);
    }
};

template <class Chain, int T, class Sums>
[[gnu::noinline]] void multiply_slice(const WideArgs& args, Sums& sums) {
    constexpr int n = T * Chain::n_at_once;
    F32* const chains = sums.chains(args.slice.range);
    F32 y[n];
    if (args.slice.opens) {
        clear<n>(y);
    } else {
        WALLABY_UNROLL
        for (int i = 0; i < n; i++) { y[i] = chains[i]; }
    }
    Chain::template add<T, Chain::n_at_once>(args, y);
    if (args.slice.closes) { return sums.template take<n>(args.slice.range, y); }
    WALLABY_UNROLL
    for (int i = 0; i < n; i++) { chains[i] = y[i]; }
}

// How a group of some width is multiplied: n_at_once columns after another.
template <class Sums>
struct WideKernel {
    void (*run)(const WideArgs& args, Sums& sums);
    void (*write)(const MatmulArgs& args, const F32* sums, uint32_t first_row, uint32_t first_column);
    uint32_t n_at_once;
};

template <class Chain, int T, class Sums>
WideKernel<Sums> wide_kernel() {
    return {multiply_slice<Chain, T, Sums>, write_results<Chain::n_at_once>, Chain::n_at_once};
}
template <template <class, int> class Chain, class Format, int T, class Sums>
WideKernel<Sums> wide_of_width(uint32_t width) {
    return for_width(width, [](auto n) { return wide_kernel<Chain<Format, n>, T, Sums>(); });
}

// Columns of a block that one kernel takes at once: within a group from `first` on, of all columns from `column` on.
template <class Sums>
struct WideColumns {
    WideKernel<Sums> kernel;
    const uint8_t* acts;
    int first;
    uint32_t column;
};

// Results go to rows far apart: their cache lines come while sums are made.
template <int T>
void fetch_results(const MatmulArgs& args, uint32_t first_row, uint32_t first_column, uint32_t n) {
    for (uint32_t c = first_column; c < first_column + n && c < args.n_columns; c++) {
        for (uint32_t t = 0; t < uint32_t(T); t++) {
            prefetch_to_write(args.out[c] + args.first_out + first_row + t * tile_rows);
        }
    }
}

// What many columns are multiplied with: panels, or tiles of plain numbers.
struct WideTiles {
    const uint8_t* tiles;
    uint64_t tile_bytes;
    uint32_t block;  // weights of the format's block
    Activations kind;
};

// n_groups times T tiles, first_row the first one's, times one block of columns.
template <template <class, int> class Chain, class Format, int T>
void multiply_block(const MatmulArgs& args, const WideTiles& wide, uint32_t n_groups, uint32_t first_row,
                    uint32_t first_column) {
    using Full = Chain<Format, columns_at_once>;
    using Sums = EightSums<T * Full::n_at_once>;
    constexpr uint32_t longest = slice_bytes / (T * Full::block_bytes) * Full::block;
    constexpr uint32_t most = groups_per_block * (columns_at_once / Full::n_at_once);
    WideColumns<Sums> columns[most];
    Sums sums[tile_groups_per_block][most];
    uint32_t n = 0;
    for (uint32_t g = 0; g < groups_per_block && first_column + g * columns_at_once < args.n_columns; g++) {
        const uint32_t column = first_column + g * columns_at_once, n_left = args.n_columns - column;
        const uint32_t width = group_width(n_left);
        const WideKernel<Sums> kernel = wide_of_width<Chain, Format, T, Sums>(width);
        const uint8_t* acts = args.activations + column * column_bytes(wide.kind, args.n_in);
        for (uint32_t i = 0; i < width && i < n_left; i += kernel.n_at_once) {
            columns[n++] = {kernel, acts, int(i), column + i};
        }
    }
    const auto row = [=](uint32_t group) { return first_row + group * T * tile_rows; };
    const uint8_t* tiles = wide.tiles + first_row / tile_rows * wide.tile_bytes;
    for_each_slice(EightRanges(args.n_in, wide.block), Full::block, longest, [&](const Slice& slice) {
        for (uint32_t group = 0; group < n_groups; group++) {
            for (uint32_t p = 0; p < n; p++) {
                const WideColumns<Sums>& c = columns[p];
                if (slice.range == 0 && slice.opens) {
                    fetch_results<T>(args, row(group), c.column, c.kernel.n_at_once);
                }
                c.kernel.run({tiles + group * (T * wide.tile_bytes), wide.tile_bytes, c.acts, c.first, slice},
                             sums[group][p]);
            }
        }
    });
    for (uint32_t group = 0; group < n_groups; group++) {
        for (uint32_t p = 0; p < n; p++) {
            for (uint32_t t = 0; t < uint32_t(T); t++) {
                columns[p].kernel.write(args, sums[group][p].results() + t * columns[p].kernel.n_at_once,
                                        row(group) + t * tile_rows, columns[p].column);
            }
        }
    }
}

template <template <class, int> class Chain, class Format>
void multiply_wide(const MatmulArgs& args, const WideTiles& wide) {
    const uint32_t n_tiles = (args.n_rows + tile_rows - 1) / tile_rows;
    for (uint32_t tile = 0; tile < n_tiles;) {
        const uint32_t n_groups = (n_tiles - tile) / wide_tiles;  // 0: one is left over
        const uint32_t n_now = n_groups < tile_groups_per_block ? n_groups : tile_groups_per_block;
        for (uint32_t c = 0; c < args.n_columns; c += groups_per_block * columns_at_once) {
            if (n_now != 0) {
                multiply_block<Chain, Format, wide_tiles>(args, wide, n_now, tile * tile_rows, c);
            } else {
                multiply_block<Chain, Format, 1>(args, wide, 1, tile * tile_rows, c);
            }
        }
        tile += n_now == 0 ? 1 : n_now * wide_tiles;
    }
}

}  // namespace
}  // namespace wallaby::kernels
