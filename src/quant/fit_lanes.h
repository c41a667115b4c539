// Several groups of weights fitted at once, one to a lane: each lane's sums are a chain over its own weights, so that
// how many lanes a register has changes no bit.
#pragma once
#include <span>

#include "quant/codebooks.h"
#include "quant/fit_parts.h"

namespace wallaby::quant {

inline constexpr size_t n_lanes = 8;  // two registers of any processor: the additions of one hide the other's latency
using Register [[gnu::vector_size(16)]] = float;
using RegisterMask [[gnu::vector_size(16)]] = int32_t;

struct Mask {
    RegisterMask a, b;
};
inline Mask operator&(Mask x, Mask y) { return {x.a & y.a, x.b & y.b}; }

struct Lanes {
    Register a = {}, b = {};

    Lanes() = default;
    Lanes(Register of_a, Register of_b) : a(of_a), b(of_b) {}
    Lanes(float x) : a{x, x, x, x}, b(a) {}  // of every lane
    float operator[](size_t l) const { return l < 4 ? a[l] : b[l - 4]; }
    void set(size_t l, float x) {
        if (l < 4) {
            a[l] = x;
        } else {
            b[l - 4] = x;
        }
    }
};
inline Lanes operator+(Lanes x, Lanes y) { return {x.a + y.a, x.b + y.b}; }
inline Lanes operator-(Lanes x, Lanes y) { return {x.a - y.a, x.b - y.b}; }
inline Lanes operator*(Lanes x, Lanes y) { return {x.a * y.a, x.b * y.b}; }
inline Lanes operator/(Lanes x, Lanes y) { return {x.a / y.a, x.b / y.b}; }
inline Lanes operator-(Lanes x) { return {-x.a, -x.b}; }
inline Lanes& operator+=(Lanes& x, Lanes y) { return x = x + y; }
inline Mask operator<(Lanes x, Lanes y) { return {x.a < y.a, x.b < y.b}; }
inline Mask operator>(Lanes x, Lanes y) { return y < x; }
inline Mask operator>=(Lanes x, Lanes y) { return {x.a >= y.a, x.b >= y.b}; }
inline Mask operator!=(Lanes x, Lanes y) { return {x.a != y.a, x.b != y.b}; }

inline Lanes select(Mask mask, Lanes x, Lanes y) { return {mask.a ? x.a : y.a, mask.b ? x.b : y.b}; }
// y where either is NaN. Compilers may not make one instruction of the comparison and the choice, though x86 has it.
#ifdef __SSE__
inline Lanes min(Lanes x, Lanes y) { return {__builtin_ia32_minps(x.a, y.a), __builtin_ia32_minps(x.b, y.b)}; }
inline Lanes max(Lanes x, Lanes y) { return {__builtin_ia32_maxps(x.a, y.a), __builtin_ia32_maxps(x.b, y.b)}; }
#else
inline Lanes min(Lanes x, Lanes y) { return select(x < y, x, y); }
inline Lanes max(Lanes x, Lanes y) { return select(x > y, x, y); }
#endif
inline Lanes abs(Lanes x) { return max(x, -x); }
inline Lanes inverse(Lanes x) { return select(x != 0, 1 / x, 0); }

template <class F>
Lanes of_each(Lanes x, const F& f) {
    for (size_t l = 0; l < n_lanes; l++) { x.set(l, f(x[l])); }
    return x;
}

// To the nearest integer within [low, high], halves to even; both ends within 2^21 of 0.
inline Lanes nearest_within(Lanes x, int low, int high) {
    constexpr float unit_ulps = 0x1.8p23f;  // around it one unit in the last place is 1
    return (max(min(x, float(high)), float(low)) + unit_ulps) - unit_ulps;
}

// Lane l holds group l: x and weight have `len` floats of each, one group after another.
template <size_t len>
struct LaneGroups {
    Lanes x[len];
    Lanes weight[len];

    void set(const float* of_x, const float* of_weight) {
        for (size_t i = 0; i < len; i++) {
            for (size_t l = 0; l < n_lanes; l++) {
                x[i].set(l, of_x[l * len + i]);
                weight[i].set(l, of_weight[l * len + i]);
            }
        }
    }

    // The weight farthest from zero, with its sign; the first of several.
    Lanes farthest() const {
        Lanes found = {};
        for (const Lanes& at : x) { found = select(abs(at) > abs(found), at, found); }
        return found;
    }

    Lanes least() const {
        Lanes found = x[0];
        for (const Lanes& at : x) { found = min(at, found); }
        return found;
    }
    Lanes most() const {
        Lanes found = x[0];
        for (const Lanes& at : x) { found = max(at, found); }
        return found;
    }
};

// A super-block's groups in their order, and what each has of something.
template <size_t len>
struct LaneBlock {
    static constexpr size_t n_runs = super_block / len / n_lanes;
    using PerGroup = Lanes[n_runs];
    LaneGroups<len> runs[n_runs];

    explicit LaneBlock(const FitBlock& block) {
        for (size_t r = 0; r < n_runs; r++) {
            runs[r].set(block.x + r * n_lanes * len, block.weight + r * n_lanes * len);
        }
    }
};

// f of each lane, group after group.
template <size_t n_runs, class F>
void for_each_lane(const Lanes (&of_groups)[n_runs], const F& f) {
    for (const Lanes& run : of_groups) {
        for (size_t l = 0; l < n_lanes; l++) { f(run[l]); }
    }
}

// What codes stand for: levels. A search begins by giving the farthest weight of a group one of those that `outermost`
// lists; where levels reach further on one side, both sides are tried.

// Equal steps, by the highest of them.
inline constexpr float outermost_of_2[] = {2.6f, 2.2f, 1.8f, 1.4f, 1.0f, -0.7f, -1.0f, -1.3f, -1.6f};
inline constexpr float outermost_of_3[] = {-3.2f, 3.2f, -3.8f, 3.8f, -4.4f, 4.4f, -5.0f, 5.0f};
inline constexpr float outermost_of_7[] = {-8.6f, -8.2f, -7.8f, -7.4f, -7.0f, 6.4f, 6.8f, 7.2f, 7.6f};
inline constexpr float outermost_of_15[] = {-16.4f, -16.0f, -15.6f, -15.2f, 14.6f, 15.0f, 15.4f};
inline constexpr float outermost_of_31[] = {-30.8f, 30.8f, -31.2f, 31.2f, -31.6f, 31.6f, -32.0f, 32.0f, -32.4f, 32.4f};
template <int low, int high>
struct Steps {
    static constexpr bool has_zero = true;
    static Lanes nearest(Lanes x) { return nearest_within(x, low, high); }
    static constexpr std::span<const float> outermost() {
        switch (high) {
            case 2: return outermost_of_2;
            case 3: return outermost_of_3;
            case 7: return outermost_of_7;
            case 15: return outermost_of_15;
            default: return outermost_of_31;
        }
    }
};

// The sixteen uneven ones of IQ4_NL and IQ4_XS.
inline constexpr float outermost_of_iq4[] = {-132.0f, -127.0f, -122.0f, -116.0f, -110.0f,
                                             100.0f,  107.0f,  113.0f,  118.0f};
struct Iq4Levels {
    static constexpr bool has_zero = false;  // to leave a group's small weights out can be the best
    static Lanes nearest(Lanes x) {
        Lanes level = float(iq4_levels[0]);
        for (size_t j = 0; j + 1 < iq4_levels.size(); j++) {
            const float middle = float(iq4_levels[j] + iq4_levels[j + 1]) / 2;
            level += select(x > middle, float(iq4_levels[j + 1] - iq4_levels[j]), 0);
        }
        return level;
    }
    static constexpr std::span<const float> outermost() { return outermost_of_iq4; }
};

// Groups that are a scale times levels: x = s * q.
template <size_t len, class Levels>
struct ScaledLanes {
    const LaneGroups<len>& groups;

    Lanes level(size_t i, Lanes inverse_s) const { return Levels::nearest(groups.x[i] * inverse_s); }

    Lanes error(Lanes s) const {
        const Lanes inverse_s = inverse(s);
        Lanes sum = {};
        for (size_t i = 0; i < len; i++) {
            const Lanes off = groups.x[i] - s * level(i, inverse_s);
            sum += groups.weight[i] * (off * off);
        }
        return sum;
    }

    struct Sums {
        Lanes xq = {}, qq = {};  // weighted, of the levels q that a scale gives

        // The scale that suits these levels best; it lowers the error of zeros by itself times xq.
        Lanes refitted() const { return select(qq > 0, xq / qq, 0); }
    };
    Sums sums(Lanes s) const {
        const Lanes inverse_s = inverse(s);
        Sums at;
        for (size_t i = 0; i < len; i++) {
            const Lanes q = level(i, inverse_s);
            const Lanes wq = groups.weight[i] * q;
            at.xq += wq * groups.x[i];
            at.qq += wq * q;
        }
        return at;
    }

    // The scale that suits the levels best which s gives.
    Lanes refit(Lanes s) const { return sums(s).refitted(); }
};

// x = s * code - m
struct Lines {
    Lanes s = {}, m = {};
};

// Groups that are lines of codes 0..top. Minima below 0 are not kept by every format.
template <size_t len, int top, bool any_minimum = false>
struct LineLanes {
    const LaneGroups<len>* groups = nullptr;
    Lanes sum_w = {}, sum_x = {};  // weighted

    void set(const LaneGroups<len>& of_groups) {
        groups = &of_groups;
        for (size_t i = 0; i < len; i++) {
            sum_w += groups->weight[i];
            sum_x += groups->weight[i] * groups->x[i];
        }
    }

    Lanes code(size_t i, const Lines& lines, Lanes inverse_s) const {
        return nearest_within((groups->x[i] + lines.m) * inverse_s, 0, top);
    }

    Lanes error(const Lines& lines) const {
        const Lanes inverse_s = inverse(lines.s);
        Lanes sum;
        for (size_t i = 0; i < len; i++) {
            const Lanes off = groups->x[i] - (lines.s * code(i, lines, inverse_s) - lines.m);
            sum += groups->weight[i] * (off * off);
        }
        return sum;
    }

    struct Sums {
        Lanes q = {}, xq = {}, qq = {};  // weighted, of the codes q that lines give
    };
    Sums sums(const Lines& lines) const {
        const Lanes inverse_s = inverse(lines.s);
        Sums at;
        for (size_t i = 0; i < len; i++) {
            const Lanes q = code(i, lines, inverse_s);
            const Lanes wq = groups->weight[i] * q;
            at.q += wq;
            at.xq += wq * groups->x[i];
            at.qq += wq * q;
        }
        return at;
    }

    // The best lines for the codes that `lines` give, among those with s >= 0 and minima that are kept; and by how much
    // they lower the error of zeros.
    struct Refitted {
        Lines lines;
        Lanes gain;
    };
    Refitted refit(const Lines& lines) const {
        const Sums at = sums(lines);
        const Lanes determinant = sum_w * at.qq - at.q * at.q;
        const Lanes s = (sum_w * at.xq - sum_x * at.q) / determinant;
        const Lanes m = (s * at.q - sum_x) / sum_w;
        const Mask is_both = (determinant > 0) & (s > 0) & (m >= (any_minimum ? m : 0)), is_scale = at.xq > 0;
        const Lanes scale = select(is_scale, at.xq / at.qq, 0);
        const Lanes minimum = select(is_scale, 0, kept(-sum_x / sum_w));
        const Lines best = {select(is_both, s, scale), select(is_both, m, minimum)};
        return {best, best.s * at.xq - best.m * sum_x};
    }

    // The best minimum beside lines.s for the codes that `lines` give.
    Lanes refit_minimum(const Lines& lines) const {
        const Lanes inverse_s = inverse(lines.s);
        Lanes q = {};
        for (size_t i = 0; i < len; i++) { q += groups->weight[i] * code(i, lines, inverse_s); }
        return kept((lines.s * q - sum_x) / sum_w);
    }

    static Lanes kept(Lanes minimum) { return any_minimum ? minimum : max(minimum, 0); }
};

// Where a group's codes 0..top start: spanning `part` of its range, whose rest is left out above them, below, or both:
// `below` is its share below.
struct Start {
    float part, below;

    // Of groups of weights from `low` to low + range.
    Lines lines(Lanes low, Lanes range, int top) const {
        return {range * (part / float(top)), -(low + range * ((1 - part) * below))};
    }
};

// The fewer codes, the more is gained by giving up the ends of the range.
inline constexpr Start starts_of_3[] = {{0.55f, 0.5f}, {0.7f, 0},  {0.7f, 0.5f}, {0.7f, 1},
                                        {0.85f, 0},    {0.85f, 1}, {1, 0}};
inline constexpr Start starts_of_15[] = {{0.94f, 0}, {0.94f, 0.5f}, {0.94f, 1}, {1, 0},
                                         {1.07f, 0}, {1.07f, 0.5f}, {1.07f, 1}};
inline constexpr Start starts_of_31[] = {{0.97f, 0}, {0.97f, 0.5f}, {0.97f, 1}, {1, 0},
                                         {1.03f, 0}, {1.03f, 0.5f}, {1.03f, 1}};

constexpr std::span<const Start> starts_of(int top) {
    switch (top) {
        case 3: return starts_of_3;
        case 15: return starts_of_15;
        default: return starts_of_31;
    }
}

// Of each lane's candidates the one with the least error; the first of several.
struct Least {
    Lanes error;
    Lanes chosen = {};

    void offer(Lanes candidate, Lanes of_error) {
        chosen = select(of_error < error, candidate, chosen);
        error = min(of_error, error);
    }
};

}  // namespace wallaby::quant
