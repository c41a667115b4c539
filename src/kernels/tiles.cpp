#include "kernels/tiles.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
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

// The units of a block, in their tile's order.
struct Order {
    std::array<Unit, 56> units = {};
    size_t n = 0;
    constexpr Order& add(int offset, int size) {
        units[n++] = {uint16_t(offset), uint16_t(size)};
        return *this;
    }
    // In fours.
    constexpr Order& add_fours(int offset, int n_bytes) {
        for (int i = 0; i < n_bytes; i += 4) { add(offset + i, 4); }
        return *this;
    }
};

// Units of 2 bytes, then fours to the end of the block, as in the file.
constexpr Order words_then_fours(int n_words, int block_bytes) {
    Order order;
    for (int i = 0; i < n_words; i++) { order.add(2 * i, 2); }
    return order.add_fours(2 * n_words, block_bytes - 2 * n_words);
}

// ql[128], qh[64], scales[16], d in the file. Here d and the scales come first; then, for each half of 128 weights and
// each 16 columns of its 32, the low bits of weights 0 and 64 on, of 32 and 96 on, and the high bits of all four.
constexpr Order order_q6_k() {
    Order order = Order().add(208, 2).add_fours(192, 16);
    for (int half = 0; half < 2; half++) {
        for (int column = 0; column < 32; column += 16) {
            for (const int base : {64 * half, 64 * half + 32, 128 + 32 * half}) { order.add_fours(base + column, 16); }
        }
    }
    return order;
}

constexpr Order order_f32 = Order().add(0, 4), order_f16 = Order().add(0, 2);
constexpr Order order_18 = words_then_fours(1, 18), order_q4_1 = words_then_fours(2, 20);
constexpr Order order_q5_0 = words_then_fours(1, 22), order_q5_1 = words_then_fours(2, 24);
constexpr Order order_q8_0 = words_then_fours(1, 34);
constexpr Order order_mxfp4 = Order().add(0, 1).add_fours(1, 16), order_nvfp4 = Order().add_fours(0, 36);
constexpr Order order_tq1_0 = Order().add(52, 2).add_fours(0, 52), order_tq2_0 = Order().add(64, 2).add_fours(0, 64);
constexpr Order order_q2_k = Order().add(80, 2).add(82, 2).add_fours(0, 80);
constexpr Order order_q3_k = Order().add(108, 2).add_fours(96, 12).add_fours(0, 96);
constexpr Order order_q4_k = words_then_fours(2, 144), order_q5_k = words_then_fours(2, 176);
constexpr Order order_q6_k_units = order_q6_k(), order_iq4_xs = words_then_fours(2, 136);
constexpr Order order_iq3_xxs = words_then_fours(1, 98), order_iq3_s = words_then_fours(1, 110);
constexpr Order order_iq2_xxs = words_then_fours(1, 66), order_iq2_xs = words_then_fours(1, 74);
constexpr Order order_iq2_s = words_then_fours(1, 82);
constexpr Order order_iq1_s = words_then_fours(1, 50), order_iq1_m = words_then_fours(0, 56);

const Order* find_order(quant::Type type) {
    using quant::Type;
    switch (type) {
        case Type::f32: return &order_f32;
        case Type::f16:
        case Type::bf16: return &order_f16;
        case Type::q4_0:
        case Type::iq4_nl:
        case Type::q1_0:
        case Type::q2_0: return &order_18;
        case Type::q4_1: return &order_q4_1;
        case Type::q5_0: return &order_q5_0;
        case Type::q5_1: return &order_q5_1;
        case Type::q8_0: return &order_q8_0;
        case Type::mxfp4: return &order_mxfp4;
        case Type::nvfp4: return &order_nvfp4;
        case Type::tq1_0: return &order_tq1_0;
        case Type::tq2_0: return &order_tq2_0;
        case Type::q2_k: return &order_q2_k;
        case Type::q3_k: return &order_q3_k;
        case Type::q4_k: return &order_q4_k;
        case Type::q5_k: return &order_q5_k;
        case Type::q6_k: return &order_q6_k_units;
        case Type::iq4_xs: return &order_iq4_xs;
        case Type::iq3_xxs: return &order_iq3_xxs;
        case Type::iq3_s: return &order_iq3_s;
        case Type::iq2_xxs: return &order_iq2_xxs;
        case Type::iq2_xs: return &order_iq2_xs;
        case Type::iq2_s: return &order_iq2_s;
        case Type::iq1_s: return &order_iq1_s;
        case Type::iq1_m: return &order_iq1_m;
        default: return nullptr;
    }
}

// Empty: rows stay as they are.
std::span<const Unit> order_of(quant::Type type) {
    const Order* order = find_order(type);
    return order == nullptr ? std::span<const Unit>() : std::span(order->units.data(), order->n);
}

uint64_t row_bytes(quant::Type type, uint32_t n_in) {
    const quant::Format& format = quant::format_of(type);
    return uint64_t(n_in) / format.block_len * format.block_bytes;
}

template <size_t size>
void interleave(const uint8_t* const* from, uint64_t offset, uint8_t* to) {
    for (uint32_t r = 0; r < tile_rows; r++) { std::memcpy(to + size * r, from[r] + offset, size); }
}

// Units that follow each other, 16 bytes of them, by squares of numbers in vectors.
template <class T>
using Vector [[gnu::vector_size(16)]] = T;
template <class T>
Vector<T> load(const uint8_t* at) {
    Vector<T> x;
    std::memcpy(&x, at, sizeof(x));
    return x;
}
template <class T>
void store(uint8_t* at, Vector<T> x) {
    std::memcpy(at, &x, sizeof(x));
}

// Four units of 4 bytes.
void interleave_dwords(const uint8_t* const* from, uint64_t offset, uint8_t* to) {
    for (uint32_t r = 0; r < tile_rows; r += 4) {
        Vector<uint32_t> x[4];
        for (uint32_t i = 0; i < 4; i++) { x[i] = load<uint32_t>(from[r + i] + offset); }
        const auto a = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5);
        const auto b = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5);
        const auto c = __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
        const auto d = __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
        uint8_t* const at = to + sizeof(uint32_t) * r;
        store<uint32_t>(at, __builtin_shufflevector(a, b, 0, 1, 4, 5));
        store<uint32_t>(at + 64, __builtin_shufflevector(a, b, 2, 3, 6, 7));
        store<uint32_t>(at + 128, __builtin_shufflevector(c, d, 0, 1, 4, 5));
        store<uint32_t>(at + 192, __builtin_shufflevector(c, d, 2, 3, 6, 7));
    }
}

// Eight units of 2 bytes.
void interleave_words(const uint8_t* const* from, uint64_t offset, uint8_t* to) {
    using Words = Vector<uint16_t>;
    const auto low = [](Words x, Words y) { return __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11); };
    const auto high = [](Words x, Words y) { return __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15); };
    for (uint32_t r = 0; r < tile_rows; r += 8) {
        Words x[8];
        for (uint32_t i = 0; i < 8; i++) { x[i] = load<uint16_t>(from[r + i] + offset); }
        // Each round pairs a row with the one four below it: after three, rows are columns.
        for (int round = 0; round < 3; round++) {
            Words y[8];
            for (uint32_t i = 0; i < 4; i++) {
                y[2 * i] = low(x[i], x[i + 4]);
                y[2 * i + 1] = high(x[i], x[i + 4]);
            }
            std::memcpy(x, y, sizeof(x));
        }
        for (uint32_t i = 0; i < 8; i++) { store<uint16_t>(to + 32 * i + sizeof(uint16_t) * r, x[i]); }
    }
}

// The units from the first one on that lie in a row of 16 bytes: 4 of 4 bytes, or 1.
size_t n_together(std::span<const Unit> units) {
    if (units.size() < 4 || units[0].size != 4) { return 1; }
    for (uint16_t i = 1; i < 4; i++) {
        if (units[i].size != 4 || units[i].offset != units[0].offset + 4 * i) { return 1; }
    }
    return 4;
}

// Rows of plain numbers, each a unit.
void pack_numbers(uint32_t size, const uint8_t* const* from, uint64_t n_bytes, uint8_t* tile) {
    uint64_t at = 0;
    for (; at + 16 <= n_bytes; at += 16, tile += tile_rows * 16) {
        (size == 4 ? interleave_dwords : interleave_words)(from, at, tile);
    }
    for (; at < n_bytes; at += size, tile += tile_rows * size) {
        (size == 4 ? interleave<4> : interleave<2>)(from, at, tile);
    }
}

// Whether no number has an exponent of all ones: adding one to such an exponent carries into the sign bit. n_bytes is
// a multiple of 16.
template <class T>
bool are_finite(const uint8_t* at, uint64_t n_bytes, T exponent) {
    const T one = exponent & T(~exponent + 1);
    Vector<T> carried = {};
    for (uint64_t i = 0; i < n_bytes; i += 16) { carried |= (load<T>(at + i) & exponent) + one; }
    T any = 0;
    for (size_t i = 0; i < 16 / sizeof(T); i++) { any |= carried[i]; }
    return (any >> (8 * sizeof(T) - 1)) == 0;
}

}  // namespace

uint32_t n_tiles(uint32_t n_out) { return n_out / tile_rows + (n_out % tile_rows == 0 ? 0 : 1); }

uint64_t tile_bytes(quant::Type type, uint32_t n_in) { return tile_rows * row_bytes(type, n_in); }

uint64_t packed_bytes(quant::Type type, uint32_t n_in, uint32_t n_out) {
    return n_tiles(n_out) * tile_bytes(type, n_in);
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
    if (units.size() == 1) { return pack_numbers(units[0].size, from, n_bytes, tile); }
    for (uint64_t block = 0; block < n_bytes; block += block_bytes) {
        for (size_t i = 0; i < units.size();) {
            const size_t n = n_together(units.subspan(i));
            const uint64_t offset = block + units[i].offset;
            if (n == 4) {
                interleave_dwords(from, offset, tile);
            } else if (units[i].size == 4) {
                interleave<4>(from, offset, tile);
            } else if (units[i].size == 2) {
                interleave<2>(from, offset, tile);
            } else {
                interleave<1>(from, offset, tile);
            }
            tile += tile_rows * units[i].size * n;
            i += n;
        }
    }
}

bool is_tile_finite(quant::Type type, uint32_t n_in, const uint8_t* tile) {
    const uint64_t n_bytes = tile_bytes(type, n_in);
    if (type == quant::Type::f32) { return are_finite<uint32_t>(tile, n_bytes, 0x7f800000u); }
    if (type == quant::Type::bf16) { return are_finite<uint16_t>(tile, n_bytes, 0x7f80u); }
    if (type == quant::Type::f16) { return are_finite<uint16_t>(tile, n_bytes, 0x7c00u); }
    const quant::F16Scales scales = quant::format_of(type).f16_scales;
    if (order_of(type).empty() || !scales.known) { return false; }
    // They come first.
    const uint64_t n_scales = scales.first == scales.second ? 1 : 2;
    const uint64_t block_bytes = uint64_t(tile_rows) * quant::format_of(type).block_bytes;
    bool finite = true;
    for (uint64_t block = 0; block < n_bytes; block += block_bytes) {
        finite &= are_finite<uint16_t>(tile + block, n_scales * 2 * tile_rows, 0x7c00u);
    }
    return finite;
}

void store_tiles(const uint8_t* from, uint64_t n_bytes, uint8_t* to) {
#ifdef __SSE2__
    for (uint64_t i = 0; i < n_bytes; i += 16) {
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + i),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
    }
    _mm_sfence();  // such stores are not ordered with the flag that tells another thread of them
#else
    std::memcpy(to, from, n_bytes);
#endif
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
