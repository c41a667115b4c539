// Matmul: which kernel serves which format and number of columns.
#pragma once
#include "kernels/text/matmul_wide.h"

namespace wallaby::kernels {
namespace {

// Of a format whose blocks hold `block` weights: few columns from the tiles, many from panels that write_panel makes,
// block by block, panel_bytes of each.
template <template <class, int> class Narrow, template <class, int> class Wide, class Format, class Panel, int block>
void multiply_quantised(const MatmulArgs& args, Activations kind, uint64_t panel_bytes,
                        void (*write_panel)(const uint8_t* tile_block, uint8_t* out)) {
    const uint64_t n_blocks = args.n_in / uint32_t(block);
    if (args.n_columns <= uint32_t(narrow_columns<Format>())) {
        return multiply_narrow<Narrow, Format, block>(args, n_blocks * Format::block_bytes);
    }
    const uint32_t n_tiles = (args.n_rows + tile_rows - 1) / tile_rows;
    for (uint64_t i = 0; i < n_blocks * n_tiles; i++) {
        write_panel(args.tiles + i * Format::block_bytes, args.scratch + i * panel_bytes);
    }
    multiply_wide<Wide, Panel>(args, {args.scratch, n_blocks * panel_bytes, uint32_t(block), kind});
}

template <class Format>
struct FlatMatmul {
    using Panel = FlatPanelOf<Format>;
    static constexpr Activations kind = Format::part == 16 ? Activations::per_16 : Activations::per_32;
    static constexpr int block = Format::part * Format::n_parts;
    static constexpr uint64_t panel_bytes = uint64_t(Panel::block_bytes) * Format::n_parts;
    static void run(const MatmulArgs& args) {
        multiply_quantised<Flat, FlatWide, Format, Panel, block>(args, kind, panel_bytes, write_flat_panel<Format>);
    }
};
template <class Format>
struct NestedMatmul {
    static constexpr bool is_whole = has_whole_panels<Format>();
    static constexpr uint64_t panel_bytes = [] {
        if constexpr (is_whole) {
            return WholePanelOf<Format>::block_bytes;
        } else {
            return NestedPanelOf<Format>::block_bytes;
        }
    }();
    template <template <class, int> class Narrow>
    static void run_with(const MatmulArgs& args) {
        constexpr Activations kind = Activations::per_256;
        if constexpr (is_whole) {
            using Panel = WholePanelOf<Format>;
            multiply_quantised<Narrow, WholeWide, Format, Panel, 256>(args, kind, panel_bytes,
                                                                      write_whole_panel<Format>);
        } else {
            using Panel = NestedPanelOf<Format>;
            multiply_quantised<Narrow, NestedWide, Format, Panel, 256>(args, kind, panel_bytes,
                                                                       write_nested_panel<Format>);
        }
    }
    static void run(const MatmulArgs& args) {
        if constexpr (has_small_products<Format>) {
            run_with<PairSums>(args);
        } else {
            run_with<NestedSums>(args);
        }
    }
};
template <class Plain>
void multiply_plain(const MatmulArgs& args) {
    const uint64_t tile_bytes = uint64_t(args.n_in) * Plain::step_bytes;
    if (args.n_columns > uint32_t(narrow_columns<Plain>())) {
        return multiply_wide<PlainWide, Plain>(args, {args.tiles, tile_bytes, 1, Activations::f32});
    }
    if (args.n_columns > 2 || args.n_in % 256 != 0) { return multiply_narrow<PlainSums, Plain, 1>(args, tile_bytes); }
    const Group run = args.n_columns == 1 ? multiply_quarters<Plain, 1> : multiply_quarters<Plain, 2>;
    for (uint32_t row = 0; row < args.n_rows; row += tile_rows) {
        run(args, args.tiles + row / tile_rows * tile_bytes, row, args.activations, 0);
    }
}

template <class Plain>
constexpr Matmul plain() {
    return {Activations::f32, multiply_plain<Plain>, 0, narrow_columns<Plain>()};
}
template <class Format>
constexpr Matmul flat() {
    using M = FlatMatmul<Format>;
    return {M::kind, M::run, M::panel_bytes * 256 / M::block, narrow_columns<Format>()};
}
template <class Format>
constexpr Matmul nested() {
    using M = NestedMatmul<Format>;
    return {Activations::per_256, M::run, M::panel_bytes, narrow_columns<Format>()};
}

inline Matmul matmul(quant::Type type) {
    using quant::Type;
    switch (type) {
        case Type::f32: return plain<PlainF32>();
        case Type::f16: return plain<PlainF16>();
        case Type::bf16: return plain<PlainBf16>();
        case Type::q4_0: return flat<Q4_0>();
        case Type::q4_1: return flat<Q4_1>();
        case Type::q5_0: return flat<Q5_0>();
        case Type::q5_1: return flat<Q5_1>();
        case Type::q8_0: return flat<Q8_0>();
        case Type::iq4_nl: return flat<IQ4_NL>();
        case Type::mxfp4: return flat<MXFP4>();
        case Type::nvfp4: return flat<NVFP4>();
        case Type::q1_0: return flat<Q1_0>();
        case Type::q2_0: return flat<Q2_0>();
        case Type::tq1_0: return flat<TQ1_0>();
        case Type::tq2_0: return flat<TQ2_0>();
        case Type::q2_k: return nested<Q2_K>();
        case Type::q3_k: return nested<Q3_K>();
        case Type::q4_k: return nested<Q4_K>();
        case Type::q5_k: return nested<Q5_K>();
        case Type::q6_k: return nested<Q6_K>();
        case Type::iq4_xs: return nested<IQ4_XS>();
        case Type::iq3_xxs: return nested<IQ3_XXS>();
        case Type::iq3_s: return nested<IQ3_S>();
        case Type::iq2_xxs: return nested<IQ2_XXS>();
        case Type::iq2_xs: return nested<IQ2_XS>();
        case Type::iq2_s: return nested<IQ2_S>();
        case Type::iq1_s: return nested<IQ1_S>();
        case Type::iq1_m: return nested<IQ1_M>();
        default: return {Activations::f32};
    }
}

}  // namespace
}  // namespace wallaby::kernels
