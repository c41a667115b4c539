#include "convert/allocate.h"

#include <algorithm>
#include <cmath>

namespace wallaby::convert {
namespace {

// Loss saved per byte on the way from one choice to a larger one.
double slope(const TypeChoice& from, const TypeChoice& to) {
    return (from.loss - to.loss) / double(to.n_bytes - from.n_bytes);
}

// The choices that are best at some price per byte: bytes rise, losses fall, and each step saves less per byte than the
// one before it.
std::vector<TypeChoice> lower_hull(std::vector<TypeChoice> choices) {
    std::ranges::stable_sort(choices, [](const TypeChoice& a, const TypeChoice& b) {
        return a.n_bytes != b.n_bytes ? a.n_bytes < b.n_bytes : a.loss < b.loss;
    });
    std::vector<TypeChoice> hull;
    for (const TypeChoice& choice : choices) {
        if (!hull.empty() && !(choice.loss < hull.back().loss)) { continue; }
        while (hull.size() >= 2 && slope(hull.back(), choice) >= slope(hull[hull.size() - 2], hull.back())) {
            hull.pop_back();
        }
        hull.push_back(choice);
    }
    return hull;
}

}  // namespace

Frontier::Frontier(std::span<const std::vector<TypeChoice>> choices) {
    for (size_t tensor = 0; tensor < choices.size(); tensor++) {
        const std::vector<TypeChoice> hull = lower_hull(choices[tensor]);
        smallest_.types.push_back(hull[0].type);
        smallest_.n_bytes += hull[0].n_bytes;
        smallest_.loss += hull[0].loss;
        least_loss_ += hull.back().loss;
        for (size_t i = 1; i < hull.size(); i++) {
            steps_.push_back(
                {tensor, hull[i].type, hull[i].n_bytes - hull[i - 1].n_bytes, hull[i - 1].loss - hull[i].loss});
        }
    }
    std::ranges::stable_sort(
        steps_, [](const Step& a, const Step& b) { return a.saved / double(a.n_bytes) > b.saved / double(b.n_bytes); });
}

void Frontier::take(const Step& step, Allocation& at) const {
    at.types[step.tensor] = step.type;
    at.n_bytes += step.n_bytes;
    at.loss = std::max(0.0, at.loss - step.saved);
}

std::optional<Allocation> Frontier::within_bytes(uint64_t n_bytes) const {
    if (smallest_.n_bytes > n_bytes) { return std::nullopt; }
    Allocation at = smallest_;
    std::vector<bool> is_at_end(at.types.size());  // a step that does not fit ends its tensor's
    for (const Step& step : steps_) {
        if (is_at_end[step.tensor]) { continue; }
        if (step.n_bytes <= n_bytes - at.n_bytes) {
            take(step, at);
        } else {
            is_at_end[step.tensor] = true;
        }
    }
    return at;
}

std::optional<Allocation> Frontier::within_loss(double loss) const {
    Allocation at = smallest_;
    for (const Step& step : steps_) {
        if (at.loss <= loss) { break; }
        take(step, at);
    }
    if (!(at.loss <= loss || least_loss_ <= loss)) { return std::nullopt; }
    return at;
}

Result<std::optional<Allocation>> smallest_within(const Frontier& frontier, double wanted, const MeasureLoss& measure) {
    constexpr int max_measurements = 16;
    constexpr double close_enough = 0.005;  // of the bytes
    std::optional<Allocation> good;         // the smallest that is known to lose little enough
    std::optional<Allocation> bad;          // the largest that is known to lose too much
    double next = std::clamp(wanted, frontier.least_loss(), frontier.smallest().loss);
    for (int i = 0; i < max_measurements; i++) {
        const std::optional<Allocation> at = frontier.within_loss(next);
        if (!at || (good && at->n_bytes >= good->n_bytes) || (bad && at->n_bytes <= bad->n_bytes)) { break; }
        WALLABY_TRY(const double measured, measure(*at));
        (measured <= wanted ? good : bad) = at;
        if (!bad && at->n_bytes == frontier.smallest().n_bytes) { break; }
        if (good && bad && double(good->n_bytes - bad->n_bytes) <= close_enough * double(good->n_bytes)) { break; }
        // In proportion; where that leads out of what is known to enclose the answer, halfway between, by ratio.
        next = at->loss * (measured > 0 ? wanted / measured : 2);
        if (bad && next >= bad->loss) { next = good ? std::sqrt(good->loss * bad->loss) : bad->loss / 2; }
        if (good && next <= good->loss) { next = bad ? std::sqrt(good->loss * bad->loss) : good->loss * 2; }
        next = std::clamp(next, frontier.least_loss(), frontier.smallest().loss);
    }
    if (!good && (!bad || bad->loss > frontier.least_loss())) {
        const std::optional<Allocation> largest = frontier.within_loss(frontier.least_loss());
        WALLABY_TRY(const double measured, measure(*largest));
        if (measured <= wanted) { good = largest; }
    }
    return good;
}

}  // namespace wallaby::convert
