// Weights in BF16 times activations rounded to bf16, by native products of pairs: for instruction sets that have them
// and whoever asks for them by name. The cuts are those of other formats, so a column's result depends on nothing else;
// how a product of pairs is rounded is the processor's.
#pragma once
#include "kernels/text/matmul_wide.h"
#include "kernels/text/probe.h"

namespace wallaby::kernels {
namespace {

// Two numbers of each row at a time. Ranges are cut at even k; where n_in is odd the last pair's second weight is +0.
struct PairsBf16 {
    static constexpr uint32_t pair_bytes = 64;
    WALLABY_KERNEL static I32 at(const uint8_t* tile, uint32_t k, uint32_t n_in) {
        const uint8_t* p = tile + uint64_t(k) * PlainBf16::step_bytes;
        return k + 1 < n_in ? load_pairs(p) : load_u16(reinterpret_cast<const uint16_t*>(p));
    }
};
constexpr uint32_t even(uint32_t n_in) { return n_in + n_in % 2; }

// y [T][n] += products over k in [begin, end), both even; weight(t, k) gives tile t's pair.
template <int T, int n, class Weight>
WALLABY_KERNEL void add_pairs(const Weight& weight, const uint8_t* acts, uint32_t width, uint32_t begin, uint32_t end,
                              F32* y) {
    for (uint32_t k = begin; k < end;) {
        const uint32_t stop = k / 64 * 64 + 64 < end ? k / 64 * 64 + 64 : end;
        const uint8_t* a = acts + uint64_t(k / 64) * (128 * width) + k % 64 * 2;
        for (; k < stop; k += 2, a += 4) {
            I32 weights[T];
            WALLABY_UNROLL
            for (int t = 0; t < T; t++) { weights[t] = weight(t, k); }
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) {
                const I32 x = splat_dword(a + 128 * c);
                WALLABY_UNROLL
                for (int t = 0; t < T; t++) { y[t * n + c] = add_bf16_products(y[t * n + c], weights[t], x); }
            }
        }
    }
}

template <class Format, int n>
struct Bf16Sums {
    WALLABY_KERNEL static void range(const uint8_t* tile, const uint8_t* acts, uint32_t begin, uint32_t end, F32* out) {
        F32 y[n];
        clear<n>(y);
        const auto weight = [=](int, uint32_t k) WALLABY_INLINE {
            prefetch_ahead<PlainBf16::step_bytes>(tile + uint64_t(k) * PlainBf16::step_bytes);
            return load_pairs(tile + uint64_t(k) * PlainBf16::step_bytes);
        };
        add_pairs<1, n>(weight, acts, n, begin, end, y);
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) { out[c] = y[c]; }
    }
};

// Panels: pairs side by side, once for all columns.
template <class Format, int width>
struct Bf16Wide {
    static constexpr uint32_t block = 2, block_bytes = PairsBf16::pair_bytes;
    static constexpr int n_at_once = width;
    template <int T, int n>
    WALLABY_KERNEL static void add(const WideArgs& args, F32* y) {
        const auto weight = [&](int t, uint32_t k) WALLABY_INLINE {
            return load_dwords(args.tiles + uint64_t(t) * args.tile_bytes + uint64_t(k / 2) * PairsBf16::pair_bytes);
        };
        add_pairs<T, n>(weight, args.acts, width, args.slice.begin, args.slice.end, y);
    }
};

inline void multiply_bf16(const MatmulArgs& args) {
    MatmulArgs padded = args;
    padded.n_in = even(args.n_in);
    const uint64_t tile_bytes = uint64_t(args.n_in) * PlainBf16::step_bytes;
    const uint64_t panel_bytes = uint64_t(padded.n_in / 2) * PairsBf16::pair_bytes;
    const bool is_narrow = args.n_columns <= uint32_t(most_narrow_columns) && args.n_in % 2 == 0;
    if (is_narrow) { return multiply_narrow<Bf16Sums, PlainBf16, 2>(padded, tile_bytes); }
    const uint32_t n_tiles = (args.n_rows + tile_rows - 1) / tile_rows;
    for (uint32_t t = 0; t < n_tiles; t++) {
        const uint8_t* tile = args.tiles + t * tile_bytes;
        for (uint32_t k = 0; k < args.n_in; k += 2) {
            prefetch_panel<64>(tile + uint64_t(k) * PlainBf16::step_bytes);
            store_dwords(args.scratch + t * panel_bytes + uint64_t(k / 2) * PairsBf16::pair_bytes,
                         PairsBf16::at(tile, k, args.n_in));
        }
    }
    multiply_wide<Bf16Wide, PlainBf16>(padded, {args.scratch, panel_bytes, 2, Activations::bf16});
}

inline uint64_t bf16_chains(uint64_t n) {
    const I32 halves = splat(int32_t(0x3f003f00));  // 1/2, 1/2
    return float_chains(n, halves, [](F32 s, I32 x) WALLABY_INLINE { return add_bf16_products(s, x, x); });
}

// Changes the table of the unit of the same instructions without them.
template <const IsaUnit& without>
void use_bf16(Table& table) {
    table.matmul = [](quant::Type type) {
        if (type != quant::Type::bf16) { return without.table.matmul(type); }
        return Matmul{Activations::bf16, multiply_bf16, 128 * PairsBf16::pair_bytes, most_narrow_columns};
    };
    table.probe.bf16 = bf16_chains;
    table.probe.bf16_operations = uint64_t(n_f32_chains) * n_lanes * 2 * 2;
}

}  // namespace
}  // namespace wallaby::kernels
