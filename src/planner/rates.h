// What a machine can do per second.
#pragma once
#include <algorithm>
#include <span>
#include <vector>

namespace wallaby::planner {

// By all threads, or by all of a device. 0: was not measured, or there is no such instruction. A multiply-add counts as
// two operations.
struct Rates {
    double read_bytes_per_s = 0;
    double int8_ops_per_s = 0, bf16_ops_per_s = 0, f32_ops_per_s = 0;

    bool operator==(const Rates&) const = default;
};

constexpr Rates average(const Rates& a, const Rates& b) {
    return {(a.read_bytes_per_s + b.read_bytes_per_s) / 2, (a.int8_ops_per_s + b.int8_ops_per_s) / 2,
            (a.bf16_ops_per_s + b.bf16_ops_per_s) / 2, (a.f32_ops_per_s + b.f32_ops_per_s) / 2};
}

// Of each, what a share of them is at most: 0.5 is the median. Zeros of none.
inline Rates quantile(std::span<const Rates> all, double share) {
    const auto of = [&](double Rates::*rate) {
        std::vector<double> values;
        for (const Rates& r : all) { values.push_back(r.*rate); }
        if (values.empty()) { return 0.0; }
        std::ranges::sort(values);
        const double place = share * double(values.size() - 1);
        const auto below = size_t(place);
        const double above = values[std::min(below + 1, values.size() - 1)];
        return values[below] + (place - double(below)) * (above - values[below]);
    };
    return {of(&Rates::read_bytes_per_s), of(&Rates::int8_ops_per_s), of(&Rates::bf16_ops_per_s),
            of(&Rates::f32_ops_per_s)};
}

}  // namespace wallaby::planner
