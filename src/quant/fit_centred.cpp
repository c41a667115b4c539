#include "quant/fit_lanes.h"

namespace wallaby::quant {
namespace {

// Integers and the super-scale of a whole block.
template <size_t len, class Levels, int half_scale>
class Search {
  public:
    using Block = LaneBlock<len>;
    using PerGroup = typename Block::PerGroup;
    using Groups = ScaledLanes<len, Levels>;
    struct State {
        uint16_t d = 0;
        PerGroup integers = {};
        float error = std::numeric_limits<float>::infinity();

        Lanes scales(size_t run) const { return base::f32_from_f16(d) * integers[run]; }
    };

    explicit Search(const FitBlock& block) : block_(block) {}

    Groups groups(size_t run) const { return {block_.runs[run]}; }

    // Its error stays infinite where no super-scale within f16's range is large enough.
    State run() const {
        PerGroup wanted;
        for (size_t r = 0; r < Block::n_runs; r++) { wanted[r] = best(groups(r)); }
        float farthest = 0;
        for_each_lane(wanted, [&](float s) { farthest = std::fabs(s) > std::fabs(farthest) ? s : farthest; });
        State found;
        for (size_t start = 0; start < n_fit_starts; start++) {
            const State state = improve(choose_all(fit_start(farthest / float(-half_scale), start), wanted));
            if (state.error < found.error) { found = state; }
        }
        return found;
    }

  private:
    // The best scales that are found, if they were kept exactly.
    static Lanes best(const Groups& groups) {
        const Lanes farthest = groups.groups.farthest();
        Least least{0};
        for (const float level : Levels::outermost()) {
            const auto at = groups.sums(groups.refit(farthest / level));
            const Lanes s = at.refitted();
            least.offer(s, -(s * at.xq));
        }
        return least.chosen;
    }

    State improve(State state) const {
        if (is_infinite(state.d)) { return state; }
        for (int turn = 0; turn < fit_turns; turn++) {
            PerGroup near;
            for (size_t r = 0; r < Block::n_runs; r++) { near[r] = state.scales(r); }
            const State next = choose_all(super_scale(refit(state)), near);
            if (!(next.error < state.error)) { break; }
            state = next;
        }
        return state;
    }

    State choose_all(uint16_t d, const PerGroup& wanted) const {
        State state{d};
        if (is_infinite(d)) { return state; }
        const float super = base::f32_from_f16(d);
        PerGroup errors;
        for (size_t r = 0; r < Block::n_runs; r++) {
            const Lanes exact = wanted[r] * inverse(super);
            const Lanes nearest = held(exact);
            Least least{std::numeric_limits<float>::infinity()};
            for (const Lanes integer : {nearest, held(select(exact > nearest, nearest + 1, nearest - 1))}) {
                least.offer(integer, groups(r).error(super * integer));
            }
            state.integers[r] = least.chosen;
            errors[r] = least.error;
        }
        state.error = 0;
        for_each_lane(errors, [&](float error) { state.error += error; });
        return state;
    }

    static Lanes held(Lanes x) { return nearest_within(x, -half_scale, half_scale - 1); }

    // The super-scale that suits the state's integers and codes best: x = d * a, a = integer * code.
    float refit(const State& state) const {
        double xa = 0, aa = 0;
        for (size_t r = 0; r < Block::n_runs; r++) {
            const auto at = groups(r).sums(state.scales(r));
            for (size_t l = 0; l < n_lanes; l++) {
                const double k = state.integers[r][l];
                xa += k * double(at.xq[l]);
                aa += k * k * double(at.qq[l]);
            }
        }
        return aa > 0 ? float(xa / aa) : 0;
    }

    const Block block_;
};

}  // namespace

template <size_t len, class Levels, int half_scale>
CentredFit fit_centred(const float* x, const float* importance) {
    using Fit = Search<len, Levels, half_scale>;
    CentredFit fit;
    const FitKind kind = fit_kind(x, super_block);
    fit.d = unfitted_scale(kind);
    if (kind != FitKind::ordinary) { return fit; }
    const Fit search(FitBlock(x, importance, len));
    const auto state = search.run();
    if (state.error == std::numeric_limits<float>::infinity()) {
        fit.d = unfitted_scale(FitKind::too_large);
        return fit;
    }
    fit.d = state.d;
    for (size_t r = 0; r < Fit::Block::n_runs; r++) {
        const auto groups = search.groups(r);
        const Lanes inverse_s = inverse(state.scales(r));
        for (size_t l = 0; l < n_lanes; l++) { fit.scales[r * n_lanes + l] = int8_t(state.integers[r][l]); }
        for (size_t i = 0; i < len; i++) {
            const Lanes levels = groups.level(i, inverse_s);
            for (size_t l = 0; l < n_lanes; l++) { fit.levels[(r * n_lanes + l) * len + i] = int8_t(levels[l]); }
        }
    }
    return fit;
}

template CentredFit fit_centred<16, Steps<-4, 3>, 32>(const float*, const float*);
template CentredFit fit_centred<16, Steps<-32, 31>, 128>(const float*, const float*);
template CentredFit fit_centred<32, Iq4Levels, 32>(const float*, const float*);

}  // namespace wallaby::quant
