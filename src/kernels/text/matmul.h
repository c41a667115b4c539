// Matmul: which kernel serves which format and number of columns.
#pragma once
#include "kernels/text/matmul_wide.h"

namespace wallaby::kernels {
namespace {

template <template <class, int> class Narrow, template <class, int> class Wide, class Format>
void multiply_quantised(const MatmulArgs& args, Activations kind) {
    using Panel = typename Wide<Format, 1>::Panel;
    constexpr uint32_t block = Wide<Format, 1>::block;
    const uint64_t n_blocks = args.n_in / block;
    if (args.n_columns <= narrow_columns) {
        return multiply_narrow<Narrow, Format>(args, n_blocks * Format::block_bytes);
    }
    const uint32_t n_tiles = (args.n_rows + tile_rows - 1) / tile_rows;
    for (uint64_t i = 0; i < n_blocks * n_tiles; i++) {
        Panel::write(args.tiles + i * Format::block_bytes, args.scratch + i * Panel::block_bytes);
    }
    multiply_wide<Wide, Format>(args, args.scratch, n_blocks * Panel::block_bytes, kind);
}
template <class Format>
void multiply_flat(const MatmulArgs& args) {
    multiply_quantised<Flat, FlatWide, Format>(args, Activations::per_32);
}
template <class Format>
void multiply_nested(const MatmulArgs& args) {
    multiply_quantised<NestedSums, NestedWide, Format>(args, Activations::per_256);
}
template <class Plain>
void multiply_plain(const MatmulArgs& args) {
    const uint64_t tile_bytes = uint64_t(args.n_in) * Plain::step_bytes;
    if (args.n_columns > narrow_columns) {
        return multiply_wide<PlainWide, Plain>(args, args.tiles, tile_bytes, Activations::f32);
    }
    if (args.n_columns > 2 || args.n_in % 256 != 0) { return multiply_narrow<PlainSums, Plain>(args, tile_bytes); }
    const Group run = args.n_columns == 1 ? multiply_quarters<Plain, 1> : multiply_quarters<Plain, 2>;
    for (uint32_t row = 0; row < args.n_rows; row += tile_rows) {
        run(args, args.tiles + row / tile_rows * tile_bytes, row, args.activations, 0);
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
