// The search for a super-block's scales where they are centred and groups have no minima (Q3_K, Q6_K, IQ4_XS).
#pragma once
#include "quant/fit_parts.h"

namespace wallaby::quant {

struct CodeSums {
    float xq, qq;  // weighted, of weights x and the codes' values q that a scale gives
};

// Integers and the super-scale of a whole block whose groups have a scale d * integer each, of -half_scale to
// half_scale - 1. A Group is `len` weights and has
//     float best() const;             the best scale that is found, if it were kept exactly
//     float error(float s) const;     what scale s leaves
//     CodeSums sums(float s) const;
template <class Group, int half_scale>
class ScaleSearch {
  public:
    static constexpr size_t len = Group::len;
    static constexpr size_t n_groups = super_block / len;
    struct State {
        uint16_t d = 0;
        int scales[n_groups] = {};
        float error = std::numeric_limits<float>::infinity();

        float scale(size_t g) const { return base::f32_from_f16(d) * float(scales[g]); }
    };

    explicit ScaleSearch(const FitBlock& block) : block_(block) {}

    Group group(size_t g) const { return {block_.x + g * len, block_.weight + g * len}; }

    // Its error stays infinite where no super-scale within f16's range is large enough.
    State run() const {
        float wanted[n_groups];
        float farthest = 0;
        for (size_t g = 0; g < n_groups; g++) {
            wanted[g] = group(g).best();
            if (std::fabs(wanted[g]) > std::fabs(farthest)) { farthest = wanted[g]; }
        }
        State best;
        for (size_t start = 0; start < n_fit_starts; start++) {
            const State state = improve(choose_all(fit_start(farthest / float(-half_scale), start), wanted));
            if (state.error < best.error) { best = state; }
        }
        return best;
    }

  private:
    State improve(State state) const {
        if (is_infinite(state.d)) { return state; }
        for (int turn = 0; turn < fit_turns; turn++) {
            float near[n_groups];
            for (size_t g = 0; g < n_groups; g++) { near[g] = state.scale(g); }
            const State next = choose_all(super_scale(refit(state)), near);
            if (!(next.error < state.error)) { break; }
            state = next;
        }
        return state;
    }

    State choose_all(uint16_t d, const float* wanted) const {
        State state{d};
        if (is_infinite(d)) { return state; }
        state.error = 0;
        const float super = base::f32_from_f16(d);
        for (size_t g = 0; g < n_groups; g++) {
            float least = std::numeric_limits<float>::infinity();
            const int near = int(nearest_within(wanted[g] * inverse(super), -half_scale, half_scale - 1));
            for (int k = std::max(-half_scale, near - 1); k <= std::min(half_scale - 1, near + 1); k++) {
                const float now = group(g).error(super * float(k));
                if (now < least) {
                    least = now;
                    state.scales[g] = k;
                }
            }
            state.error += least;
        }
        return state;
    }

    // The super-scale that suits the state's integers and codes best: x = d * a, a = scale * code.
    float refit(const State& state) const {
        double xa = 0, aa = 0;
        for (size_t g = 0; g < n_groups; g++) {
            const auto at = group(g).sums(state.scale(g));
            const double k = state.scales[g];
            xa += k * double(at.xq);
            aa += k * k * double(at.qq);
        }
        return aa > 0 ? float(xa / aa) : 0;
    }

    const FitBlock& block_;
};

}  // namespace wallaby::quant
