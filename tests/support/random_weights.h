// Weights of several kinds for tests of encoders, the same on every machine.
#pragma once
#include <array>
#include <cmath>
#include <numbers>
#include <string_view>
#include <vector>

#include "base/math.h"
#include "sampling/random.h"

namespace wallaby::testing {

constexpr std::array<std::string_view, 5> weight_kinds = {"normal", "uniform", "heavy-tailed", "outliers", "offset"};

// heavy-tailed: Student's t with 3 degrees of freedom; outliers: one normal weight in 100 is 12 times as large;
// offset: around 1, with a standard deviation of 0.3. The others have scales near those of real weights.
inline std::vector<float> random_weights(std::string_view kind, size_t n, uint64_t seed) {
    sampling::Random random(seed);
    const auto normal = [&] {  // Box and Muller's
        const double radius = std::sqrt(-2 * base::log(1 - random.uniform()));
        return radius * base::cos(2 * std::numbers::pi * random.uniform());
    };
    std::vector<float> weights(n);
    for (float& w : weights) {
        if (kind == "normal") { w = float(0.02 * normal()); }
        if (kind == "uniform") { w = float(0.1 * (2 * random.uniform() - 1)); }
        if (kind == "heavy-tailed") {
            const double a = normal(), b = normal(), c = normal();
            w = float(0.02 * normal() / std::sqrt((a * a + b * b + c * c) / 3));
        }
        if (kind == "outliers") { w = float((random.uniform() < 0.01 ? 12 : 1) * 0.02 * normal()); }
        if (kind == "offset") { w = float(1 + 0.3 * normal()); }
    }
    return weights;
}

}  // namespace wallaby::testing
