#include <span>

#include "quant/fit_scales.h"

namespace wallaby::quant {
namespace {

constexpr float steps_of_4[] = {-0.8f, -0.2f, 0.4f, 1.0f};
constexpr float steps_of_32[] = {-1.2f, -0.8f, -0.4f, 0.0f, 0.4f};

constexpr std::span<const float> steps_of(int half) {
    return half == 4 ? std::span<const float>(steps_of_4) : std::span<const float>(steps_of_32);
}

// x = s * code
template <int half>
struct Group {
    static constexpr size_t len = 16;
    const float* x;
    const float* weight;

    float code(size_t i, float inverse_s) const { return nearest_within(x[i] * inverse_s, -half, half - 1); }

    float error(float s) const {
        const float inverse_s = inverse(s);
        float terms[len];
        for (size_t i = 0; i < len; i++) {
            const float off = x[i] - s * code(i, inverse_s);
            terms[i] = weight[i] * (off * off);
        }
        return sum<len>(terms);
    }

    CodeSums sums(float s) const {
        const float inverse_s = inverse(s);
        float wxq[len], wqq[len];
        for (size_t i = 0; i < len; i++) {
            const float q = code(i, inverse_s);
            const float wq = weight[i] * q;
            wxq[i] = wq * x[i];
            wqq[i] = wq * q;
        }
        return {sum<len>(wxq), sum<len>(wqq)};
    }

    float refit(float s) const {
        const CodeSums at = sums(s);
        return at.qq > 0 ? at.xq / at.qq : 0;
    }

    // The best scale that is found, if it were kept exactly. Starting points give the farthest weight the code half +
    // step; the codes reach one further on one side, so both signs are tried.
    float best() const {
        float farthest = 0;
        for (size_t i = 0; i < len; i++) {
            if (std::fabs(x[i]) > std::fabs(farthest)) { farthest = x[i]; }
        }
        float found = 0;
        float least = error(0);
        for (const float step : steps_of(half)) {
            for (const float sign : {-1.0f, 1.0f}) {
                float s = sign * farthest / (float(half) + step);
                for (int turn = 0; turn < 2; turn++) { s = refit(s); }
                const float now = error(s);
                if (now < least) {
                    least = now;
                    found = s;
                }
            }
        }
        return found;
    }
};

}  // namespace

template <int half_code, int half_scale>
CentredFit fit_centred(const float* x, const float* importance) {
    CentredFit fit;
    const FitKind kind = fit_kind(x, super_block);
    fit.d = unfitted_scale(kind);
    if (kind != FitKind::ordinary) { return fit; }
    using Fitted = Group<half_code>;
    const FitBlock block(x, importance, Fitted::len);
    const ScaleSearch<Fitted, half_scale> search(block);
    const auto state = search.run();
    if (state.error == std::numeric_limits<float>::infinity()) {
        fit.d = unfitted_scale(FitKind::too_large);
        return fit;
    }
    fit.d = state.d;
    for (size_t g = 0; g < search.n_groups; g++) {
        fit.scales[g] = int8_t(state.scales[g]);
        const Fitted group = search.group(g);
        int8_t* const codes = fit.codes + g * Fitted::len;
        for (size_t i = 0; i < Fitted::len; i++) { codes[i] = int8_t(group.code(i, inverse(state.scale(g)))); }
    }
    return fit;
}

template CentredFit fit_centred<4, 32>(const float*, const float*);
template CentredFit fit_centred<32, 128>(const float*, const float*);

}  // namespace wallaby::quant
