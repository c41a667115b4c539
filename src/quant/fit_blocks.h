// Formats whose blocks share nothing, fitted several blocks at once. The contract is that of fit.h.
#pragma once
#include "quant/block.h"
#include "quant/fit_lanes.h"

namespace wallaby::quant {

// A group of weights to each lane; blocks that are not fitted, and those that are not there, count as zeros.
template <size_t block_len, size_t group_len = block_len>
struct BlockLanes {
    static constexpr size_t max_blocks = n_lanes * group_len / block_len;
    LaneGroups<group_len> groups;
    FitKind kinds[max_blocks] = {};

    BlockLanes(const float* in, const float* importance, size_t n_blocks) {
        float x[max_blocks * block_len] = {}, weight[max_blocks * block_len] = {};
        for (size_t b = 0; b < n_blocks; b++) {
            const size_t first = b * block_len;
            kinds[b] = fit_kind(in + first, block_len);
            if (kinds[b] == FitKind::ordinary) { std::copy(in + first, in + first + block_len, x + first); }
            set_error_weights(weight + first, importance == nullptr ? nullptr : importance + first, block_len,
                              group_len);
        }
        groups.set(x, weight);
    }
};

template <size_t len>
struct BlockFit {
    uint16_t d = 0, m = 0;   // f16
    int8_t codes[len] = {};  // or levels
};
// Up to n_lanes of them.
template <size_t len>
using BlockFits = BlockFit<len>[n_lanes];

// w = d * level. n_blocks is at most n_lanes.
template <size_t len, class Levels>
void fit_scaled(const float* x, const float* importance, size_t n_blocks, BlockFits<len>& fits);
// w = d * code + m, codes 0..top.
template <size_t len, int top>
void fit_ranged(const float* x, const float* importance, size_t n_blocks, BlockFits<len>& fits);

extern template void fit_scaled<32, Steps<-8, 7>>(const float*, const float*, size_t, BlockFits<32>&);    // Q4_0
extern template void fit_scaled<32, Steps<-16, 15>>(const float*, const float*, size_t, BlockFits<32>&);  // Q5_0
extern template void fit_scaled<64, Steps<-1, 2>>(const float*, const float*, size_t, BlockFits<64>&);    // Q2_0
extern template void fit_scaled<32, Iq4Levels>(const float*, const float*, size_t, BlockFits<32>&);       // IQ4_NL
extern template void fit_ranged<32, 15>(const float*, const float*, size_t, BlockFits<32>&);              // Q4_1
extern template void fit_ranged<32, 31>(const float*, const float*, size_t, BlockFits<32>&);              // Q5_1

// encode(in, importance, n, blocks) for all blocks in their order, at most `at_once` of them at a time.
template <class Block, size_t at_once, class Encode>
void encode_together(const float* in, uint8_t* bytes, size_t n_blocks, const float* importance, const Encode& encode) {
    for (size_t first = 0; first < n_blocks; first += at_once) {
        const size_t n = std::min(at_once, n_blocks - first);
        const size_t n_before = first * Block::len;
        Block blocks[at_once];
        encode(in + n_before, importance == nullptr ? nullptr : importance + n_before, n, blocks);
        std::memcpy(bytes + first * sizeof(Block), blocks, n * sizeof(Block));
    }
}

// With Block::fit, one of the functions above, and Block::of, which packs what it finds.
template <class Block>
void encode_fits(const float* in, uint8_t* bytes, size_t n_blocks, const float* importance) {
    const auto encode = [](const float* x, const float* of_x, size_t n, Block* blocks) {
        BlockFits<Block::len> fits;
        Block::fit(x, of_x, n, fits);
        for (size_t b = 0; b < n; b++) { blocks[b] = Block::of(fits[b]); }
    };
    encode_together<Block, n_lanes>(in, bytes, n_blocks, importance, encode);
}

}  // namespace wallaby::quant
