#include <span>

#include "quant/fit_parts.h"

namespace wallaby::quant {
namespace {

constexpr size_t len = 16;
constexpr size_t n_groups = super_block / len;

// x = s * code
template <int half>
struct Group {
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

    struct Sums {
        float xq, qq;  // weighted, of the codes q that a scale gives
    };
    Sums sums(float s) const {
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
        const Sums at = sums(s);
        return at.qq > 0 ? at.xq / at.qq : 0;
    }

    // The best scale that is found, if it were kept exactly. Starting points give the farthest weight the code half +
    // step; the codes reach one further on one side, so both signs are tried.
    float best(std::span<const float> steps) const {
        float farthest = 0;
        for (size_t i = 0; i < len; i++) {
            if (std::fabs(x[i]) > std::fabs(farthest)) { farthest = x[i]; }
        }
        float found = 0;
        float least = error(0);
        for (const float step : steps) {
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

constexpr float steps_of_4[] = {-0.8f, -0.2f, 0.4f, 1.0f};
constexpr float steps_of_32[] = {-1.2f, -0.8f, -0.4f, 0.0f, 0.4f};

constexpr std::span<const float> steps_of(int half) {
    return half == 4 ? std::span<const float>(steps_of_4) : std::span<const float>(steps_of_32);
}

// Integers and the super-scale of a whole block.
template <int half, int half_scale>
class Search {
  public:
    struct State {
        uint16_t d = 0;
        int scales[n_groups] = {};
        float error = std::numeric_limits<float>::infinity();

        float scale(size_t g) const { return base::f32_from_f16(d) * float(scales[g]); }
    };

    explicit Search(const FitBlock& block) : block_(block) {}

    Group<half> group(size_t g) const { return {block_.x + g * len, block_.weight + g * len}; }

    // Its error stays infinite where no super-scale within f16's range is large enough.
    State run() const {
        float wanted[n_groups];
        float farthest = 0;
        for (size_t g = 0; g < n_groups; g++) {
            wanted[g] = group(g).best(steps_of(half));
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

}  // namespace

template <int half_code, int half_scale>
CentredFit fit_centred(const float* x, const float* importance) {
    CentredFit fit;
    const FitKind kind = fit_kind(x, super_block);
    fit.d = unfitted_scale(kind);
    if (kind != FitKind::ordinary) { return fit; }
    const FitBlock block(x, importance, len);
    const Search<half_code, half_scale> search(block);
    const auto state = search.run();
    if (state.error == std::numeric_limits<float>::infinity()) {
        fit.d = unfitted_scale(FitKind::too_large);
        return fit;
    }
    fit.d = state.d;
    for (size_t g = 0; g < n_groups; g++) {
        fit.scales[g] = int8_t(state.scales[g]);
        const auto group = search.group(g);
        for (size_t i = 0; i < len; i++) { fit.codes[g * len + i] = int8_t(group.code(i, inverse(state.scale(g)))); }
    }
    return fit;
}

template CentredFit fit_centred<4, 32>(const float*, const float*);
template CentredFit fit_centred<32, 128>(const float*, const float*);

}  // namespace wallaby::quant
