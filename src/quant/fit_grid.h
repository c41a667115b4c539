// Chooses the numbers of a super-block of 256 weights whose codes are entries of a grid (codebooks.h), so that the
// squared error of the decoded weights is small: the encoders of IQ1 to IQ3 without their bytes.
//
// Signs are those of the weights, but where an even number of eight must be negative and is not, the one changes whose
// change costs least. At a given scale, the entries tried for four or eight weights are the dozen nearest to the levels
// that the weights round to, each by the error it gives. Scales are found as the K-quants' (fit.h): each group's best
// from several starting points, then the f16 super-scale and the groups' integers by turns.
//
// Same input, same bytes, on every machine: IEEE float operations in a fixed order.
#pragma once
#include "quant/fit.h"
#include "quant/format.h"

namespace wallaby::quant {

// Group g of weights has the scale that its format's integer scales[g] stands for. Eight weights, or in IQ3 four, are
// an entry.
struct GridFit {
    uint16_t d = 0;  // f16
    uint8_t scales[16] = {};
    uint16_t entries[64] = {};
    uint8_t signs[32] = {};  // bit j of signs[k]: weight 8k + j is negative; not in IQ1
    bool down[32] = {};      // weights 8k..8k+7 are moved by -1/8, not +1/8; in IQ1
};

// x, importance, and what is not finite, too large or too small: as in fit.h.
template <Type type>
GridFit fit_grid(const float* x, const float* importance);

extern template GridFit fit_grid<Type::iq1_s>(const float*, const float*);
extern template GridFit fit_grid<Type::iq1_m>(const float*, const float*);
extern template GridFit fit_grid<Type::iq2_xxs>(const float*, const float*);
extern template GridFit fit_grid<Type::iq2_xs>(const float*, const float*);
extern template GridFit fit_grid<Type::iq2_s>(const float*, const float*);
extern template GridFit fit_grid<Type::iq3_xxs>(const float*, const float*);
extern template GridFit fit_grid<Type::iq3_s>(const float*, const float*);

}  // namespace wallaby::quant
