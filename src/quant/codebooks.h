// The fixed tables that weight formats index. They are part of the formats, as ggml defines them (MIT licence):
// a file holds indices into them, so not one entry may change.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace wallaby::quant {

// IQ4_NL and IQ4_XS: sixteen levels, denser around zero as weights are.
inline constexpr std::array<int8_t, 16> iq4_levels = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                      1,    13,   25,  38,  53,  69,  89,  113};

// MXFP4 and NVFP4: the values of E2M1 (sign, 2 exponent bits, 1 mantissa bit), doubled so that they are integers.
inline constexpr std::array<int8_t, 16> e2m1_doubled = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// What a grid's entries consist of, ascending: values in IQ1 (shared by IQ1_S and IQ1_M), magnitudes in the others.
inline constexpr std::array<int8_t, 3> iq1_levels = {-1, 0, 1};
inline constexpr std::array<int8_t, 3> iq2_levels = {8, 25, 43};
inline constexpr std::array<int8_t, 8> iq3_xxs_levels = {4, 12, 20, 28, 36, 44, 52, 62};
inline constexpr std::array<int8_t, 8> iq3_s_levels = {1, 3, 5, 7, 9, 11, 13, 15};

// Entries of a grid, first weight first.
using Grid8 = std::array<int8_t, 8>;
using Grid4 = std::array<int8_t, 4>;
extern const std::array<Grid8, 256> iq2_xxs_grid;
extern const std::array<Grid8, 512> iq2_xs_grid;
extern const std::array<Grid8, 1024> iq2_s_grid;
extern const std::array<Grid8, 2048> iq1_grid;
extern const std::array<Grid4, 256> iq3_xxs_grid;
extern const std::array<Grid4, 512> iq3_s_grid;

// An entry's first and second half as numbers whose digits are places in the list of levels, first weight lowest.
struct Halves {
    uint8_t first, second;
};
extern const std::array<Halves, 256> iq2_xxs_halves;
extern const std::array<Halves, 512> iq2_xs_halves;
extern const std::array<Halves, 1024> iq2_s_halves;
extern const std::array<Halves, 2048> iq1_halves;
extern const std::array<Halves, 256> iq3_xxs_halves;
extern const std::array<Halves, 512> iq3_s_halves;

// Eight signs stored in seven bits: an even number of them is negative, so the eighth is the parity of the others.
constexpr uint32_t signs_from_7_bits(uint32_t bits) {
    bits &= 127u;
    return bits | (uint32_t(std::popcount(bits)) & 1u) << 7;
}

}  // namespace wallaby::quant
