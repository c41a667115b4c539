// What a machine can do per second.
#pragma once
#include <algorithm>

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

// Of each, the higher.
constexpr Rates best(const Rates& a, const Rates& b) {
    return {std::max(a.read_bytes_per_s, b.read_bytes_per_s), std::max(a.int8_ops_per_s, b.int8_ops_per_s),
            std::max(a.bf16_ops_per_s, b.bf16_ops_per_s), std::max(a.f32_ops_per_s, b.f32_ops_per_s)};
}

}  // namespace wallaby::planner
