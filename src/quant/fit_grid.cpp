#include "quant/fit_grid.h"

#include <vector>

#include "quant/codebooks.h"
#include "quant/fit_parts.h"

namespace wallaby::quant {
namespace {

// Eight signs are free, or an even number of them is negative, or there are none and eight weights are moved together.
enum class Signs : uint8_t { free, even, none };

// A format's grid: its entries have `len` weights; groups of group_len weights have a scale d * unit * (2 * integer +
// 1); move_len weights are moved together. A group's scale is first looked for where the outermost level stands for
// `starts` times the root of the group's mean square.
template <Type type>
struct Book;

struct Iq1 {
    static constexpr size_t len = 8;
    static constexpr std::array<float, 2> moves = {0.125f, -0.125f};
    static constexpr const auto& halves = iq1_halves;
    static constexpr const auto& levels = iq1_levels;
    static constexpr auto signs = Signs::none;
    static constexpr float starts[] = {1.0f, 1.7f, 2.4f};
    static constexpr int n_integers = 8;
    static constexpr float unit = 1;
};
template <>
struct Book<Type::iq1_s> : Iq1 {
    static constexpr size_t group_len = 32, move_len = 32;
};
template <>
struct Book<Type::iq1_m> : Iq1 {
    static constexpr size_t group_len = 16, move_len = 8;
};

struct Iq2 {
    static constexpr float starts[] = {1.2f, 1.6f, 2.0f, 2.4f, 2.8f, 3.4f};
    static constexpr const auto& levels = iq2_levels;
    static constexpr size_t len = 8, move_len = 8;
    static constexpr std::array<float, 1> moves = {0};
    static constexpr int n_integers = 16;
    static constexpr float unit = 0.125f;
};
template <>
struct Book<Type::iq2_xxs> : Iq2 {
    static constexpr const auto& halves = iq2_xxs_halves;
    static constexpr auto signs = Signs::even;
    static constexpr size_t group_len = 32;
};
template <>
struct Book<Type::iq2_xs> : Iq2 {
    static constexpr const auto& halves = iq2_xs_halves;
    static constexpr auto signs = Signs::even;
    static constexpr size_t group_len = 16;
};
template <>
struct Book<Type::iq2_s> : Iq2 {
    static constexpr const auto& halves = iq2_s_halves;
    static constexpr auto signs = Signs::free;
    static constexpr size_t group_len = 16;
};

struct Iq3 {
    static constexpr size_t len = 4, group_len = 32, move_len = 4;
    static constexpr std::array<float, 1> moves = {0};
    static constexpr int n_integers = 16;
};
template <>
struct Book<Type::iq3_xxs> : Iq3 {
    static constexpr const auto& halves = iq3_xxs_halves;
    static constexpr const auto& levels = iq3_xxs_levels;
    static constexpr float starts[] = {1.2f, 1.6f, 2.0f, 2.4f, 2.8f, 3.4f};
    static constexpr auto signs = Signs::even;
    static constexpr float unit = 0.25f;
};
template <>
struct Book<Type::iq3_s> : Iq3 {
    static constexpr const auto& halves = iq3_s_halves;
    static constexpr const auto& levels = iq3_s_levels;
    static constexpr float starts[] = {1.2f, 1.6f, 2.0f, 2.4f, 2.8f, 3.4f, 15};  // the last for weights all alike
    static constexpr auto signs = Signs::free;
    static constexpr float unit = 1;
};

constexpr size_t power(size_t base, size_t exponent) { return exponent == 0 ? 1 : base * power(base, exponent - 1); }

// A cell is the weights of one entry. A string is the places of its weights' levels, as digits; halves of strings have
// numbers below n_halves.
template <const auto& levels, size_t cell_len>
struct Strings {
    static constexpr size_t n_levels = levels.size();
    static constexpr size_t half_len = cell_len / 2;
    static constexpr size_t n_halves = power(n_levels, half_len);
    using Half = std::array<float, half_len>;

    static constexpr std::array<Half, n_halves> halves = [] {
        std::array<Half, n_halves> found = {};
        for (size_t half = 0; half < n_halves; half++) {
            size_t digits = half;
            for (float& level : found[half]) {
                level = float(levels[digits % n_levels]);
                digits /= n_levels;
            }
        }
        return found;
    }();
};

// For every string, the entries nearest to it, nearest first: those worth trying for weights that round to it.
constexpr size_t n_near = 12;

template <const auto& entries, class S>
class Neighbours {
  public:
    static const Neighbours& get() {
        static const Neighbours made;  // 98 or 157 kB, made in a twentieth of a second when a format is first written
        return made;
    }

    const uint16_t* of(size_t string) const { return near_.data() + string * n_near; }

  private:
    Neighbours() : near_(S::n_halves * S::n_halves * n_near) {
        std::vector<uint32_t> ranks(entries.size());  // distance, then place
        for (size_t string = 0; string < S::n_halves * S::n_halves; string++) {
            const auto& first = S::halves[string % S::n_halves];
            const auto& second = S::halves[string / S::n_halves];
            uint32_t from_first[S::n_halves], from_second[S::n_halves];
            for (size_t half = 0; half < S::n_halves; half++) {
                from_first[half] = distance(first, S::halves[half]);
                from_second[half] = distance(second, S::halves[half]);
            }
            for (size_t i = 0; i < entries.size(); i++) {
                const uint32_t off = from_first[entries[i].first] + from_second[entries[i].second];
                ranks[i] = off * uint32_t(entries.size()) + uint32_t(i);
            }
            std::partial_sort(ranks.begin(), ranks.begin() + n_near, ranks.end());
            for (size_t k = 0; k < n_near; k++) { near_[string * n_near + k] = uint16_t(ranks[k] % entries.size()); }
        }
    }

    static uint32_t distance(const typename S::Half& a, const typename S::Half& b) {
        float off = 0;
        for (size_t i = 0; i < a.size(); i++) { off += (a[i] - b[i]) * (a[i] - b[i]); }
        return uint32_t(off);
    }

    std::vector<uint16_t> near_;
};

// Cells are worked on side by side, one to a lane.
constexpr size_t n_lanes = 16;

template <Type type>
class Cells {
  public:
    using B = Book<type>;
    static constexpr size_t len = B::len;
    using S = Strings<B::levels, len>;
    static constexpr size_t n_cells = super_block / len;
    static constexpr size_t n_groups = super_block / B::group_len;
    static constexpr size_t cells_of_group = B::group_len / len;
    static constexpr size_t cells_of_move = B::move_len / len;  // are moved up or down together

    struct Codes {
        uint16_t entry[n_cells];
        bool down[n_cells];
    };
    // By group: the error, and weighted sums of x * q and q * q of the codes q.
    struct Outcome {
        float error[n_groups], xq[n_groups], qq[n_groups];
    };

    // x: without the signs that are stored.
    explicit Cells(const FitBlock& block) : block_(block) {
        for (size_t i = 0; i < super_block; i++) {
            const size_t cell = i / len;
            x_[cell / n_lanes][i % len][cell % n_lanes] = block.x[i];
            weight_[cell / n_lanes][i % len][cell % n_lanes] = block.weight[i];
        }
    }

    // The codes of least error at the groups' scales.
    Outcome code(const float* scales, Codes& codes) const {
        constexpr size_t n_moves = B::moves.size();
        Best best[n_moves];
        for (size_t move = 0; move < n_moves; move++) {
            for (size_t first = 0; first < n_cells; first += n_lanes) {
                find(first, B::moves[move], scales, best[move]);
            }
        }
        for (size_t first = 0; first < n_cells; first += cells_of_move) {
            size_t chosen = 0;
            if constexpr (n_moves > 1) {
                float cost[n_moves] = {};
                for (size_t cell = first; cell < first + cells_of_move; cell++) {
                    for (size_t move = 0; move < n_moves; move++) { cost[move] += best[move].cost[cell]; }
                }
                chosen = cost[1] < cost[0] ? 1 : 0;
            }
            for (size_t cell = first; cell < first + cells_of_move; cell++) {
                codes.down[cell] = chosen == 1;
                codes.entry[cell] = best[chosen].entry[cell];
                best[0].cost[cell] = best[chosen].cost[cell];
            }
        }
        return outcome(codes, best[0].cost);
    }

  private:
    struct Best {
        float cost[n_cells];
        uint16_t entry[n_cells];
    };
    // What the strings of half a cell cost.
    using HalfCosts = float[S::n_halves][n_lanes];

    Outcome outcome(const Codes& codes, const float* cost) const {
        Outcome outcome;
        for (size_t g = 0; g < n_groups; g++) {
            float xq[B::group_len], qq[B::group_len];
            outcome.error[g] = 0;
            for (size_t k = 0; k < cells_of_group; k++) {
                const size_t cell = g * cells_of_group + k;
                outcome.error[g] += cost[cell];
                const Halves& entry = B::halves[codes.entry[cell]];
                const float move = B::moves[codes.down[cell] ? B::moves.size() - 1 : 0];
                for (size_t j = 0; j < len; j++) {
                    const auto& half = S::halves[j < len / 2 ? entry.first : entry.second];
                    const float q = half[j % (len / 2)] + move;
                    const size_t i = cell * len + j;
                    xq[k * len + j] = block_.weight[i] * q * block_.x[i];
                    qq[k * len + j] = block_.weight[i] * q * q;
                }
            }
            outcome.xq[g] = sum<B::group_len>(xq);
            outcome.qq[g] = sum<B::group_len>(qq);
        }
        return outcome;
    }

    // What n_lanes cells' weights cost at each level, and the strings they round to.
    struct Prices {
        float cost[len][S::n_levels][n_lanes];
        float string[n_lanes] = {};
    };

    void set_prices(size_t first_cell, float move, const float* scales, Prices& prices) const {
        float scale[n_lanes];
        for (size_t lane = 0; lane < n_lanes; lane++) { scale[lane] = scales[(first_cell + lane) / cells_of_group]; }
        float place = 1;
        for (size_t j = 0; j < len; j++) {
            const float* const x = x_[first_cell / n_lanes][j];
            const float* const weight = weight_[first_cell / n_lanes][j];
            for (size_t level = 0; level < S::n_levels; level++) {
                const float q = float(B::levels[level]) + move;
                for (size_t lane = 0; lane < n_lanes; lane++) {
                    const float off = x[lane] - scale[lane] * q;
                    prices.cost[j][level][lane] = weight[lane] * (off * off);
                }
                if (level == 0) { continue; }
                const float middle = float(B::levels[level] + B::levels[level - 1]) * 0.5f + move;
                for (size_t lane = 0; lane < n_lanes; lane++) {
                    prices.string[lane] += x[lane] > scale[lane] * middle ? place : 0.0f;
                }
            }
            place *= float(S::n_levels);
        }
    }

    void find(size_t first_cell, float move, const float* scales, Best& best) const {
        Prices prices;
        set_prices(first_cell, move, scales, prices);
        HalfCosts first, second;
        add_up(prices.cost, first);
        add_up(prices.cost + len / 2, second);
        for (size_t lane = 0; lane < n_lanes; lane++) {
            float least = std::numeric_limits<float>::infinity();
            const uint16_t* const near = near_.of(size_t(prices.string[lane]));
            uint32_t found = near[0];
            for (size_t k = 0; k < n_near; k++) {
                const Halves& entry = B::halves[near[k]];
                const float now = first[entry.first][lane] + second[entry.second][lane];
                found = now < least ? near[k] : found;
                least = now < least ? now : least;
            }
            best.cost[first_cell + lane] = least;
            best.entry[first_cell + lane] = uint16_t(found);
        }
    }

    static void add_up(const float (*cost)[S::n_levels][n_lanes], HalfCosts& half) {
        std::copy(cost[0][0], cost[0][0] + S::n_levels * n_lanes, half[0]);
        add<S::n_levels>(cost[1], half);
        if constexpr (len == 8) {
            add<S::n_levels * S::n_levels>(cost[2], half);
            add<S::n_levels * S::n_levels * S::n_levels>(cost[3], half);
        }
    }

    // One more weight, before which there are n strings.
    template <size_t n>
    static void add(const float (*cost)[n_lanes], HalfCosts& half) {
        for (size_t level = S::n_levels; level-- > 0;) {  // the lowest last: it takes the place of what is added to
            for (size_t i = 0; i < n; i++) {
                for (size_t lane = 0; lane < n_lanes; lane++) {
                    half[level * n + i][lane] = half[i][lane] + cost[level][lane];
                }
            }
        }
    }

    const FitBlock& block_;
    const Neighbours<B::halves, S>& near_ = Neighbours<B::halves, S>::get();
    float x_[n_cells / n_lanes][len][n_lanes];
    float weight_[n_cells / n_lanes][len][n_lanes];
};

// Integers and the super-scale of a whole block.
template <Type type>
class Search {
  public:
    using C = Cells<type>;
    using B = Book<type>;
    static constexpr size_t n_groups = C::n_groups;

    struct State {
        uint16_t d = 0;
        int integers[n_groups] = {};
        float xq[n_groups] = {}, qq[n_groups] = {};
        float error = std::numeric_limits<float>::infinity();

        void set_scales(float* scales) const {
            for (size_t g = 0; g < n_groups; g++) { scales[g] = scale_of(d, integers[g]); }
        }
    };

    explicit Search(const FitBlock& block) : block_(block), cells_(block) {}

    const C& cells() const { return cells_; }

    // Its error stays infinite where no super-scale within f16's range is large enough.
    State run() const {
        float wanted[n_groups];
        set_best(wanted);
        const float need = *std::max_element(wanted, wanted + n_groups) / (B::unit * float(2 * B::n_integers - 1));
        State best = choose_all(super_scale(need), wanted);
        if (is_infinite(best.d)) { return best; }
        for (int turn = 0; turn < fit_turns; turn++) {
            best.set_scales(wanted);
            const State next = choose_all(super_scale(refit(best)), wanted);
            if (!(next.error < best.error)) { break; }
            best = next;
        }
        State none;  // no level is 0: leaving small weights out can be the best
        none.error = error_of_zeros();
        return best.error < none.error ? best : none;
    }

  private:
    static float scale_of(uint16_t d, int integer) { return base::f32_from_f16(d) * B::unit * float(2 * integer + 1); }

    float error_of_zeros() const {
        float terms[super_block];
        for (size_t i = 0; i < super_block; i++) { terms[i] = block_.weight[i] * (block_.x[i] * block_.x[i]); }
        return sum<super_block>(terms);
    }

    // Root of the weighted mean square.
    float size_of(size_t g) const {
        const float* const x = block_.x + g * B::group_len;
        const float* const weight = block_.weight + g * B::group_len;
        float wxx[B::group_len], w[B::group_len];
        for (size_t i = 0; i < B::group_len; i++) {
            w[i] = weight[i];
            wxx[i] = weight[i] * (x[i] * x[i]);
        }
        return std::sqrt(sum<B::group_len>(wxx) / sum<B::group_len>(w));
    }

    // By group, the best scale that is found, if it were kept exactly. A starting point gives the outermost level to
    // weights so many times the group's size.
    void set_best(float* found) const {
        float size[n_groups], most[n_groups] = {};
        for (size_t g = 0; g < n_groups; g++) {
            size[g] = size_of(g);
            found[g] = 0;
        }
        for (const float start : B::starts) {
            float scales[n_groups];
            for (size_t g = 0; g < n_groups; g++) { scales[g] = start * size[g] / float(B::levels.back()); }
            typename C::Codes codes;
            const auto at = cells_.code(scales, codes);
            for (size_t g = 0; g < n_groups; g++) {
                const float refitted = at.xq[g] / at.qq[g];
                const float gain = at.xq[g] * refitted;  // by which the error falls from that of zeros
                if (at.xq[g] > 0 && gain > most[g]) {
                    most[g] = gain;
                    found[g] = refitted;
                }
            }
        }
    }

    // The integers near the wanted scales of the least error.
    State choose_all(uint16_t d, const float* wanted) const {
        State state{.d = d};
        if (is_infinite(d)) { return state; }
        const float inverse_unit = inverse(base::f32_from_f16(d) * B::unit);
        float least[n_groups];
        std::fill(least, least + n_groups, std::numeric_limits<float>::infinity());
        for (const float step : {-1.0f, 0.0f, 1.0f}) {
            State tried{.d = d};
            for (size_t g = 0; g < n_groups; g++) {
                const float near = (wanted[g] * inverse_unit - 1) / 2;
                tried.integers[g] = int(nearest_within(near + step, 0, B::n_integers - 1));
            }
            float scales[n_groups];
            tried.set_scales(scales);
            typename C::Codes codes;
            const auto at = cells_.code(scales, codes);
            for (size_t g = 0; g < n_groups; g++) {
                if (at.error[g] < least[g]) {
                    least[g] = at.error[g];
                    state.integers[g] = tried.integers[g];
                    state.xq[g] = at.xq[g];
                    state.qq[g] = at.qq[g];
                }
            }
        }
        state.error = 0;
        for (size_t g = 0; g < n_groups; g++) { state.error += least[g]; }
        return state;
    }

    // The super-scale that suits the state's integers and codes best.
    static float refit(const State& state) {
        double xa = 0, aa = 0;
        for (size_t g = 0; g < n_groups; g++) {
            const double a = double(B::unit) * (2 * state.integers[g] + 1);
            xa += a * double(state.xq[g]);
            aa += a * a * double(state.qq[g]);
        }
        return aa > 0 ? float(xa / aa) : 0;
    }

    const FitBlock& block_;
    C cells_;
};

// Makes the weights that are negative positive, except where an even number must be and is not: then the one stays
// negative whose other sign costs least.
template <Type type>
void strip_signs(FitBlock& block, GridFit& fit) {
    for (size_t first = 0; first < super_block; first += 8) {
        float* const x = block.x + first;
        const float* const weight = block.weight + first;
        uint32_t signs = 0;
        size_t least = 0;
        for (size_t j = 0; j < 8; j++) {
            signs |= uint32_t(x[j] < 0) << j;
            if (weight[j] * std::fabs(x[j]) < weight[least] * std::fabs(x[least])) { least = j; }
        }
        if (Book<type>::signs == Signs::even && std::popcount(signs) % 2 != 0) { signs ^= 1u << least; }
        for (size_t j = 0; j < 8; j++) { x[j] = (signs >> j & 1u) != 0 ? -x[j] : x[j]; }
        fit.signs[first / 8] = uint8_t(signs);
    }
}

}  // namespace

template <Type type>
GridFit fit_grid(const float* x, const float* importance) {
    using Scales = Search<type>;
    GridFit fit;
    const FitKind kind = fit_kind(x, super_block);
    fit.d = unfitted_scale(kind);
    if (kind != FitKind::ordinary) { return fit; }
    FitBlock block(x, importance, Book<type>::group_len);
    if (Book<type>::signs != Signs::none) { strip_signs<type>(block, fit); }
    const Scales search(block);
    const auto state = search.run();
    if (state.error == std::numeric_limits<float>::infinity()) {
        fit.d = unfitted_scale(FitKind::too_large);
        return fit;
    }
    fit.d = state.d;
    float scales[Scales::n_groups];
    state.set_scales(scales);
    for (size_t g = 0; g < Scales::n_groups; g++) { fit.scales[g] = uint8_t(state.integers[g]); }
    typename Scales::C::Codes codes;
    search.cells().code(scales, codes);
    std::copy(std::begin(codes.entry), std::end(codes.entry), fit.entries);
    for (size_t i = 0; i < 32; i++) { fit.down[i] = codes.down[i * (8 / Book<type>::len)]; }
    return fit;
}

template GridFit fit_grid<Type::iq1_s>(const float*, const float*);
template GridFit fit_grid<Type::iq1_m>(const float*, const float*);
template GridFit fit_grid<Type::iq2_xxs>(const float*, const float*);
template GridFit fit_grid<Type::iq2_xs>(const float*, const float*);
template GridFit fit_grid<Type::iq2_s>(const float*, const float*);
template GridFit fit_grid<Type::iq3_xxs>(const float*, const float*);
template GridFit fit_grid<Type::iq3_s>(const float*, const float*);

}  // namespace wallaby::quant
