// What the format files share: walking over blocks that may lie at any address, and rounding that is ours.
//
// A format is a struct of one block's bytes in file order with
//     static constexpr size_t len;              weights in the block
//     void decode(float* out) const;            writes len floats
// and, where the format has an encoder, which reads len floats, one of
//     static Block encode(const float* in);
//     static Block encode(const float* in, const float* importance);     where there is something to choose
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "base/float16.h"

namespace wallaby::quant {

// Blocks are read in place where they are aligned, as they are in files and caches: a load that straddles the stores of
// a fresh copy waits for them, and decoding would take twice as long.
template <class Block>
void decode_blocks(const uint8_t* bytes, float* out, size_t n_blocks) {
    for (size_t i = 0; i < n_blocks; i++) {
        const void* at = bytes + i * sizeof(Block);
        Block copy;
        if (reinterpret_cast<uintptr_t>(at) % alignof(Block) != 0) {
            std::memcpy(&copy, at, sizeof(Block));
            at = &copy;
        }
        static_cast<const Block*>(at)->decode(out + i * Block::len);
    }
}

template <class Block>
void encode_blocks(const float* in, uint8_t* bytes, size_t n_blocks, const float* importance) {
    for (size_t i = 0; i < n_blocks; i++) {
        const float* const from = in + i * Block::len;
        Block block;
        if constexpr (requires { Block::encode(from, importance); }) {
            block = Block::encode(from, importance == nullptr ? nullptr : importance + i * Block::len);
        } else {
            block = Block::encode(from);
        }
        std::memcpy(bytes + i * sizeof(Block), &block, sizeof(Block));
    }
}

// x without its fraction, held within [low, high]. NaN gives low.
inline int truncate_within(float x, int low, int high) {
    if (!(x > float(low))) { return low; }
    if (x >= float(high)) { return high; }
    return int(x);
}

// x to the nearest integer, halves away from zero, held within [-limit, limit]. NaN gives -limit.
inline int round_within(float x, int limit) {
    const int whole = truncate_within(x, -limit, limit);
    const float rest = x - float(whole);  // exact
    if (rest >= 0.5f && whole < limit) { return whole + 1; }
    if (rest <= -0.5f && whole > -limit) { return whole - 1; }
    return whole;
}

}  // namespace wallaby::quant
