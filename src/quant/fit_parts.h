// What the fits of fit.h share: rounding, sums in a fixed order, and what counts as a block worth fitting.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/float16.h"
#include "quant/fit.h"

namespace wallaby::quant {

// x to the nearest integer within [low, high], halves to even; both ends within 2^21 of 0. NaN gives one of them.
// Clamping bits, which order as integers, compiles to vector instructions where clamping floats does not.
inline float nearest_within(float x, int low, int high) {
    constexpr float unit_ulps = 0x1.8p23f;  // around it one unit in the last place is 1
    constexpr auto zero = std::bit_cast<int32_t>(unit_ulps);
    const auto bits = std::bit_cast<int32_t>(x + unit_ulps);
    const int32_t capped = bits < zero + high ? bits : zero + high;
    return std::bit_cast<float>(capped > zero + low ? capped : zero + low) - unit_ulps;
}

// Of n numbers, halves folded onto each other: an order that suits vectors and is the same without them.
template <size_t n>
float sum(float* terms) {
    for (size_t half = n / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) { terms[i] += terms[i + half]; }
    }
    return terms[0];
}

inline float inverse(float x) { return x != 0 ? 1 / x : 0; }

// The weights of n squared errors, relative to the largest: 1 throughout where importance says nothing of use.
inline void set_error_weights(float* weight, const float* importance, size_t n, size_t group_len) {
    constexpr float least = 0x1p-40f;  // far above where products of squares vanish
    std::fill(weight, weight + n, 1.0f);
    if (importance == nullptr) { return; }
    const auto counted = [](float f) { return f > 0 && f <= std::numeric_limits<float>::max() ? f : 0.0f; };
    float largest = 0;
    for (size_t i = 0; i < n; i++) { largest = std::max(largest, counted(importance[i])); }
    if (largest == 0) { return; }
    for (size_t first = 0; first < n; first += group_len) {
        float* const of_group = weight + first;
        for (size_t i = 0; i < group_len; i++) {
            const float share = counted(importance[first + i]) / largest;
            of_group[i] = share >= least ? share : 0;
        }
        if (*std::max_element(of_group, of_group + group_len) == 0) {
            std::fill(of_group, of_group + group_len, least);
        }
    }
}

// Weights, and the weights of their squared errors.
struct FitBlock {
    float x[super_block];
    float weight[super_block];

    FitBlock(const float* of_x, const float* importance, size_t group_len) {
        std::copy(of_x, of_x + super_block, x);
        set_error_weights(weight, importance, super_block, group_len);
    }
};

// What becomes of a block's super-scale. Decoded weights that are not 0 are multiples of 2^-24, and below 2^29; squares
// of what lies between neither vanish nor overflow.
enum class FitKind : uint8_t { ordinary, zero, too_large, not_finite };

inline FitKind fit_kind(const float* x, size_t n) {
    uint32_t largest = 0;  // as bits, which order as magnitudes do, NaN last
    for (size_t i = 0; i < n; i++) { largest = std::max(largest, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu); }
    if (largest >= 0x7f800000u) { return FitKind::not_finite; }
    if (largest <= std::bit_cast<uint32_t>(0x1p-25f)) { return FitKind::zero; }
    return largest >= std::bit_cast<uint32_t>(0x1p30f) ? FitKind::too_large : FitKind::ordinary;
}

constexpr uint16_t f16_infinity = 0x7c00;
constexpr uint16_t f16_nan = 0x7e00;
constexpr uint16_t f16_sign = 0x8000;

// The super-scale of a block that is not fitted.
constexpr uint16_t unfitted_scale(FitKind kind) {
    switch (kind) {
        case FitKind::not_finite: return f16_nan;
        case FitKind::too_large: return f16_infinity;
        default: return 0;
    }
}

// The nearest f16, but not 0 for what is not 0: small integers on the least step are better than nothing.
inline uint16_t super_scale(float value) {
    if (value == 0) { return 0; }
    const uint16_t magnitude = base::f16_from_f32(std::fabs(value));
    return uint16_t((value < 0 ? f16_sign : 0) | std::max<uint16_t>(magnitude, 1));
}

inline bool is_infinite(uint16_t super_scale) { return (super_scale & 0x7fff) == f16_infinity; }

// Where a super-scale starts: from the largest group's need divided by the largest integer; and a little above, at
// least by the last place of f16's coarse denormals, which gives every group other integers to choose from.
constexpr size_t n_fit_starts = 2;
inline uint16_t fit_start(float need, size_t start) {
    const uint16_t nearest = super_scale(need);
    if (start == 0 || need == 0 || is_infinite(nearest)) { return nearest; }
    return std::max<uint16_t>(super_scale(need * 1.05f), uint16_t(nearest + 1));
}
constexpr int fit_turns = 3;  // of choosing integers and solving for super-scales

}  // namespace wallaby::quant
