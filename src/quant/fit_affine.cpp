#include <span>

#include "quant/fit_parts.h"

namespace wallaby::quant {
namespace {

// x = s * code - m
struct Line {
    float s = 0, m = 0;
};

template <size_t len, int top>
struct Group {
    const float* x;
    const float* weight;
    float sum_w, sum_x;  // weighted

    Group(const float* of_x, const float* of_weight) : x(of_x), weight(of_weight) {
        float w[len], wx[len];
        for (size_t i = 0; i < len; i++) {
            w[i] = weight[i];
            wx[i] = weight[i] * x[i];
        }
        sum_w = sum<len>(w);
        sum_x = sum<len>(wx);
    }

    float code(size_t i, const Line& line, float inverse_s) const {
        return nearest_within((x[i] + line.m) * inverse_s, 0, top);
    }

    float error(const Line& line) const {
        const float inverse_s = inverse(line.s);
        float terms[len];
        for (size_t i = 0; i < len; i++) {
            const float off = x[i] - (line.s * code(i, line, inverse_s) - line.m);
            terms[i] = weight[i] * (off * off);
        }
        return sum<len>(terms);
    }

    struct Sums {
        float q, xq, qq;  // weighted, of the codes q that a line gives
    };
    Sums sums(const Line& line) const {
        const float inverse_s = inverse(line.s);
        float wq[len], wxq[len], wqq[len];
        for (size_t i = 0; i < len; i++) {
            const float q = code(i, line, inverse_s);
            wq[i] = weight[i] * q;
            wxq[i] = wq[i] * x[i];
            wqq[i] = wq[i] * q;
        }
        return {sum<len>(wq), sum<len>(wxq), sum<len>(wqq)};
    }

    // The best line for the codes that `line` gives, among those with s >= 0 and m >= 0.
    Line refit(const Line& line) const {
        const Sums at = sums(line);
        const float determinant = sum_w * at.qq - at.q * at.q;
        if (determinant > 0) {
            const float s = (sum_w * at.xq - sum_x * at.q) / determinant;
            const float m = (s * at.q - sum_x) / sum_w;
            if (s > 0 && m >= 0) { return {s, m}; }
        }
        if (at.xq > 0) { return {at.xq / at.qq, 0}; }
        return {0, std::max(0.0f, -sum_x / sum_w)};
    }

    // The best minimum beside line.s for the codes that `line` gives.
    float refit_minimum(const Line& line) const {
        const float inverse_s = inverse(line.s);
        float wq[len];
        for (size_t i = 0; i < len; i++) { wq[i] = weight[i] * code(i, line, inverse_s); }
        return std::max(0.0f, (line.s * sum<len>(wq) - sum_x) / sum_w);
    }

    // The best line that is found, if it were kept exactly. A starting point's codes span `part` of the range.
    Line best(std::span<const float> parts) const {
        const auto [least_x, most_x] = std::minmax_element(x, x + len);
        const float low = std::min(0.0f, *least_x);
        const float range = std::max(0.0f, *most_x - low);
        Line found{0, -low};
        float least = error(found);
        for (const float part : parts) {
            Line line{part * range / float(top), std::max(0.0f, -(low + (1 - part) / 2 * range))};
            for (int turn = 0; turn < 2; turn++) { line = refit(line); }
            const float now = error(line);
            if (now < least) {
                least = now;
                found = line;
            }
        }
        return found;
    }
};

// The fewer codes, the more is gained by giving up the ends of the range.
constexpr float parts_of_3[] = {0.55f, 0.7f, 0.85f, 1.0f};
constexpr float parts_of_15[] = {0.75f, 0.8f, 0.84f, 0.88f, 0.92f, 0.96f, 1.0f};
constexpr float parts_of_31[] = {0.88f, 0.94f, 0.97f, 1.0f};

constexpr std::span<const float> parts_of(int top) {
    switch (top) {
        case 3: return parts_of_3;
        case 15: return parts_of_15;
        default: return parts_of_31;
    }
}

// Integers and super-scales of a whole block.
template <size_t len, int top, int top_scale>
class Search {
  public:
    static constexpr size_t n_groups = super_block / len;
    struct Pair {
        int scale = 0, minimum = 0;
    };
    struct State {
        uint16_t d = 0, m = 0;
        Pair pairs[n_groups] = {};
        float error = std::numeric_limits<float>::infinity();

        Line line(size_t g) const {
            return {base::f32_from_f16(d) * float(pairs[g].scale), base::f32_from_f16(m) * float(pairs[g].minimum)};
        }
    };

    explicit Search(const FitBlock& block) : block_(block) {}

    Group<len, top> group(size_t g) const { return {block_.x + g * len, block_.weight + g * len}; }

    // Its error stays infinite where no super-scale within f16's range is large enough.
    State run() const {
        Line wanted[n_groups];
        float largest_s = 0, largest_m = 0;
        for (size_t g = 0; g < n_groups; g++) {
            wanted[g] = group(g).best(parts_of(top));
            largest_s = std::max(largest_s, wanted[g].s);
            largest_m = std::max(largest_m, wanted[g].m);
        }
        State best;
        for (size_t start = 0; start < n_fit_starts; start++) {
            const uint16_t d = fit_start(largest_s / float(top_scale), start),
                           m = fit_start(largest_m / float(top_scale), start);
            const State state = improve(choose_all(d, m, wanted));
            if (state.error < best.error) { best = state; }
        }
        return best;
    }

  private:
    State improve(State state) const {
        if (is_infinite(state.d) || is_infinite(state.m)) { return state; }
        for (int turn = 0; turn < fit_turns; turn++) {
            const Line line = refit(state);
            if (!(line.s >= 0 && line.m >= 0)) { break; }
            Line near[n_groups];
            for (size_t g = 0; g < n_groups; g++) { near[g] = state.line(g); }
            const State next = choose_all(super_scale(line.s), super_scale(line.m), near);
            if (!(next.error < state.error)) { break; }
            state = next;
        }
        return state;
    }

    State choose_all(uint16_t d, uint16_t m, const Line* wanted) const {
        State state{d, m};
        if (is_infinite(d) || is_infinite(m)) { return state; }
        state.error = 0;
        for (size_t g = 0; g < n_groups; g++) {
            state.error += choose(group(g), base::f32_from_f16(d), base::f32_from_f16(m), wanted[g], state.pairs[g]);
        }
        return state;
    }

    static int held(float x) { return int(nearest_within(x, 0, top_scale)); }

    // The integers near `wanted` of the least error, which is returned.
    static float choose(const Group<len, top>& group, float d, float m, const Line& wanted, Pair& chosen) {
        float least = std::numeric_limits<float>::infinity();
        const int near = held(wanted.s * inverse(d));
        for (int scale = std::max(0, near - 1); scale <= std::min(top_scale, near + 1); scale++) {
            const float s = d * float(scale);
            const float exact = group.refit_minimum({s, wanted.m}) * inverse(m);
            const int nearest = held(exact);
            const int other = std::clamp(exact > float(nearest) ? nearest + 1 : nearest - 1, 0, top_scale);
            for (const int minimum : {nearest, other}) {
                const float now = group.error({s, m * float(minimum)});
                if (now < least) {
                    least = now;
                    chosen = {scale, minimum};
                }
            }
        }
        return least;
    }

    // The super-scales that suit the state's integers and codes best: x = d * a - m * b, a = scale * code, b = minimum.
    Line refit(const State& state) const {
        double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
        for (size_t g = 0; g < n_groups; g++) {
            const auto of_group = group(g);
            const auto at = of_group.sums(state.line(g));
            const double scale = state.pairs[g].scale, minimum = state.pairs[g].minimum;
            aa += scale * scale * double(at.qq);
            ab += scale * minimum * double(at.q);
            bb += minimum * minimum * double(of_group.sum_w);
            xa += scale * double(at.xq);
            xb += minimum * double(of_group.sum_x);
        }
        constexpr double parallel = 1e-9;
        const double determinant = aa * bb - ab * ab;
        if (determinant > parallel * aa * bb) {
            return {float((xa * bb - xb * ab) / determinant), float((xa * ab - xb * aa) / determinant)};
        }
        if (aa > 0) { return {float(xa / aa), 0}; }
        return {0, bb > 0 ? float(-xb / bb) : 0};
    }

    const FitBlock& block_;
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
    for (size_t g = 0; g < Integers::n_groups; g++) {
        fit.scales[g] = uint8_t(state.pairs[g].scale);
        fit.minima[g] = uint8_t(state.pairs[g].minimum);
        const Line line = state.line(g);
        const auto group = chosen.group(g);
        for (size_t i = 0; i < group_len; i++) {
            fit.codes[g * group_len + i] = uint8_t(group.code(i, line, inverse(line.s)));
        }
    }
    return fit;
}

template AffineFit fit_affine<16, 3, 15>(const float*, const float*);
template AffineFit fit_affine<32, 15, 63>(const float*, const float*);
template AffineFit fit_affine<32, 31, 63>(const float*, const float*);

}  // namespace wallaby::quant
