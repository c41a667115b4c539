#include "quant/fit_lanes.h"

namespace wallaby::quant {
namespace {

// Integers and super-scales of a whole block.
template <size_t len, int top, int top_scale>
class Search {
  public:
    using Block = LaneBlock<len>;
    using PerGroup = typename Block::PerGroup;
    using Groups = LineLanes<len, top>;
    struct State {
        uint16_t d = 0, m = 0;
        PerGroup scales = {}, minima = {};
        float error = std::numeric_limits<float>::infinity();

        Lines lines(size_t run) const {
            return {base::f32_from_f16(d) * scales[run], base::f32_from_f16(m) * minima[run]};
        }
    };

    explicit Search(const FitBlock& block) : block_(block) {
        for (size_t r = 0; r < Block::n_runs; r++) { groups_[r].set(block_.runs[r]); }
    }

    const Groups& groups(size_t run) const { return groups_[run]; }

    // Its error stays infinite where no super-scale within f16's range is large enough.
    State run() const {
        Lines wanted[Block::n_runs];
        float largest_s = 0, largest_m = 0;
        for (size_t r = 0; r < Block::n_runs; r++) {
            wanted[r] = best(groups(r));
            for (size_t l = 0; l < n_lanes; l++) {
                largest_s = std::max(largest_s, float(wanted[r].s[l]));
                largest_m = std::max(largest_m, float(wanted[r].m[l]));
            }
        }
        State found;
        for (size_t start = 0; start < n_fit_starts; start++) {
            const uint16_t d = fit_start(largest_s / float(top_scale), start),
                           m = fit_start(largest_m / float(top_scale), start);
            const State state = choose_all(d, m, wanted);
            if (state.error < found.error) { found = state; }
        }
        return improve(found);
    }

  private:
    // The best lines that are found, if they were kept exactly.
    static Lines best(const Groups& groups) {
        const Lanes low = min(groups.groups->least(), 0);
        const Lanes range = max(groups.groups->most() - low, 0);
        Lines found{{}, -low};
        Lanes most = 0;
        for (const Start& start : starts_of(top)) {
            Lines first = start.lines(low, range, top);
            first.m = Groups::kept(first.m);
            const auto [lines, gain] = groups.refit(groups.refit(first).lines);
            found = {select(gain > most, lines.s, found.s), select(gain > most, lines.m, found.m)};
            most = max(gain, most);
        }
        return found;
    }

    State improve(State state) const {
        if (state.error == std::numeric_limits<float>::infinity()) { return state; }
        for (int turn = 0; turn < fit_turns; turn++) {
            const SuperScales super = refit(state);
            if (!(super.d >= 0 && super.m >= 0)) { break; }
            Lines near[Block::n_runs];
            for (size_t r = 0; r < Block::n_runs; r++) { near[r] = state.lines(r); }
            const State next = choose_all(super_scale(super.d), super_scale(super.m), near);
            if (!(next.error < state.error)) { break; }
            state = next;
        }
        return state;
    }

    State choose_all(uint16_t d, uint16_t m, const Lines* wanted) const {
        State state{d, m};
        if (is_infinite(d) || is_infinite(m)) { return state; }
        PerGroup errors;
        for (size_t r = 0; r < Block::n_runs; r++) {
            errors[r] = choose(groups(r), base::f32_from_f16(d), base::f32_from_f16(m), wanted[r], state.scales[r],
                               state.minima[r]);
        }
        state.error = 0;
        for_each_lane(errors, [&](float error) { state.error += error; });
        return state;
    }

    static Lanes held(Lanes x) { return nearest_within(x, 0, top_scale); }

    // The integers near `wanted` of the least error, which is returned.
    static Lanes choose(const Groups& groups, float d, float m, const Lines& wanted, Lanes& scale, Lanes& minimum) {
        Lanes least = std::numeric_limits<float>::infinity();
        const Lanes near = held(wanted.s * inverse(d));
        for (const float step : {-1.0f, 0.0f, 1.0f}) {
            const Lanes of_scale = held(near + step);
            const Lanes s = d * of_scale;
            const Lanes exact = groups.refit_minimum({s, wanted.m}) * inverse(m);
            const Lanes nearest = held(exact);
            for (const Lanes of_minimum : {nearest, held(select(exact > nearest, nearest + 1, nearest - 1))}) {
                const Lanes error = groups.error({s, m * of_minimum});
                scale = select(error < least, of_scale, scale);
                minimum = select(error < least, of_minimum, minimum);
                least = min(error, least);
            }
        }
        return least;
    }

    // The super-scales that suit the state's integers and codes best: x = d * a - m * b, a = scale * code, b = minimum.
    struct SuperScales {
        float d = 0, m = 0;
    };
    SuperScales refit(const State& state) const {
        double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
        for (size_t r = 0; r < Block::n_runs; r++) {
            const auto at = groups(r).sums(state.lines(r));
            for (size_t l = 0; l < n_lanes; l++) {
                const double scale = state.scales[r][l], minimum = state.minima[r][l];
                aa += scale * scale * double(at.qq[l]);
                ab += scale * minimum * double(at.q[l]);
                bb += minimum * minimum * double(groups(r).sum_w[l]);
                xa += scale * double(at.xq[l]);
                xb += minimum * double(groups(r).sum_x[l]);
            }
        }
        constexpr double parallel = 1e-9;
        const double determinant = aa * bb - ab * ab;
        if (determinant > parallel * aa * bb) {
            return {float((xa * bb - xb * ab) / determinant), float((xa * ab - xb * aa) / determinant)};
        }
        if (aa > 0) { return {float(xa / aa), 0}; }
        return {0, bb > 0 ? float(-xb / bb) : 0};
    }

    const Block block_;
    Groups groups_[Block::n_runs];
};

bool lies_above_zero(const float* x, size_t len) { return *std::min_element(x, x + len) > 0; }

}  // namespace

template <size_t group_len, int top_code, int top_scale>
AffineFit fit_affine(const float* x, const float* importance) {
    using Integers = Search<group_len, top_code, top_scale>;
    AffineFit fit;
    const FitKind kind = fit_kind(x, super_block);
    fit.d = unfitted_scale(kind);
    if (kind != FitKind::ordinary) { return fit; }
    FitBlock block(x, importance, group_len);
    auto state = Integers(block).run();
    uint16_t sign = 0;
    // Minima reach below zero only; the mirrored block serves groups above it.
    bool has_group_above = false;
    for (size_t g = 0; g < super_block; g += group_len) { has_group_above |= lies_above_zero(x + g, group_len); }
    if (has_group_above) {
        FitBlock mirrored = block;
        for (float& value : mirrored.x) { value = -value; }
        const auto other = Integers(mirrored).run();
        if (other.error < state.error) {
            state = other;
            block = mirrored;
            sign = f16_sign;
        }
    }
    if (state.error == std::numeric_limits<float>::infinity()) {
        fit.d = unfitted_scale(FitKind::too_large);
        return fit;
    }
    fit.d = state.d ^ sign;
    fit.m = state.m ^ sign;
    const Integers chosen(block);
    for (size_t r = 0; r < Integers::Block::n_runs; r++) {
        const auto& groups = chosen.groups(r);
        const Lines lines = state.lines(r);
        const Lanes inverse_s = inverse(lines.s);
        for (size_t l = 0; l < n_lanes; l++) {
            fit.scales[r * n_lanes + l] = uint8_t(state.scales[r][l]);
            fit.minima[r * n_lanes + l] = uint8_t(state.minima[r][l]);
        }
        for (size_t i = 0; i < group_len; i++) {
            const Lanes codes = groups.code(i, lines, inverse_s);
            for (size_t l = 0; l < n_lanes; l++) { fit.codes[(r * n_lanes + l) * group_len + i] = uint8_t(codes[l]); }
        }
    }
    return fit;
}

template AffineFit fit_affine<16, 3, 15>(const float*, const float*);
template AffineFit fit_affine<32, 15, 63>(const float*, const float*);
template AffineFit fit_affine<32, 31, 63>(const float*, const float*);

}  // namespace wallaby::quant
