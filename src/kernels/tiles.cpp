#include "kernels/tiles.h"

#include <array>
#include <cstring>
#include <span>

#include "kernels/kernels.h"

namespace wallaby::kernels {
namespace {

// Consecutive bytes of a row's block that stay together.
struct Unit {
    uint16_t offset = 0, size = 0;
};

template <size_t n>
constexpr std::array<Unit, n + 1> scale_then_codes() {
    std::array<Unit, n + 1> units;
    units[0] = {0, 2};
    for (size_t i = 0; i < n; i++) { units[i + 1] = {uint16_t(2 + 4 * i), 4}; }
    return units;
}

// d, dmin, twelve bytes of scales, 128 of codes.
constexpr std::array<Unit, 37> order_q4_k() {
    std::array<Unit, 37> units;
    units[0] = {0, 2};
    units[1] = {2, 2};
    for (size_t i = 0; i < 35; i++) { units[i + 2] = {uint16_t(4 + 4 * i), 4}; }
    return units;
}

// ql[128], qh[64], scales[16], d in the file. Here d and the scales come first; then, for each half of 128 weights and
// each 16 columns of its 32, the low bits of weights 0 and 64 on, of 32 and 96 on, and the high bits of all four.
constexpr std::array<Unit, 53> order_q6_k() {
    std::array<Unit, 53> units;
    size_t n = 0;
    units[n++] = {208, 2};
    for (uint16_t i = 0; i < 4; i++) { units[n++] = {uint16_t(192 + 4 * i), 4}; }
    for (uint16_t half = 0; half < 2; half++) {
        for (uint16_t column = 0; column < 32; column = uint16_t(column + 16)) {
            for (const int base : {64 * half, 64 * half + 32, 128 + 32 * half}) {
                for (int i = 0; i < 4; i++) { units[n++] = {uint16_t(base + column + 4 * i), 4}; }
            }
        }
    }
    return units;
}

constexpr std::array<Unit, 1> order_f32 = {{{0, 4}}}, order_f16 = {{{0, 2}}};
constexpr auto order_q4_0 = scale_then_codes<4>();
constexpr auto order_q8_0 = scale_then_codes<8>();
constexpr auto order_q4_k_units = order_q4_k();
constexpr auto order_q6_k_units = order_q6_k();

// Empty: rows stay as they are.
std::span<const Unit> order_of(quant::Type type) {
    switch (type) {
        case quant::Type::f32: return order_f32;
        case quant::Type::f16:
        case quant::Type::bf16: return order_f16;
        case quant::Type::q4_0: return order_q4_0;
        case quant::Type::q8_0: return order_q8_0;
        case quant::Type::q4_k: return order_q4_k_units;
        case quant::Type::q6_k: return order_q6_k_units;
        default: return {};
    }
}

uint64_t row_bytes(quant::Type type, uint32_t n_in) {
    const quant::Format& format = quant::format_of(type);
    return uint64_t(n_in) / format.block_len * format.block_bytes;
}

template <size_t size>
void interleave(const uint8_t* const* from, uint64_t offset, uint8_t* to) {
    for (uint32_t r = 0; r < tile_rows; r++) { std::memcpy(to + size * r, from[r] + offset, size); }
}

}  // namespace

uint64_t tile_bytes(quant::Type type, uint32_t n_in) { return tile_rows * row_bytes(type, n_in); }

uint64_t packed_bytes(quant::Type type, uint32_t n_in, uint64_t n_out) {
    return (n_out + tile_rows - 1) / tile_rows * tile_bytes(type, n_in);
}

void pack_tile(quant::Type type, uint32_t n_in, const uint8_t* rows, uint32_t n_rows, uint8_t* tile) {
    const uint64_t n_bytes = row_bytes(type, n_in);
    const std::span<const Unit> units = order_of(type);
    if (n_rows < tile_rows) { std::memset(tile, 0, tile_rows * n_bytes); }
    if (units.empty()) {
        std::memcpy(tile, rows, n_rows * n_bytes);
        return;
    }
    const uint32_t block_bytes = quant::format_of(type).block_bytes;
    if (n_rows < tile_rows) {
        for (uint64_t block = 0; block < n_bytes; block += block_bytes) {
            uint8_t* to = tile + tile_rows * block;
            for (const Unit& unit : units) {
                for (uint32_t r = 0; r < n_rows; r++) {
                    std::memcpy(to + uint64_t(unit.size) * r, rows + r * n_bytes + block + unit.offset, unit.size);
                }
                to += tile_rows * unit.size;
            }
        }
        return;
    }
    const uint8_t* from[tile_rows];
    for (uint32_t r = 0; r < tile_rows; r++) { from[r] = rows + r * n_bytes; }
    for (uint64_t block = 0; block < n_bytes; block += block_bytes) {
        for (const Unit& unit : units) {
            if (unit.size == 4) {
                interleave<4>(from, block + unit.offset, tile);
            } else {
                interleave<2>(from, block + unit.offset, tile);
            }
            tile += tile_rows * unit.size;
        }
    }
}

void unpack_row(quant::Type type, uint32_t n_in, const uint8_t* tile, uint32_t row, uint8_t* out) {
    const uint64_t n_bytes = row_bytes(type, n_in);
    const std::span<const Unit> units = order_of(type);
    if (units.empty()) {
        std::memcpy(out, tile + row * n_bytes, n_bytes);
        return;
    }
    const uint32_t block_bytes = quant::format_of(type).block_bytes;
    for (uint64_t block = 0; block < n_bytes; block += block_bytes) {
        for (const Unit& unit : units) {
            std::memcpy(out + block + unit.offset, tile + uint64_t(unit.size) * row, unit.size);
            tile += tile_rows * unit.size;
        }
    }
}

}  // namespace wallaby::kernels
