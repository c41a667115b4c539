// Size arithmetic on numbers that came from outside: overflow is a value, never a wrap.
#pragma once
#include <concepts>
#include <cstdint>
#include <optional>

namespace wallaby::base {

inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
    uint64_t r = 0;
    if (__builtin_add_overflow(a, b, &r)) { return std::nullopt; }
    return r;
}

inline std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
    uint64_t r = 0;
    if (__builtin_mul_overflow(a, b, &r)) { return std::nullopt; }
    return r;
}

// The smallest multiple of `unit` (a power of two) that is not below n.
inline std::optional<uint64_t> checked_align(uint64_t n, uint64_t unit) {
    auto sum = checked_add(n, unit - 1);
    if (!sum) { return std::nullopt; }
    return *sum & ~(unit - 1);
}

}  // namespace wallaby::base
