// Chooses the numbers of a super-block of 256 weights so that the squared error of the decoded weights is small: the
// K-quants' encoders without their bytes (k_quants.cpp packs them).
//
// Each group first gets the scale (and minimum) that would suit it best if they were kept exactly: several starting
// points, each improved by turns of rounding weights to codes and solving for the scale by least squares. Then the f16
// super-scales are set from the groups' largest, the groups' small integers are chosen by the error that the rounded
// super-scales really give, and the super-scales are solved for again, as long as the error falls.
//
// Same input, same bytes, on every machine: IEEE float operations in a fixed order.
#pragma once
#include <cstddef>
#include <cstdint>

namespace wallaby::quant {

constexpr size_t super_block = 256;

// w = (d * scales[g]) * code - m * minima[g] of weight i in group g = i / group_len; codes 0..top_code, scales and
// minima 0..top_scale. d and m may be negative: a block of mostly positive weights is one of negative weights mirrored.
struct AffineFit {
    uint16_t d = 0, m = 0;  // f16
    uint8_t scales[16] = {};
    uint8_t minima[16] = {};
    uint8_t codes[super_block] = {};
};

// What codes stand for (fit_lanes.h): low .. high, or the uneven levels of IQ4_XS.
template <int low, int high>
struct Steps;
struct Iq4Levels;

// w = (d * scales[g]) * level of weight i in group g = i / group_len; scales -half_scale .. half_scale - 1.
struct CentredFit {
    uint16_t d = 0;  // f16
    int8_t scales[16] = {};
    int8_t levels[super_block] = {};
};

// x: 256 weights. importance: 256 factors of their squared errors, or nullptr for 1 throughout; what is negative or not
// finite counts as 0, and a group in which nothing counts is fitted as if all counted alike.
// A NaN or infinity in x gives a super-scale that is NaN, weights too large for it one that is infinite: the block's
// weights are then not finite, which loading refuses. Weights too small for f16's denormals give zeros.
template <size_t group_len, int top_code, int top_scale>
AffineFit fit_affine(const float* x, const float* importance);
template <size_t group_len, class Levels, int half_scale>
CentredFit fit_centred(const float* x, const float* importance);

extern template AffineFit fit_affine<16, 3, 15>(const float*, const float*);                  // Q2_K
extern template AffineFit fit_affine<32, 15, 63>(const float*, const float*);                 // Q4_K
extern template AffineFit fit_affine<32, 31, 63>(const float*, const float*);                 // Q5_K
extern template CentredFit fit_centred<16, Steps<-4, 3>, 32>(const float*, const float*);     // Q3_K
extern template CentredFit fit_centred<16, Steps<-32, 31>, 128>(const float*, const float*);  // Q6_K
extern template CentredFit fit_centred<32, Iq4Levels, 32>(const float*, const float*);        // IQ4_XS

}  // namespace wallaby::quant
