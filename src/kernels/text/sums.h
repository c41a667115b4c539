// The rule of eight (docs/numerics.md): a result is eight chains over k, added in a fixed tree.
#pragma once
#include <bit>

#include "kernels/text/activations.h"

namespace wallaby::kernels {
namespace {

// Where the eight ranges begin and end, in units of `unit` weights: 256, or the format's block where k is no multiple
// of that.
struct EightRanges {
    uint32_t n_units, unit;
    WALLABY_KERNEL EightRanges(uint32_t n_in, uint32_t block)
        : n_units(n_in % 256 == 0 ? n_in / 256 : n_in / block), unit(n_in % 256 == 0 ? 256 : block) {}
    WALLABY_KERNEL uint32_t begin(uint32_t r) const { return uint32_t(uint64_t(r) * n_units / 8) * unit; }
};

// The sums of ranges that wait for others: added as soon as both sides of a sum are there, in the tree ((0+1)+(2+3)) +
// ((4+5)+(6+7)). Before range r as many wait as r has ones in binary. In memory: a range is long.
template <int n>
struct EightSums {
    F32 waiting[4][n];  // the last place: for the chains of a range that is not over
    WALLABY_KERNEL F32* chains(uint32_t r) { return waiting[std::popcount(r)]; }
    // Ranges in order, each once.
    template <int n_used = n>
    WALLABY_KERNEL void take(uint32_t r, F32* y) {
        int i = std::popcount(r);
        for (uint32_t ones = r; ones % 2 != 0; ones /= 2) {
            i--;
            WALLABY_UNROLL
            for (int c = 0; c < n_used; c++) { y[c] = waiting[i][c] + y[c]; }
        }
        WALLABY_UNROLL
        for (int c = 0; c < n_used; c++) { waiting[i][c] = y[c]; }
    }
    // After the last one.
    const F32* results() const { return waiting[0]; }
};

template <int n>
WALLABY_KERNEL void clear(F32* y) {
    WALLABY_UNROLL
    for (int c = 0; c < n; c++) { y[c] = F32{}; }
}

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
        store_first(args.out[first_column + c] + args.first_out + first_row, y, n_rows);
    }
}

}  // namespace
}  // namespace wallaby::kernels
