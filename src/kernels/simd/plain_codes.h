// Panels that hold codes as formats unpack them: four of each lane in a vector.
#pragma once

namespace wallaby::kernels {
namespace {

// Of N codes, at most max_code, of each lane.
template <int N, int max_code>
inline constexpr int code_bytes = 16 * N;
template <int N, int max_code>
WALLABY_KERNEL void store_codes(uint8_t* out, const I32* codes) {
    WALLABY_UNROLL
    for (int i = 0; i < N / 4; i++) { store_dwords(out + 64 * i, codes[i]); }
}

}  // namespace
}  // namespace wallaby::kernels
