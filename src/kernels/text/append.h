// Storing one position's key and value of one KV head in pages (pages.h), in any type that they can have.
#pragma once
#include "kernels/text/formats.h"

namespace wallaby::kernels {
namespace {

// Finite numbers beyond +-limit become +-limit; infinities and NaN stay what they are.
WALLABY_KERNEL F32 saturated(F32 x, float limit) {
    const F32 held = max(splat(-limit), min(splat(limit), x));
    return select((bits_of(x) & 0x7fffffff) < 0x7f800000, held, x);
}

struct StoredF32 {
    using Number = float;
    WALLABY_KERNEL static void convert(F32 x, Number* out) { store(out, x); }
};
struct StoredF16 {
    using Number = uint16_t;
    WALLABY_KERNEL static void convert(F32 x, Number* out) { store_f16(out, saturated(x, 65504.0f)); }
};
struct StoredBf16 {
    using Number = uint16_t;
    WALLABY_KERNEL static void convert(F32 x, Number* out) { store_bf16(out, saturated(x, 0x1.fep+127f)); }
};

WALLABY_KERNEL uint16_t f16_of(float x) {
    uint16_t lanes[n_lanes];
    StoredF16::convert(splat(x), lanes);
    return lanes[0];
}
WALLABY_KERNEL float f32_of_f16(uint16_t h) {
    uint16_t lanes[n_lanes] = {h};
    return lane(load_f16(lanes), 0);
}

// A block of 32 as in the file: its f16 scale and its bytes of codes.
struct CodedQ8_0 {
    static constexpr uint32_t code_bytes = 32;
    WALLABY_KERNEL static uint16_t encode(const float* x, uint8_t* codes) {
        const F32 low = load(x), high = load(x + 16);
        const int32_t amax = largest(max(bits_of(low) & 0x7fffffff, bits_of(high) & 0x7fffffff));
        float magnitude;
        std::memcpy(&magnitude, &amax, sizeof(amax));
        const uint16_t d = f16_of(magnitude / 127);
        const float scale = f32_of_f16(d);
        I32 a{}, b{};
        if (scale > 0 && amax < 0x7f800000) {
            const auto code = [scale](F32 v) WALLABY_INLINE {
                return round_to_i32(max(splat(-127.0f), min(splat(127.0f), v / splat(scale))));
            };
            a = code(low);
            b = code(high);
        }
        store_i8(reinterpret_cast<int8_t*>(codes), a);
        store_i8(reinterpret_cast<int8_t*>(codes) + 16, b);
        return d;
    }
};
struct CodedQ4_0 {
    static constexpr uint32_t code_bytes = 16;
    WALLABY_KERNEL static uint16_t encode(const float* x, uint8_t* codes) {
        const F32 low = load(x), high = load(x + 16);
        const int32_t amax = largest(max(bits_of(low) & 0x7fffffff, bits_of(high) & 0x7fffffff));
        // The number farthest from zero, the first of several, gets the code 0.
        float farthest = 0;
        for (uint32_t i = amax == 0 ? 0 : 32; i-- > 0;) {
            int32_t bits;
            std::memcpy(&bits, x + i, sizeof(bits));
            if ((bits & 0x7fffffff) == amax) { farthest = x[i]; }
        }
        const float scale = farthest / -8, inverse = scale != 0 ? 1 / scale : 0;
        I32 a = splat(int32_t(8)), b = a;
        if (amax < 0x7f800000) {
            const auto code = [inverse](F32 v) WALLABY_INLINE {
                const F32 shifted = v * splat(inverse) + splat(8.5f);
                return truncated(min(max(shifted, F32{}), splat(15.0f)));  // NaN is 0
            };
            a = code(low);
            b = code(high);
        }
        store_i8(reinterpret_cast<int8_t*>(codes), a | b << 4);
        return f16_of(scale);
    }
};

// A key is a row of a tile: its units lie 16 rows apart.
template <class Stored>
void append_plain_key(const float* key, uint32_t head, uint32_t slot, uint8_t* page) {
    using Number = typename Stored::Number;
    auto* at = reinterpret_cast<Number*>(page) + uint64_t(slot / 16) * 16 * head + slot % 16;
    for (uint32_t i = 0; i < head; i += n_lanes) {
        Number numbers[n_lanes];
        const uint32_t n = head - i < uint32_t(n_lanes) ? head - i : uint32_t(n_lanes);
        Stored::convert(load_first(key + i, n), numbers);
        for (uint32_t j = 0; j < n; j++) { at[16 * uint64_t(i + j)] = numbers[j]; }
    }
}
template <class Coded>
void append_coded_key(const float* key, uint32_t head, uint32_t slot, uint8_t* page) {
    constexpr uint32_t block_bytes = 2 + Coded::code_bytes;
    uint8_t* tile = page + uint64_t(slot / 16) * (head / 32) * (16 * block_bytes);
    for (uint32_t i = 0; i < head; i += 32, tile += 16 * block_bytes) {
        uint8_t codes[Coded::code_bytes];
        const uint16_t d = Coded::encode(key + i, codes);
        std::memcpy(tile + 2 * (slot % 16), &d, sizeof(d));
        for (uint32_t u = 0; u < Coded::code_bytes / 4; u++) {
            std::memcpy(tile + 32 + 64 * u + 4 * (slot % 16), codes + 4 * u, 4);
        }
    }
}

template <class Stored>
void append_plain_value(const float* value, uint32_t head, uint32_t slot, uint8_t* page) {
    auto* at = reinterpret_cast<typename Stored::Number*>(page) + uint64_t(slot) * 16;
    for (uint32_t i = 0; i < head; i += n_lanes, at += uint64_t(page_keys) * 16) {
        Stored::convert(load_first(value + i, head - i), at);
    }
}
template <class Coded>
void append_coded_value(const float* value, uint32_t head, uint32_t slot, uint8_t* page) {
    for (uint32_t i = 0; i < head; i += 32, page += uint64_t(page_keys) * (2 + Coded::code_bytes)) {
        const uint16_t d = Coded::encode(value + i, page + 2 * page_keys + uint64_t(slot) * Coded::code_bytes);
        std::memcpy(page + 2 * slot, &d, sizeof(d));
    }
}

inline void append(const AppendArgs& args) {
    switch (args.key_type) {
        case quant::Type::f32: append_plain_key<StoredF32>(args.key, args.head, args.slot, args.key_page); break;
        case quant::Type::f16: append_plain_key<StoredF16>(args.key, args.head, args.slot, args.key_page); break;
        case quant::Type::bf16: append_plain_key<StoredBf16>(args.key, args.head, args.slot, args.key_page); break;
        case quant::Type::q8_0: append_coded_key<CodedQ8_0>(args.key, args.head, args.slot, args.key_page); break;
        case quant::Type::q4_0: append_coded_key<CodedQ4_0>(args.key, args.head, args.slot, args.key_page); break;
        default: break;  // can_page() refuses the others
    }
    switch (args.value_type) {
        case quant::Type::f32: append_plain_value<StoredF32>(args.value, args.head, args.slot, args.value_page); break;
        case quant::Type::f16: append_plain_value<StoredF16>(args.value, args.head, args.slot, args.value_page); break;
        case quant::Type::bf16:
            append_plain_value<StoredBf16>(args.value, args.head, args.slot, args.value_page);
            break;
        case quant::Type::q8_0: append_coded_value<CodedQ8_0>(args.value, args.head, args.slot, args.value_page); break;
        case quant::Type::q4_0: append_coded_value<CodedQ4_0>(args.value, args.head, args.slot, args.value_page); break;
        default: break;
    }
}

}  // namespace
}  // namespace wallaby::kernels
