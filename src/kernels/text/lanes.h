// Sixteen lanes, as every instruction set spells them, on top of lanes_whole.h or lanes_parts.h. What operators cannot
// say (fma, square root, rounding, half precision, int8 dot products) comes from simd/<isa>.h, which includes one of
// the two.
#pragma once

namespace wallaby::kernels {
namespace {

WALLABY_KERNEL F32 load(const float* p) { return load_any<F32>(p); }
WALLABY_KERNEL void store(float* p, const F32& x) { store_any(p, x); }
// 64 bytes as sixteen dwords.
WALLABY_KERNEL I32 load_dwords(const void* p) { return load_any<I32>(p); }
WALLABY_KERNEL void store_dwords(void* p, const I32& x) { store_any(p, x); }

WALLABY_KERNEL F32 splat_f32(const void* p) {
    float x;
    std::memcpy(&x, p, sizeof(x));
    return splat(x);
}
// Four bytes, in every lane.
WALLABY_KERNEL I32 splat_dword(const void* p) {
    int32_t x;
    std::memcpy(&x, p, sizeof(x));
    return splat(x);
}

// Where sums of integer products begin: the bits of 1.5 * 2^23. A sum n below 2^22 that began here is, read as a
// float32, that number plus n, so that no conversion is needed (SumFactor, of the instruction set).
inline constexpr int32_t sum_zero = 0x4b400000;
inline constexpr float sum_zero_f32 = 0x1.8p23f;

// The first n lanes, n <= 16; the others are +0.
WALLABY_KERNEL F32 load_first(const float* p, uint32_t n) {
    if (n >= uint32_t(n_lanes)) { return load(p); }
    float lanes[n_lanes] = {};
    for (uint32_t i = 0; i < n; i++) { lanes[i] = p[i]; }
    return load(lanes);
}
WALLABY_KERNEL void store_first(float* p, F32 x, uint32_t n) {
    if (n >= uint32_t(n_lanes)) { return store(p, x); }
    float lanes[n_lanes];
    store(lanes, x);
    for (uint32_t i = 0; i < n; i++) { p[i] = lanes[i]; }
}

// The first n lanes of x; the others are +0.
WALLABY_KERNEL F32 keep_first(const F32& x, uint32_t n) { return select(lane_numbers() < splat(int32_t(n)), x, F32{}); }

WALLABY_KERNEL I32 bits_of(const F32& x) { return as<I32>(x); }
WALLABY_KERNEL F32 from_bits(const I32& x) { return as<F32>(x); }
WALLABY_KERNEL I32 shift_right(const I32& x, int n) { return as<I32>(as<U32>(x) >> uint32_t(n)); }
WALLABY_KERNEL I32 shift_left(const I32& x, int n) { return as<I32>(as<U32>(x) << uint32_t(n)); }
WALLABY_KERNEL F32 max(const F32& a, const F32& b) { return select(a > b, a, b); }
WALLABY_KERNEL F32 min(const F32& a, const F32& b) { return select(a < b, a, b); }
WALLABY_KERNEL I32 max(const I32& a, const I32& b) { return select(a > b, a, b); }
WALLABY_KERNEL F32 abs(const F32& x) { return from_bits(bits_of(x) & 0x7fffffff); }

template <class Vector>
WALLABY_KERNEL auto sum(const Vector& x) {
    return join(x, [](auto a, auto b) WALLABY_INLINE { return a + b; });
}
template <class Vector>
WALLABY_KERNEL auto largest(const Vector& x) {
    return join(x, [](auto a, auto b) WALLABY_INLINE { return a > b ? a : b; });
}
WALLABY_KERNEL I32 largest_of_each(I32 (&x)[n_lanes]) {
    return join_each(x, [](auto a, auto b) WALLABY_INLINE { return a > b ? a : b; });
}
WALLABY_KERNEL I32 sum_of_each(I32 (&x)[n_lanes]) {
    return join_each(x, [](auto a, auto b) WALLABY_INLINE { return a + b; });
}

}  // namespace
}  // namespace wallaby::kernels
