#include "planner/efficiency.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace wallaby::planner {
namespace {

using Chosen = std::vector<const Observation*>;

constexpr size_t enough_errors = 10;  // for the ends of an interval

std::string_view family_of(std::string_view tier) { return tier.substr(0, tier.find('-')); }

size_t n_machines(const Chosen& chosen) {
    std::set<std::string_view> names;
    for (const Observation* o : chosen) { names.insert(o->machine); }
    return names.size();
}

template <class Takes>
Chosen choose(const std::vector<Observation>& all, const Takes& takes) {
    Chosen out;
    for (const Observation& o : all) {
        if (takes(o)) { out.push_back(&o); }
    }
    return out;
}

// Solves for a = 1 / share and b = op_seconds with relative weights; of both or of one alone.
struct Solution {
    double a = 1, b = 0;
};
Solution solve(const Chosen& chosen, const std::vector<double>& weights, bool has_starts) {
    double xx = 0, xy = 0, yy = 0, x1 = 0, y1 = 0;
    for (size_t i = 0; i < chosen.size(); i++) {
        const double x = chosen[i]->ideal_seconds / chosen[i]->seconds, y = chosen[i]->n_ops / chosen[i]->seconds;
        xx += weights[i] * x * x;
        xy += weights[i] * x * y;
        yy += weights[i] * y * y;
        x1 += weights[i] * x;
        y1 += weights[i] * y;
    }
    const double determinant = xx * yy - xy * xy;
    if (has_starts && determinant > 1e-9 * xx * yy) {
        const Solution s{(x1 * yy - y1 * xy) / determinant, (y1 * xx - x1 * xy) / determinant};
        if (s.a >= 1 && s.b >= 0) { return s; }
        if (s.a < 1 && yy > 0) { return {1, std::max(0.0, (y1 - xy) / yy)}; }
    }
    return {xx > 0 ? std::max(1.0, x1 / xx) : 1, 0};
}

double log_error(const Efficiency& e, const Observation& o) {
    return std::log(o.seconds / e.seconds(o.ideal_seconds, o.n_ops));
}

// What the fit of the others says of each machine, by tier where it has three machines or more.
std::vector<double> errors_when_left_out(const Chosen& chosen, bool has_starts) {
    std::set<std::string_view> machines;
    for (const Observation* o : chosen) { machines.insert(o->machine); }
    std::vector<double> errors;
    for (const std::string_view machine : machines) {
        Chosen others;
        std::copy_if(chosen.begin(), chosen.end(), std::back_inserter(others),
                     [&](const Observation* o) { return o->machine != machine; });
        if (others.empty()) { continue; }
        const Efficiency e = fit(others, has_starts);
        for (const Observation* o : chosen) {
            if (o->machine == machine) { errors.push_back(log_error(e, *o)); }
        }
    }
    return errors;
}

// The ends that leave a tenth of n + 1 values outside on either side, so that few values give a wide interval.
Spread spread_of(std::vector<double> errors) {
    if (errors.empty()) { return {}; }
    std::ranges::sort(errors);
    const auto n = double(errors.size());
    const auto at = [&](double quantile) {
        const double place = std::clamp(quantile * (n + 1) - 1, 0.0, n - 1);
        const auto below = size_t(place);
        const double above = errors[std::min(below + 1, errors.size() - 1)];
        return errors[below] + (place - double(below)) * (above - errors[below]);
    };
    return {std::exp(at(0.1)), std::exp(at(0.9))};
}

}  // namespace

Efficiency fit(const Chosen& observations, bool has_starts) {
    if (observations.empty()) { return {}; }
    std::map<std::string_view, size_t> n_results;
    for (const Observation* o : observations) { n_results[o->machine]++; }
    std::vector<double> first;
    for (const Observation* o : observations) { first.push_back(1 / std::sqrt(double(n_results[o->machine]))); }
    std::vector<double> weights = first;
    Solution s;
    for (int round = 0; round < 30; round++) {  // reweighted least squares: absolute instead of squared errors
        s = solve(observations, weights, has_starts);
        for (size_t i = 0; i < observations.size(); i++) {
            const Observation& o = *observations[i];
            const double error = (s.a * o.ideal_seconds + s.b * o.n_ops) / o.seconds - 1;
            weights[i] = first[i] / std::max(std::abs(error), 0.01);
        }
    }
    return {1 / s.a, s.b};
}

Learnt learn(const std::vector<Observation>& all, std::string_view tier, bool is_prompt, std::string_view without) {
    const auto of = [&](auto name, std::string_view wanted) {
        return choose(all, [&](const Observation& o) {
            return o.is_prompt == is_prompt && o.machine != without && name(o.tier) == wanted;
        });
    };
    const auto itself = [](std::string_view t) { return t; };
    Learnt out;
    Chosen chosen = of(itself, tier);
    out.basis = tier;
    Chosen relatives = of(family_of, family_of(tier));
    if (n_machines(chosen) < 2) {
        chosen = relatives;
        out.basis = family_of(tier);
    }
    out.n_machines = n_machines(chosen);
    if (out.n_machines == 0) { return out; }
    const auto has_starts = [](std::string_view t) { return family_of(t) != "cpu" && family_of(t) != "board"; };
    out.efficiency = fit(chosen, has_starts(tier));
    // Few results say little of the spread: then it is the family's, or that of all, each against the rest of its tier.
    std::vector<double> errors = errors_when_left_out(chosen, has_starts(tier));
    const auto everybody =
        choose(all, [&](const Observation& o) { return o.is_prompt == is_prompt && o.machine != without; });
    for (const Chosen& wider : {relatives, everybody}) {
        if (errors.size() >= enough_errors) { break; }
        errors.clear();
        std::set<std::string_view> tiers;
        for (const Observation* o : wider) { tiers.insert(o->tier); }
        for (const std::string_view t : tiers) {
            const std::vector<double> more = errors_when_left_out(of(itself, t), has_starts(t));
            errors.insert(errors.end(), more.begin(), more.end());
        }
    }
    out.spread = spread_of(std::move(errors));
    return out;
}

}  // namespace wallaby::planner
