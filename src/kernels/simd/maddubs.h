// Products of unsigned codes and signed bytes where the processor has no more than pmaddubsw, whose 16-bit sums of two
// saturate. Included by headers that say what a register is. So many products are added in 16 bits as codes allow
// (code_class); codes beyond 127 are taken as two times four bits, which panels hold apart.
#pragma once

namespace wallaby::kernels {
namespace {

// Formats whose largest codes are of one class share the code for many columns.
constexpr int code_class(int max_code) {
    return max_code <= 15 ? 15 : (max_code <= 63 ? 63 : (max_code <= 127 ? 127 : 255));
}
// How many sums of two products fit 16 bits together.
constexpr int sums_that_fit(int max_code) { return 32767 / (2 * 127 * code_class(max_code)); }

// dots [n] += the products of N codes in each lane, N / 4 vectors that weight(i, r) gives the registers of, and the
// signed ones of n columns, `stride` apart; all times `factor`.
template <int N, int max_code, int n, class Weight>
WALLABY_KERNEL void add_small_products(const Weight& weight, const int8_t* shared, int stride, int16_t factor,
                                       Register (&dots)[n][n_registers]) {
    constexpr int n_vectors = N / 4, fits = sums_that_fit(max_code), together = fits < n_vectors ? fits : n_vectors;
    static_assert(n_vectors % together == 0);
    const Register factors = splat_words(factor);
    WALLABY_UNROLL
    for (int first = 0; first < n_vectors; first += together) {
        Register words[n][n_registers];
        WALLABY_UNROLL
        for (int i = 0; i < together; i++) {
            Register w[n_registers];
            WALLABY_UNROLL
            for (int r = 0; r < n_registers; r++) { w[r] = weight(first + i, r); }
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) {
                const Register x = splat_register(shared + stride * c + 4 * (first + i));
                WALLABY_UNROLL
                for (int r = 0; r < n_registers; r++) {
                    const Register product = multiply_bytes(w[r], x);
                    words[c][r] = i == 0 ? product : add_words(words[c][r], product);
                }
            }
        }
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) {
            WALLABY_UNROLL
            for (int r = 0; r < n_registers; r++) {
                dots[c][r] = add_dwords(dots[c][r], multiply_words(words[c][r], factors));
            }
        }
    }
}
// The same for codes of any size; `high` gives the high halves of those beyond 127, whose low ones `low` gives then.
template <int N, int max_code, int n, class Low, class High>
WALLABY_KERNEL void add_products(const Low& low, const High& high, const int8_t* shared, int stride, I32* dots) {
    Register sums[n][n_registers];
    WALLABY_UNROLL
    for (int c = 0; c < n; c++) {
        WALLABY_UNROLL
        for (int r = 0; r < n_registers; r++) { sums[c][r] = part(dots[c], r); }
    }
    if constexpr (code_class(max_code) < 255) {
        add_small_products<N, max_code, n>(low, shared, stride, 1, sums);
    } else {
        add_small_products<N, 15, n>(low, shared, stride, 1, sums);
        add_small_products<N, 15, n>(high, shared, stride, 16, sums);
    }
    WALLABY_UNROLL
    for (int c = 0; c < n; c++) { dots[c] = joined(sums[c]); }
}

// As avx512vnni.h says it.
template <int N, int max_code>
WALLABY_KERNEL I32 dot_group(I32 start, const I32* codes, const int8_t* shared) {
    constexpr bool has_halves = code_class(max_code) == 255;
    I32 dot = start;
    const auto low = [codes](int i, int r) WALLABY_INLINE {
        const Register all = part(codes[i], r);
        return has_halves ? low_nibbles(all) : all;
    };
    const auto high = [codes](int i, int r) WALLABY_INLINE { return low_nibbles(shift_words(part(codes[i], r), 4)); };
    add_products<N, max_code, 1>(low, high, shared, 0, &dot);
    return dot;
}
template <int N, int max_code, int T, int n>
WALLABY_KERNEL void add_dot_groups(const uint8_t* const* codes, const int8_t* shared, int stride, I32* dots) {
    WALLABY_UNROLL
    for (int t = 0; t < T; t++) {
        const auto at = [p = codes[t]](int i, int r)
                            WALLABY_INLINE { return load_register(p + 64 * i + 64 / n_registers * r); };
        const auto high = [at](int i, int r) WALLABY_INLINE { return at(N / 4 + i, r); };
        add_products<N, max_code, n>(at, high, shared, stride, dots + t * n);
    }
}
// Panels hold codes beyond 127 in halves: N times the low four bits, N times the high ones.
template <int N, int max_code>
inline constexpr int code_bytes = 16 * N*(code_class(max_code) == 255 ? 2 : 1);
template <int N, int max_code>
WALLABY_KERNEL void store_codes(uint8_t* out, const I32* codes) {
    constexpr bool has_halves = code_class(max_code) == 255;
    WALLABY_UNROLL
    for (int i = 0; i < N / 4; i++) {
        store_dwords(out + 64 * i, has_halves ? codes[i] & 0x0f0f0f0f : codes[i]);
        if (has_halves) { store_dwords(out + 64 * (N / 4 + i), shift_right(codes[i], 4) & 0x0f0f0f0f); }
    }
}
// sum + the products of two signed 16-bit numbers in each lane and two that all lanes share.
WALLABY_KERNEL I32 add_pair_products(I32 sum, I32 pairs, I32 shared) {
    Register out[n_registers];
    WALLABY_UNROLL
    for (int r = 0; r < n_registers; r++) {
        out[r] = add_dwords(part(sum, r), multiply_words(part(pairs, r), part(shared, r)));
    }
    return joined(out);
}

}  // namespace
}  // namespace wallaby::kernels
