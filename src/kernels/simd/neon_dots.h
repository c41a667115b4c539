// Groups of products from add_byte_products, which the header that includes this has said.
#pragma once

namespace wallaby::kernels {
namespace {

// As avx512vnni.h says it.
template <int N, int max_code>
WALLABY_KERNEL I32 dot_group(I32 start, const I32* codes, const int8_t* shared) {
    I32 dot = start;
    const auto weight = [codes](int i, int r) WALLABY_INLINE { return vreinterpretq_s8_s32(part(codes[i], r)); };
    add_byte_products<N, max_code, 1>(weight, shared, 0, &dot);
    return dot;
}
template <int N, int max_code, int T, int n>
WALLABY_KERNEL void add_dot_groups(const uint8_t* const* codes, const int8_t* shared, int stride, I32* dots) {
    WALLABY_UNROLL
    for (int t = 0; t < T; t++) {
        const uint8_t* at = codes[t];
        const auto weight = [at](int i, int r)
                                WALLABY_INLINE { return vreinterpretq_s8_u8(vld1q_u8(at + 64 * i + 16 * r)); };
        add_byte_products<N, max_code, n>(weight, shared, stride, dots + t * n);
    }
}

}  // namespace
}  // namespace wallaby::kernels

#include "kernels/simd/plain_codes.h"
