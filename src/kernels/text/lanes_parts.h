// A vector of sixteen lanes in registers of register_bytes, 16 or 32, which the instruction set's header has said
// before: vector types of the compiler side by side. lanes_whole.h says the same for registers of 64 bytes. (g++ 12
// would also take a vector type of 64 bytes here, but keeps it in memory.)
#pragma once
#include "kernels/text/lanes_common.h"

namespace wallaby::kernels {
namespace {

inline constexpr int n_parts = 64 / register_bytes;

template <class T>
struct Lanes {
    using Part [[gnu::vector_size(register_bytes)]] = T;
    static constexpr int n = register_bytes / int(sizeof(T));  // in a part
    Part p[n_parts];
};
using F32 = Lanes<float>;
using I32 = Lanes<int32_t>;
using U32 = Lanes<uint32_t>;
using I16 = Lanes<int16_t>;
using U16 = Lanes<uint16_t>;
using Bytes = Lanes<int8_t>;
using I64 = Lanes<int64_t>;

// f of each part's number.
template <class T, class F>
WALLABY_KERNEL Lanes<T> each(const F& f) {
    Lanes<T> y;
    WALLABY_UNROLL
    for (int r = 0; r < n_parts; r++) { y.p[r] = f(r); }
    return y;
}

// Part by part: a vector that is copied whole stays in memory.
template <class Vector>
WALLABY_KERNEL Vector load_any(const void* p) {
    Vector x;
    WALLABY_UNROLL
    for (int r = 0; r < n_parts; r++) {
        std::memcpy(&x.p[r], static_cast<const uint8_t*>(p) + r * register_bytes, register_bytes);
    }
    return x;
}
template <class Vector>
WALLABY_KERNEL void store_any(void* p, const Vector& x) {
    WALLABY_UNROLL
    for (int r = 0; r < n_parts; r++) {
        std::memcpy(static_cast<uint8_t*>(p) + r * register_bytes, &x.p[r], register_bytes);
    }
}

#define WALLABY_OPERATOR(op, result)                                                         \
    template <class T>                                                                       \
    WALLABY_KERNEL Lanes<result> operator op(const Lanes<T>& a, const Lanes<T>& b) {         \
        return each<result>([&](int r) WALLABY_INLINE { return a.p[r] op b.p[r]; });         \
    }                                                                                        \
    template <class T>                                                                       \
    WALLABY_KERNEL Lanes<result> operator op(const Lanes<T>& a, std::type_identity_t<T> b) { \
        return each<result>([&](int r) WALLABY_INLINE { return a.p[r] op b; });              \
    }                                                                                        \
    template <class T>                                                                       \
    WALLABY_KERNEL Lanes<result> operator op(std::type_identity_t<T> a, const Lanes<T>& b) { \
        return each<result>([&](int r) WALLABY_INLINE { return a op b.p[r]; });              \
    }
WALLABY_OPERATOR(+, T)
WALLABY_OPERATOR(-, T)
WALLABY_OPERATOR(*, T)
WALLABY_OPERATOR(/, T)
WALLABY_OPERATOR(&, T)
WALLABY_OPERATOR(|, T)
WALLABY_OPERATOR(^, T)
WALLABY_OPERATOR(<, int32_t)
WALLABY_OPERATOR(>, int32_t)
WALLABY_OPERATOR(<=, int32_t)
WALLABY_OPERATOR(>=, int32_t)
WALLABY_OPERATOR(==, int32_t)
#undef WALLABY_OPERATOR
template <class T>
WALLABY_KERNEL Lanes<T> operator<<(const Lanes<T>& x, int n) {
    return each<T>([&](int r) WALLABY_INLINE { return x.p[r] << T(n); });
}
template <class T>
WALLABY_KERNEL Lanes<T> operator>>(const Lanes<T>& x, int n) {
    return each<T>([&](int r) WALLABY_INLINE { return x.p[r] >> T(n); });
}
template <class T>
WALLABY_KERNEL Lanes<T> operator-(const Lanes<T>& x) {
    return each<T>([&](int r) WALLABY_INLINE { return -x.p[r]; });
}
template <class T, class Other>
WALLABY_KERNEL Lanes<T>& operator+=(Lanes<T>& a, const Other& b) {
    return a = a + b;
}
template <class T, class Other>
WALLABY_KERNEL Lanes<T>& operator|=(Lanes<T>& a, const Other& b) {
    return a = a | b;
}
template <class T, class Other>
WALLABY_KERNEL Lanes<T>& operator^=(Lanes<T>& a, const Other& b) {
    return a = a ^ b;
}

template <class To, class T>
WALLABY_KERNEL To as(const Lanes<T>& x) {
    To y;
    WALLABY_UNROLL
    for (int r = 0; r < n_parts; r++) { y.p[r] = reinterpret_cast<typename To::Part>(x.p[r]); }
    return y;
}
template <class T>
WALLABY_KERNEL Lanes<T> select(const I32& mask, const Lanes<T>& a, const Lanes<T>& b) {
    return each<T>([&](int r) WALLABY_INLINE { return mask.p[r] ? a.p[r] : b.p[r]; });
}
template <class T>
WALLABY_KERNEL T lane(const Lanes<T>& x, int i) {
    return x.p[i / Lanes<T>::n][i % Lanes<T>::n];
}

// Parts of 2, 4 or 8 numbers; templates, because only one of them is valid. f(i) is number i.
template <class Vector, class F>
WALLABY_KERNEL typename Vector::Part part_from(const F& f) {
    using Part = typename Vector::Part;
    if constexpr (Vector::n == 2) {
        return Part{f(0), f(1)};
    } else if constexpr (Vector::n == 4) {
        return Part{f(0), f(1), f(2), f(3)};
    } else {
        return Part{f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7)};
    }
}
// Numbers first, first + 2 and so on of two parts.
template <int first, class Part>
WALLABY_KERNEL Part part_of_every_other(Part x, Part y) {
    if constexpr (sizeof(Part) == 16) {
        return __builtin_shufflevector(x, y, first, first + 2, first + 4, first + 6);
    } else {
        return __builtin_shufflevector(x, y, first, first + 2, first + 4, first + 6, first + 8, first + 10, first + 12,
                                       first + 14);
    }
}
// Numbers of two parts in turn: of their first halves, or of their second ones.
template <class Part>
WALLABY_KERNEL Part part_of_turns(Part x, Part y, bool is_second) {
    if constexpr (sizeof(Part) == 16) {
        return is_second ? __builtin_shufflevector(x, y, 2, 6, 3, 7) : __builtin_shufflevector(x, y, 0, 4, 1, 5);
    } else {
        return is_second ? __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15)
                         : __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11);
    }
}

// Lane i is f(i).
template <class Vector, class F>
WALLABY_KERNEL Vector from_each(const F& f) {
    Vector y;
    WALLABY_UNROLL
    for (int r = 0; r < n_parts; r++) {
        y.p[r] = part_from<Vector>([&](int i) WALLABY_INLINE { return f(Vector::n * r + i); });
    }
    return y;
}
WALLABY_KERNEL F32 splat(float x) {
    return from_each<F32>([=](int) WALLABY_INLINE { return x; });
}
WALLABY_KERNEL I32 splat(int32_t x) {
    return from_each<I32>([=](int) WALLABY_INLINE { return x; });
}
WALLABY_KERNEL I32 lane_numbers() {
    return from_each<I32>([](int i) WALLABY_INLINE { return i; });
}
WALLABY_KERNEL F32 to_f32(const I32& x) {
    return each<float>([&](int r) WALLABY_INLINE { return __builtin_convertvector(x.p[r], F32::Part); });
}
WALLABY_KERNEL I32 truncated(const F32& x) {
    return each<int32_t>([&](int r) WALLABY_INLINE { return __builtin_convertvector(x.p[r], I32::Part); });
}

// Lanes N apart within a part.
template <int N, class Part>
WALLABY_KERNEL Part rotate(Part x) {
    if constexpr (sizeof(Part) == 16) {
        return __builtin_shufflevector(x, x, (0 + N) % 4, (1 + N) % 4, (2 + N) % 4, (3 + N) % 4);
    } else {
        return __builtin_shufflevector(x, x, (0 + N) % 8, (1 + N) % 8, (2 + N) % 8, (3 + N) % 8, (4 + N) % 8,
                                       (5 + N) % 8, (6 + N) % 8, (7 + N) % 8);
    }
}
template <class T, class Join>
WALLABY_KERNEL T join(const Lanes<T>& x, const Join& f) {
    typename Lanes<T>::Part y;
    if constexpr (n_parts == 4) {
        y = f(f(x.p[0], x.p[2]), f(x.p[1], x.p[3]));
    } else {
        y = f(x.p[0], x.p[1]);
        y = f(y, rotate<4>(y));
    }
    y = f(y, rotate<2>(y));
    y = f(y, rotate<1>(y));
    return y[0];
}
template <class Join>
WALLABY_KERNEL I32 join_each(I32 (&x)[n_lanes], const Join& f) {
    int32_t lanes[n_lanes];
    WALLABY_UNROLL
    for (int i = 0; i < n_lanes; i++) { lanes[i] = join(x[i], f); }
    return load_any<I32>(lanes);
}

// The r-th part of thirty-two numbers.
WALLABY_KERNEL F32::Part part_of(const F32& a, const F32& b, int r) { return r < n_parts ? a.p[r] : b.p[r - n_parts]; }
template <int first>
WALLABY_KERNEL F32 every_other(const F32& a, const F32& b) {
    return each<float>([&](int r) WALLABY_INLINE {
        return part_of_every_other<first>(part_of(a, b, 2 * r), part_of(a, b, 2 * r + 1));
    });
}
WALLABY_KERNEL F32 evens(const F32& a, const F32& b) { return every_other<0>(a, b); }
WALLABY_KERNEL F32 odds(const F32& a, const F32& b) { return every_other<1>(a, b); }
template <int half>
WALLABY_KERNEL F32 turns(const F32& a, const F32& b) {
    return each<float>([&](int r) WALLABY_INLINE {
        const int from = (r + half * n_parts) / 2;
        return part_of_turns(a.p[from], b.p[from], r % 2 != 0);
    });
}
WALLABY_KERNEL F32 first_half_of_turns(const F32& a, const F32& b) { return turns<0>(a, b); }
WALLABY_KERNEL F32 second_half_of_turns(const F32& a, const F32& b) { return turns<1>(a, b); }

// The lanes as numbers in memory, and really there: g++ would else take each out of the register, at twice the cost.
struct Indices {
    uint32_t at[n_lanes];
    WALLABY_KERNEL explicit Indices(const I32& lanes) {
        store_any(at, lanes);
        asm("" : "+m"(at));
    }
};
template <class T>
WALLABY_KERNEL T entry_of(const void* table, uint32_t i) {
    T x;
    std::memcpy(&x, static_cast<const uint8_t*>(table) + sizeof(T) * i, sizeof(T));
    return x;
}
// The entries of 4 bytes that the lanes name, and of 8 bytes, whose first and last four are vectors. Loaded one by one:
// gathers are microcode where the processor is guarded against their leaks (Downfall), and slow on many others.
WALLABY_KERNEL I32 load_fours(const void* table, const I32& entry) {
    const Indices indices(entry);
    return from_each<I32>([&](int i) WALLABY_INLINE { return entry_of<int32_t>(table, indices.at[i]); });
}
WALLABY_KERNEL void load_eights(const void* table, const I32& entry, I32& first, I32& second) {
    const Indices indices(entry);
    const auto from = [&](int first_lane) WALLABY_INLINE {
        return as<F32>(
            from_each<I64>([&](int i) WALLABY_INLINE { return entry_of<int64_t>(table, indices.at[first_lane + i]); }));
    };
    const F32 low = from(0), high = from(8);
    first = as<I32>(evens(low, high));
    second = as<I32>(odds(low, high));
}

}  // namespace
}  // namespace wallaby::kernels

#include "kernels/text/lanes.h"
