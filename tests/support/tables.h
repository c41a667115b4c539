// The kernels that this machine can run, and comparison of their bits.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "kernels/kernels.h"
#include "sampling/random.h"

namespace wallaby::testing {

// Portable first.
inline std::vector<const kernels::Table*> usable_tables() {
    std::vector<const kernels::Table*> tables;
    for (const kernels::Table& t : kernels::tables()) {
        if (!t.isa.by_name_only && kernels::lacking(t.isa, base::cpu_features()).empty()) { tables.push_back(&t); }
    }
    std::ranges::reverse(tables);
    return tables;
}

// A test that compares instruction sets begins with this.
#define SKIP_WHERE_ALL_IS_PORTABLE()                                                        \
    if (wallaby::testing::usable_tables().size() < 2) {                                     \
        GTEST_SKIP() << "this CPU runs the portable kernels only: nothing to compare with"; \
    }

// NaN is NaN, whatever its payload: a non-finite logit is an error, not a number.
inline bool same_bits(float a, float b) {
    return (std::isnan(a) && std::isnan(b)) || std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}
// Where two rows differ first; -1: nowhere.
inline int64_t first_difference(std::span<const float> a, std::span<const float> b) {
    if (a.size() != b.size()) { return 0; }
    for (size_t i = 0; i < a.size(); i++) {
        if (!same_bits(a[i], b[i])) { return int64_t(i); }
    }
    return -1;
}

inline float between(sampling::Random& random, float low, float high) {
    return float(low + (double(high) - low) * random.uniform());
}
inline std::vector<float> numbers(sampling::Random& random, size_t n, float magnitude = 1) {
    std::vector<float> x(n);
    for (float& v : x) { v = between(random, -magnitude, magnitude); }
    return x;
}

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
// Zeros, denormals, borders of exp, extremes, infinities and NaN.
inline std::vector<float> special_numbers() {
    std::vector<float> x{0,           -0.0f,    0x1p-149f, -0x1p-149f, 0x1p-126f, -0x1p-126f, 1e-30f,      -1e-30f,
                         0x1p-25f,    1,        -1,        0.5f,       -0.5f,     88.72283f,  88.722847f,  -87.33654f,
                         -87.336555f, -103.97f, 89,        -89,        1e5f,      -1e5f,      1e20f,       -1e20f,
                         3.4e38f,     -3.4e38f, 9.01f,     -9.03f,     infinity,  -infinity,  not_a_number};
    return x;
}

// Sizes about the width of a vector, of four vectors, primes, and a long one.
inline const std::vector<uint32_t> row_sizes{1, 2, 7, 15, 16, 17, 31, 63, 64, 65, 97, 127, 128, 251, 4096, 4099};

}  // namespace wallaby::testing
