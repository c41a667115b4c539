// IEEE 754 binary16 and bfloat16, by integer arithmetic alone: the same bits on every machine, denormals kept,
// round to nearest even, NaN stays NaN (its payload's top bits are kept, the quiet bit is set).
#pragma once
#include <bit>
#include <cstdint>

namespace wallaby::base {

// Without branches, and with masks where a choice would be written: compilers then convert several at a time.
inline float f32_from_f16(uint16_t h) {
    const auto when = [](bool condition, uint32_t bits) { return (0u - uint32_t(condition)) & bits; };
    constexpr uint32_t rebias = 112u << 23;  // between the exponents' biases, 15 and 127; twice for 31 to become 255
    const uint32_t sign = (h & 0x8000u) << 16;
    const uint32_t magnitude = h & 0x7fffu;
    // Zero and denormals: a multiple of 2^-24, exact in binary32.
    const uint32_t small = std::bit_cast<uint32_t>(float(int32_t(h & 0x3ffu)) * 0x1p-24f);
    const uint32_t large = (magnitude << 13) + rebias + when(magnitude >= 0x7c00u, rebias);
    const uint32_t quiet = when(magnitude > 0x7c00u, 0x400000u);
    return std::bit_cast<float>(sign | quiet | when(magnitude < 0x400u, small) | when(magnitude >= 0x400u, large));
}

inline uint16_t f16_from_f32(float f) {
    const uint32_t bits = std::bit_cast<uint32_t>(f);
    const auto sign = uint16_t(bits >> 16 & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) { return uint16_t(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu)); }
    if (magnitude >= 0x477ff000u) { return uint16_t(sign | 0x7c00u); }  // 65520 and above round to infinity
    if (magnitude < 0x38800000u) {                                      // below 2^-14: a denormal, a multiple of 2^-24
        if (magnitude < 0x33000000u) { return sign; }                   // below 2^-25 rounds to zero
        const uint32_t shift = 126 - (magnitude >> 23);                 // 14 to 24 bits to drop
        const uint32_t m = (magnitude & 0x7fffffu) | 0x800000u;
        const uint32_t half = 1u << (shift - 1);
        const uint32_t rest = m & ((1u << shift) - 1);
        uint32_t r = m >> shift;
        if (rest > half || (rest == half && (r & 1u) != 0)) { r++; }
        return uint16_t(sign | r);
    }
    const uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
    return uint16_t(sign | (rounded - 0x38000000u) >> 13);
}

inline float f32_from_bf16(uint16_t h) { return std::bit_cast<float>(uint32_t(h) << 16); }

inline uint16_t bf16_from_f32(float f) {
    const uint32_t bits = std::bit_cast<uint32_t>(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) { return uint16_t(bits >> 16 | 0x40u); }
    return uint16_t((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace wallaby::base
